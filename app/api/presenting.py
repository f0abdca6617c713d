"""From what the pipeline found to what a client is sent."""

from __future__ import annotations

from typing import Any

from app.answering.plan import Answer, Choice, Plan
from app.api.presenting_sources import (
    present_culture_name,
    present_donor,
    present_known,
    present_model,
    present_option,
    present_people,
    present_recognition,
    present_shares,
    present_transfer,
)
from app.api.schemas.answer import (
    DIGITS,
    AnswerResponse,
    ChatEvidence,
    CultureSummary,
    EvidenceFields,
    ExemplarEvidence,
    ExemplarsResponse,
    ExperimentFields,
    FallbackReason,
    MapPoint,
    PackSummary,
    UsageCounts,
)
from app.api.schemas.sources import ChosenOption, ModelAnswer
from app.vllm.wire import Usage
from estimation.estimator import Estimate
from estimation.source import Source
from retrieval.evidence import Evidence, EvidenceQuery
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

NOT_KNOWN = "It is not known what people in {culture} would answer."


def present_answer(answer: Answer, library: SurveyLibrary) -> AnswerResponse:
    """Return the response to `/answer`."""
    plan = answer.plan
    asked, estimate, model = plan.asked.question, plan.estimate, present_model(answer)
    fields = dict(present_evidence(answer, library))
    told = _tell(plan, model) if estimate is None else _tell_estimate(plan, estimate)
    return AnswerResponse(
        **fields,
        **told,
        id=plan.id,
        question=asked.text,
        options_from=plan.asked.options_from,
        label_mass=None if model is None else model.label_mass,
        people=present_people(plan, library),
        transferred_from=present_transfer(estimate, library),
        recognised=present_recognition(plan.evidence, library),
        model=model,
        usage=present_usage(answer.usage),
        timings_ms=answer.timings_ms,
    )


def _tell_estimate(plan: Plan, estimate: Estimate) -> dict[str, Any]:
    """Return the answer by the best source; where that says next to nothing, that it is so."""
    asked = plan.asked.question
    option = present_option(asked, estimate.option) if estimate.confident else None
    culture = "" if plan.culture is None else plan.culture.name_in_sentence
    return {
        "source": estimate.source,
        "confident": estimate.confident,
        "answer": NOT_KNOWN.format(culture=culture) if option is None else option.label,
        "option": option,
        "shares": present_shares(
            asked.options, asked.first_number, estimate.shares, estimate.intervals
        ),
    }


def _tell(plan: Plan, model: ModelAnswer | None) -> dict[str, Any]:
    """Return the model's answer."""
    assert model is not None  # without an estimate it was asked
    text = model.text
    if plan.asked.question.options:
        text = None if model.option is None else model.option.label
    return {
        "source": Source.MODEL,
        "confident": None,
        "answer": text,
        "option": model.option,
        "shares": model.shares,
    }


def present_evidence(of: Plan | Answer, library: SurveyLibrary) -> EvidenceFields:
    """Return what every answer says of the culture and the evidence behind it.

    Of a plan, as far as that is known before the model has answered.
    """
    plan = of if isinstance(of, Plan) else of.plan
    return EvidenceFields(
        culture=None if plan.culture is None else present_culture_name(plan.culture),
        experiment=present_experiment(plan.choice),
        method=plan.method if plan.asks_model else None,
        requested_method=plan.recipe.method,
        fallbacks=[FallbackReason(method=f.method, because=f.because) for f in plan.fallbacks],
        exemplar_style=plan.recipe.style,
        retriever=plan.recipe.retriever,
        adapter=plan.weights.adapter,
        prompt_language=plan.prompt_language,
        steered=of.steered,
        not_steered_because=of.not_steered_because,
        nearest_similarity=_round(plan.evidence.nearest_similarity),
        asks_value=_round(plan.evidence.asks_value),
        exemplars=[present_exemplar(e, library) for e in plan.shown_exemplars],
        warnings=list(of.warnings),
    )


def present_chat_evidence(of: Plan | Answer, library: SurveyLibrary) -> ChatEvidence:
    """Return what a chat's reply says of what is behind it."""
    plan = of if isinstance(of, Plan) else of.plan
    return ChatEvidence(
        **dict(present_evidence(of, library)),
        id=plan.id,
        recognised=present_recognition(plan.evidence, library),
        known=present_known(plan, library),
    )


def present_experiment(choice: Choice) -> ExperimentFields | None:
    """Return the experiment that decided, None where none did."""
    experiment, assignment, arm = choice.experiment, choice.assignment, choice.arm
    if experiment is None or assignment is None or arm is None:
        return None
    return ExperimentFields(
        name=experiment.name,
        revision=experiment.revision,
        arm=arm.name,
        overridden=assignment.overridden,
    )


def present_exemplar(exemplar: Exemplar, library: SurveyLibrary) -> ExemplarEvidence:
    """Return one exemplar with where it comes from."""
    question, cell = exemplar.question, exemplar.distribution
    manifest = library.manifest(question.pack)
    similarity = exemplar.similarity
    return ExemplarEvidence(
        question_key=question.key,
        topic=question.topic,
        question=question.text,
        language=question.language,
        answer=ChosenOption(number=question.numbers[cell.mode], label=question.options[cell.mode]),
        shares=present_shares(question.options, question.first_number, cell.shares),
        similarity=None if similarity is None else round(similarity, DIGITS),
        survey=manifest.title,
        pack=manifest.id,
        source_item=question.source_item,
        years=manifest.year(cell.culture),
        n_respondents=cell.n_respondents,
        non_response=None if cell.non_response is None else round(cell.non_response, DIGITS),
        wording=manifest.wording,
        citation=manifest.citation,
        elsewhere=None if exemplar.elsewhere is None else present_donor(*exemplar.elsewhere),
    )


def present_exemplars(
    wanted: EvidenceQuery, found: Evidence, library: SurveyLibrary
) -> ExemplarsResponse:
    """Return the response to `/v1/exemplars`."""
    return ExemplarsResponse(
        culture=present_culture_name(library.catalogue[wanted.culture]),
        question=wanted.text,
        retriever=wanted.retriever,
        same_question=None if found.same_question is None else found.same_question.key,
        recognised=present_recognition(found, library),
        nearest_similarity=_round(found.nearest_similarity),
        below_floor=found.below_floor,
        asks_value=_round(found.asks_value),
        exemplars=[present_exemplar(exemplar, library) for exemplar in found.exemplars],
    )


def present_pack(pack: Pack, *, years: str, n_questions: int) -> PackSummary:
    """Return what a pack is, with how much of it there is."""
    manifest = pack.manifest
    return PackSummary(
        id=manifest.id,
        title=manifest.title,
        years=years,
        n_questions=n_questions,
        weighted=manifest.weighted,
        wording=manifest.wording,
        languages=list(pack.languages),
        licence=manifest.licence,
        commercial_use=manifest.commercial_use,
        citation=manifest.citation,
    )


def present_culture(culture: Culture, library: SurveyLibrary) -> CultureSummary:
    """Return a covered culture with the packs that cover it."""
    answered = library.keys_of(culture.code)
    packs = []
    for pack in map(library.pack, library.packs_of(culture.code)):
        n_questions = sum(key.startswith(f"{pack.manifest.id}:") for key in answered)
        years = pack.manifest.year(culture.code)
        packs.append(present_pack(pack, years=years, n_questions=n_questions))
    position = culture.position
    return CultureSummary(
        code=culture.code,
        alpha2=culture.alpha2,
        name=culture.name,
        native_name=culture.native_name,
        adjective=culture.adjective,
        languages=list(culture.languages),
        region=culture.region,
        cultural_map=None if position is None else MapPoint(**position._asdict()),
        n_questions=len(answered),
        packs=packs,
    )


def present_usage(usage: Usage) -> UsageCounts:
    """Return the token counts of an answer."""
    return UsageCounts(**usage._asdict())


def _round(figure: float | None) -> float | None:
    return None if figure is None else round(figure, DIGITS)
