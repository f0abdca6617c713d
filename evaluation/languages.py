"""In which language a culture is asked, and a question in it."""

from __future__ import annotations

from evaluation.asked_language import AskedLanguage
from prompting.exemplar_wording import translate_question
from prompting.recipe import PROMPT_LANGUAGES, PromptLanguage
from survey_data.library import SurveyLibrary
from survey_data.model import Question


def find_language(asked: AskedLanguage, culture: str, library: SurveyLibrary) -> PromptLanguage:
    """Return the language that the culture with this alpha-3 code is asked in."""
    if asked is not AskedLanguage.OWN:
        return PromptLanguage(asked.value)
    known = {each.value: each for each in PROMPT_LANGUAGES if each in library.languages}
    spoken = library.catalogue[culture].languages
    return next((known[tag] for tag in spoken if tag in known), PromptLanguage.EN)


def put_question(
    question: Question, asked: AskedLanguage, culture: str, library: SurveyLibrary
) -> tuple[Question, PromptLanguage]:
    """Return a question as a culture is asked it, and the language of the prompt.

    Both are English where there is no translation.
    """
    language = find_language(asked, culture, library)
    if library.wording(question.key, language) is None:
        return question, PromptLanguage.EN
    return translate_question(question, library, language), language
