"""What a chat is told of the people's answers to what its user asked."""

from __future__ import annotations

from app.answering.asked import Asked
from estimation.estimator import Estimate
from estimation.source import Source
from prompting.phrases.fields import find_phrases
from prompting.recipe import PromptLanguage
from prompting.statement import Statement, Surveyed
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Question


def make_statement(
    library: SurveyLibrary,
    culture: Culture | None,
    asked: Asked,
    estimate: Estimate | None,
    *,
    language: PromptLanguage = PromptLanguage.EN,
) -> Statement | None:
    """Return what is known or estimated of a survey question; None where that is next to nothing.

    `estimate` is of the question's options in the survey's order. The question is told in
    `language` where there is a wording in it, else as it was asked.
    """
    survey = asked.survey
    if culture is None or survey is None or estimate is None or not estimate.confident:
        return None
    is_known = estimate.source is Source.SURVEY
    donors = (library.catalogue[code] for code, weight in estimate.donors if weight > 0.0)
    wording = library.wording(survey.key, language) or survey.wording
    phrases = find_phrases(language)
    return Statement(
        phrases.name_in_sentence(culture),
        wording.text,
        wording.options,
        estimate.shares,
        intervals=estimate.intervals,
        surveyed=_find_survey(library, survey, culture) if is_known else None,
        donors=tuple(map(phrases.name_in_sentence, donors)),
        population=library.manifest(survey.pack).population,
        language=language,
    )


def _find_survey(library: SurveyLibrary, question: Question, culture: Culture) -> Surveyed:
    manifest = library.manifest(question.pack)
    cell = library.distribution(question.key, culture.code)
    return Surveyed(
        manifest.title_in_sentence,
        manifest.year(culture.code),
        None if cell is None else cell.n_respondents,
        is_reworded=manifest.wording == "own",
    )
