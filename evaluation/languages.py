"""In which language a culture is asked, and a question in it."""

from __future__ import annotations

from enum import StrEnum

from prompting.exemplar_wording import translate_question
from prompting.recipe import PROMPT_LANGUAGES, PromptLanguage
from survey_data.library import SurveyLibrary
from survey_data.model import Question


class AskedLanguage(StrEnum):
    """What questions and prompts are in: one language, or each culture's own.

    `own` is the most spoken one of the culture that there are prompts and translations in, else
    English.
    """

    EN = "en"
    DE = "de"
    ES = "es"
    PT = "pt"
    RU = "ru"
    ZH = "zh"
    OWN = "own"

    def of_culture(self, culture: str, library: SurveyLibrary) -> PromptLanguage:
        """Return the language that the culture with this alpha-3 code is asked in."""
        if self is not AskedLanguage.OWN:
            return PromptLanguage(self.value)
        known = {each.value: each for each in PROMPT_LANGUAGES if each in library.languages}
        spoken = library.catalogue[culture].languages
        return next((known[tag] for tag in spoken if tag in known), PromptLanguage.EN)

    def put(
        self, question: Question, culture: str, library: SurveyLibrary
    ) -> tuple[Question, PromptLanguage]:
        """Return a question as a culture is asked it, and the language of the prompt.

        Both are English where there is no translation.
        """
        language = self.of_culture(culture, library)
        if library.wording(question.key, language) is None:
            return question, PromptLanguage.EN
        return translate_question(question, library, language), language
