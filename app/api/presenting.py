"""From what the pipeline found to what a client is sent."""

from __future__ import annotations

from app.answering.plan import Answer, Choice, Plan
from app.api.schemas.answer import (
    DIGITS,
    AnswerResponse,
    ChosenOption,
    CultureName,
    CultureSummary,
    EvidenceFields,
    ExemplarEvidence,
    ExemplarsResponse,
    ExperimentFields,
    FallbackReason,
    MapPoint,
    OptionShare,
    PackSummary,
    UsageCounts,
)
from app.vllm.wire import Usage
from retrieval.evidence import Evidence, EvidenceQuery
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary


def present_answer(answer: Answer, library: SurveyLibrary) -> AnswerResponse:
    """Return the response to `/answer`."""
    asked, reading = answer.words.asked, answer.reading
    option, shares, text = None, None, answer.text
    if reading is not None:
        text = None
        if reading.option is not None:
            number = asked.first_number + reading.option
            text = asked.options[reading.option]
            option = ChosenOption(number=number, label=text)
        if reading.shares is not None:
            shares = present_shares(asked.options, asked.first_number, reading.shares)
    fields = dict(present_evidence(answer.plan, library))
    fields["warnings"] = list(answer.warnings)
    return AnswerResponse(
        **fields,
        id=answer.plan.id,
        question=asked.text,
        options_from=answer.words.options_from,
        answer=text,
        option=option,
        shares=shares,
        label_mass=None
        if reading is None or reading.label_mass is None
        else round(reading.label_mass, DIGITS),
        model=answer.plan.weights.model,
        usage=present_usage(answer.usage),
        timings_ms=answer.timings_ms,
    )


def present_evidence(plan: Plan, library: SurveyLibrary) -> EvidenceFields:
    """Return what every answer says of the culture and the evidence behind it."""
    nearest = plan.evidence.nearest_similarity
    return EvidenceFields(
        culture=None if plan.culture is None else present_culture_name(plan.culture),
        experiment=present_experiment(plan.choice),
        method=plan.method,
        requested_method=plan.recipe.method,
        fallbacks=[FallbackReason(method=f.method, because=f.because) for f in plan.fallbacks],
        exemplar_style=plan.recipe.style,
        retriever=plan.recipe.retriever,
        adapter=plan.weights.adapter,
        steered=plan.steered,
        not_steered_because=plan.not_steered_because,
        nearest_similarity=None if nearest is None else round(nearest, DIGITS),
        exemplars=[present_exemplar(e, library) for e in plan.shown_exemplars],
        warnings=list(plan.warnings),
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
    )


def present_exemplars(
    wanted: EvidenceQuery, found: Evidence, library: SurveyLibrary
) -> ExemplarsResponse:
    """Return the response to `/v1/exemplars`."""
    nearest = found.nearest_similarity
    return ExemplarsResponse(
        culture=present_culture_name(library.catalogue[wanted.culture]),
        question=wanted.text,
        retriever=wanted.retriever,
        same_question=None if found.same_question is None else found.same_question.key,
        nearest_similarity=None if nearest is None else round(nearest, DIGITS),
        below_floor=found.below_floor,
        exemplars=[present_exemplar(exemplar, library) for exemplar in found.exemplars],
    )


def present_culture(culture: Culture, library: SurveyLibrary) -> CultureSummary:
    """Return a covered culture with the packs that cover it."""
    answered = library.answered(culture.code)
    packs = []
    for pack_id in library.packs_of(culture.code):
        manifest = library.manifest(pack_id)
        packs.append(
            PackSummary(
                id=pack_id,
                title=manifest.title,
                years=manifest.year(culture.code),
                n_questions=sum(key.startswith(f"{pack_id}:") for key in answered),
                weighted=manifest.weighted,
                wording=manifest.wording,
                licence=manifest.licence,
                commercial_use=manifest.commercial_use,
                citation=manifest.citation,
            )
        )
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


def present_culture_name(culture: Culture) -> CultureName:
    """Return a culture by its codes and its name."""
    return CultureName(code=culture.code, alpha2=culture.alpha2, name=culture.name)


def present_shares(
    options: tuple[str, ...], first_number: int, shares: tuple[float, ...]
) -> list[OptionShare]:
    """Return the options with their shares, rounded to four digits."""
    return [
        OptionShare(number=first_number + i, label=label, share=round(share, DIGITS))
        for i, (label, share) in enumerate(zip(options, shares, strict=True))
    ]


def present_usage(usage: Usage) -> UsageCounts:
    """Return the token counts of an answer."""
    return UsageCounts(**usage._asdict())
