"""The surveys that CultureSPA's questions and cultures come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.errors import OptionInvalid
from app.settings import Settings
from app.state.retrieval import read_library
from prompting.messages import CultureComparison, compare_culture
from survey_data.cultures import Culture, read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.similarity import CultureSimilarity


class Surveys(NamedTuple):
    """The surveys of the settings, and the questions of one of them."""

    library: SurveyLibrary
    pack: str
    questions: tuple[Question, ...]


def open_surveyed_library(settings: Settings) -> SurveyLibrary:
    """Return the surveys of the settings.

    Raises:
        SurveyDataError: a pack cannot be loaded.
    """
    return read_library(settings, read_catalogue())


def open_surveys(settings: Settings, pack: str) -> Surveys:
    """Return the loaded surveys with the questions of `pack`.

    Raises:
        PackMissing: no loaded pack has that id.
        SurveyDataError: a pack cannot be loaded.
    """
    library = open_surveyed_library(settings)
    library.manifest(pack)
    questions = next(each.questions for each in library.packs if each.manifest.id == pack)
    return Surveys(library, pack, questions)


def resolve_cultures(library: SurveyLibrary, given: Sequence[str]) -> tuple[Culture, ...]:
    """Return the cultures that are named, each once, by code.

    Raises:
        OptionInvalid: none is named.
        CultureUnknown: a name is of no culture.
        CultureNotCovered: no survey asked its people, so nothing would be answered as them.
    """
    if not given:
        raise OptionInvalid("--culture", "none", "one at least, such as -c US")
    codes = sorted(library.catalogue.codes(given))
    for code in codes:
        library.cover(code)
    return tuple(library.catalogue[code] for code in codes)


def compare_cultures(
    library: SurveyLibrary, cultures: Sequence[Culture]
) -> dict[str, CultureComparison]:
    """Return the most and least similar cultures of each, by code.

    Raises:
        SurveyDataError: there is nothing to compare a culture with.
    """
    similarity, catalogue = CultureSimilarity(library), library.catalogue
    return {
        culture.code: compare_culture(culture.code, similarity, catalogue) for culture in cultures
    }
