"""The phrases that prompts are made of, as every language has them."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from prompting.labels import LabelScheme
from prompting.recipe import PromptLanguage
from survey_data.cultures import Culture

# Those of Chinese are wide.
_ENDS = ("?", ".", "!", "\uff1f", "\u3002", "\uff01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """What prompts say in one language; `language` names the file that it is from.

    Names of cultures stand where nothing need agree with them. In English alone there is an
    adjective with its article, and an article before some names.
    """

    language: PromptLanguage
    survey_role: str
    survey_role_of: str
    chat_role_of: str
    compare: str
    answer_by_number: str
    answer_by_letter: str
    answer_freely: str
    people_like_you: str
    people_of: str
    exemplars_follow: str
    shares_follow: str
    elsewhere_follow: str
    elsewhere: str
    question_follows: str
    speak_so: str
    question: str
    options: str
    answer: str
    answer_with_text: str
    shares: str
    asked: str
    asked_people: str
    asked_n_people: str
    asked_when: str
    asked_in_effect: str
    population: str
    told: str
    told_first: str
    quote_survey: str
    unknown: str
    estimated: str
    estimated_donors: str
    estimated_first: str
    quote_estimate: str
    interval: str
    interval_first: str
    percent: str
    less_than_one: str
    rest: str
    list_comma: str
    list_and: str
    places_and: str
    quoted: str
    full_stop: str
    sentence_gap: str
    thousands: str
    decimal: str

    def answer_by(self, scheme: LabelScheme) -> str:
        """Return how a question with options is to be answered."""
        return self.answer_by_number if scheme is LabelScheme.NUMBERS else self.answer_by_letter

    def name(self, culture: Culture) -> str:
        """Return the name of a culture as it stands in a list."""
        if self.language is PromptLanguage.EN:
            return culture.name
        return _read_names()[culture.code][self.language]

    def name_in_sentence(self, culture: Culture) -> str:
        """Return the name of a culture as it stands in a sentence ("the Netherlands")."""
        if self.language is PromptLanguage.EN:
            return culture.name_in_sentence
        return self.name(culture)

    def list_names(self, names: Sequence[str]) -> str:
        """Return names as a sentence lists them: "Kenya, Zimbabwe and Nigeria"; empty for none."""
        return self._join(names, self.places_and)

    def list_figures(self, figures: Sequence[str]) -> str:
        """Return figures as a sentence lists them."""
        return self._join(figures, self.list_and)

    def quote(self, sentence: str) -> str:
        """Return a sentence in quotation marks, with a full stop behind it where it has no end."""
        quoted = self.quoted.format(text=sentence)
        return quoted if sentence.endswith(_ENDS) else f"{quoted}{self.full_stop}"

    def join_sentences(self, sentences: Sequence[str]) -> str:
        """Return sentences one after the other."""
        return self.sentence_gap.join(sentences)

    def count(self, n: int) -> str:
        """Return a number with its thousands apart."""
        return f"{n:,}".replace(",", self.thousands)

    def weigh(self, weight: float) -> str:
        """Return a weight with two decimals."""
        return f"{weight:.2f}".replace(".", self.decimal)

    def _join(self, parts: Sequence[str], last_by: str) -> str:
        *others, last = parts or ("",)
        return f"{self.list_comma.join(others)}{last_by}{last}" if others else last


@cache
def find_phrases(language: PromptLanguage) -> Phrases:
    """Return the phrases of a language.

    Raises:
        ValueError: it is `auto`, which stands for none yet.
    """
    if language is PromptLanguage.AUTO:
        raise ValueError("the language 'auto' has no phrases; expected one that it stands for")
    text = files("prompting.phrases").joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return Phrases(language=language, **tomllib.loads(text))


@cache
def _read_names() -> dict[str, dict[str, str]]:
    """Return the names of cultures by alpha-3 code and language.

    Source: Unicode CLDR 49, territory display names, the short ones of Hong Kong, Macao and
    Palestine; as the package babel 2.19.0 brings them.
    """
    with files("prompting").joinpath("culture_names.csv").open(encoding="utf-8") as file:
        return {row["alpha3"]: row for row in csv.DictReader(file)}
