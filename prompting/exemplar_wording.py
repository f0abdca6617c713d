"""Exemplars in another language than the survey's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from prompting.recipe import PromptLanguage
from retrieval.exemplar import Exemplar
from survey_data.library import SurveyLibrary
from survey_data.model import Question


def translate_question(
    question: Question, library: SurveyLibrary, language: PromptLanguage
) -> Question:
    """Return a question in a translation's words, as it is where there is none."""
    wording = library.wording(question.key, language)
    return question if wording is None else question.reworded(wording)


def translate_exemplars(
    exemplars: Iterable[Exemplar], library: SurveyLibrary, language: PromptLanguage
) -> tuple[Exemplar, ...]:
    """Return exemplars in a language, those without a translation as they are."""
    return tuple(
        replace(each, question=translate_question(each.question, library, language))
        for each in exemplars
    )
