"""From what an answer stands on to what a client is sent of it."""

from __future__ import annotations

from app.answering.plan import Answer, Plan
from app.api.schemas.answer import DIGITS
from app.api.schemas.sources import (
    ChosenOption,
    CultureName,
    DonorWeight,
    KnownFields,
    ModelAnswer,
    OptionShare,
    OwnQuestion,
    PeopleFigures,
    RecognisedQuestion,
    RecognitionFields,
    ShareInterval,
    TransferFields,
)
from estimation.estimator import Estimate
from estimation.sampling import count_effective, sampling_intervals
from estimation.source import Source
from prompting.messages import AskedQuestion
from prompting.reading import Reading
from prompting.statement import write_statement
from retrieval.evidence import Evidence
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Question


def present_shares(
    options: tuple[str, ...],
    first_number: int,
    shares: tuple[float, ...],
    intervals: tuple[tuple[float, float], ...] | None = None,
) -> list[OptionShare]:
    """Return the options with their shares and intervals, rounded to four digits."""
    ends = [None] * len(options) if intervals is None else [_present_interval(i) for i in intervals]
    return [
        OptionShare(
            number=first_number + i, label=label, share=round(share, DIGITS), interval=interval
        )
        for i, (label, share, interval) in enumerate(zip(options, shares, ends, strict=True))
    ]


def present_option(asked: AskedQuestion, place: int) -> ChosenOption:
    """Return an option of the asked question by its number and its text."""
    return ChosenOption(number=asked.first_number + place, label=asked.options[place])


def present_people(plan: Plan, library: SurveyLibrary) -> PeopleFigures | None:
    """Return what the people themselves answered; None where they were not, or it is withheld."""
    survey, culture = plan.asked.survey, plan.culture
    if survey is None or culture is None or plan.withhold:
        return None
    return present_figures(survey, culture.code, library)


def present_figures(
    question: Question, culture: str, library: SurveyLibrary
) -> PeopleFigures | None:
    """Return what the people of a culture (alpha-3) answered; None where they were not asked."""
    cell = library.distribution(question.key, culture)
    if cell is None:
        return None
    manifest = library.manifest(question.pack)
    n_effective = count_effective(cell)
    shares = present_shares(
        question.options, question.first_number, cell.shares, sampling_intervals(cell)
    )
    return PeopleFigures(
        question_key=question.key,
        shares=shares,
        n_respondents=cell.n_respondents,
        n_effective=None if n_effective is None else round(n_effective, 1),
        non_response=None if cell.non_response is None else round(cell.non_response, DIGITS),
        years=manifest.year(culture),
        survey=manifest.title,
        pack=manifest.id,
        population=manifest.population,
        weighted=manifest.weighted,
        wording=manifest.wording,
        licence=manifest.licence,
        citation=manifest.citation,
    )


def present_transfer(estimate: Estimate | None, library: SurveyLibrary) -> TransferFields | None:
    """Return what an estimate stands on; None for what the people themselves said."""
    if estimate is None or estimate.source is Source.SURVEY:
        return None
    return TransferFields(
        cultures=[
            present_donor(library.catalogue[code], weight) for code, weight in estimate.donors
        ],
        own_questions=[
            OwnQuestion(question_key=key, question=library.questions[key].text)
            for key in estimate.moved_by
        ],
    )


def present_known(plan: Plan, library: SurveyLibrary) -> KnownFields | None:
    """Return what is known of the question that a chat asks, None where that is nothing."""
    survey, estimate, statement = plan.asked.survey, plan.estimate, plan.told
    if survey is None or estimate is None:
        return None
    return KnownFields(
        source=estimate.source,
        confident=estimate.confident,
        question_key=survey.key,
        question=survey.text,
        shares=present_shares(
            survey.options, survey.first_number, estimate.shares, estimate.intervals
        ),
        people=present_people(plan, library),
        transferred_from=present_transfer(estimate, library),
        told=None if statement is None else write_statement(statement),
    )


def present_recognition(evidence: Evidence, library: SurveyLibrary) -> RecognitionFields | None:
    """Return the survey question that was recognised, or those that it may be; None for none."""
    if not evidence.candidates:
        return None
    return RecognitionFields(
        certain=evidence.same_question is not None,
        questions=[
            _present_candidate(candidate.question, candidate.similarity, library)
            for candidate in evidence.candidates
        ],
    )


def present_model(answer: Answer) -> ModelAnswer | None:
    """Return what the model said; None where it was not asked."""
    plan, reading, put_right = answer.plan, answer.reading, answer.calibrated
    if not plan.asks_model:
        return None
    asked = plan.asked.question
    option, shares, mass = _present_reading(asked, reading)
    return ModelAnswer(
        name=plan.model,
        method=plan.method,
        option=option,
        shares=shares,
        labels=plan.asked.question.scheme if plan.asked.question.options else None,
        label_mass=mass,
        calibration=None if put_right is None else put_right.id,
        calibrated_shares=None
        if put_right is None
        else present_shares(asked.options, asked.first_number, put_right.shares),
        text=answer.text,
        exemplars=[exemplar.question.key for exemplar in plan.shown_exemplars],
    )


def present_donor(culture: Culture, weight: float) -> DonorWeight:
    """Return a culture with how much its answer counts for another."""
    return DonorWeight(culture=present_culture_name(culture), weight=round(weight, DIGITS))


def present_culture_name(culture: Culture) -> CultureName:
    """Return a culture by its codes and its name."""
    return CultureName(code=culture.code, alpha2=culture.alpha2, name=culture.name)


def _present_reading(
    asked: AskedQuestion, reading: Reading | None
) -> tuple[ChosenOption | None, list[OptionShare] | None, float | None]:
    if reading is None:
        return None, None, None
    option = None if reading.option is None else present_option(asked, reading.option)
    shares = None
    if reading.shares is not None:
        shares = present_shares(asked.options, asked.first_number, reading.shares)
    return option, shares, None if reading.label_mass is None else round(reading.label_mass, DIGITS)


def _present_interval(interval: tuple[float, float]) -> ShareInterval:
    low, high = interval
    return ShareInterval(low=round(low, DIGITS), high=round(high, DIGITS))


def _present_candidate(
    question: Question, similarity: float, library: SurveyLibrary
) -> RecognisedQuestion:
    english = library.wording(question.key, "en")
    return RecognisedQuestion(
        question_key=question.key,
        question=question.text,
        similarity=round(similarity, DIGITS),
        language=question.language,
        in_english=None if english is None else english.text,
    )
