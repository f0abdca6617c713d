"""The surveys that CultureSPA's questions and cultures come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.errors import OptionInvalid
from app.settings import Settings
from app.state.retrieval import read_library
from survey_data.cultures import Culture, read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Question


class Surveys(NamedTuple):
    """The surveys of the settings, and the questions of one of them."""

    library: SurveyLibrary
    pack: str
    questions: tuple[Question, ...]


def open_surveys(settings: Settings, pack: str) -> Surveys:
    """Return the loaded surveys with the questions of `pack`.

    Raises:
        PackMissing: no loaded pack has that id.
        SurveyDataError: a pack cannot be loaded.
    """
    library = read_library(settings, read_catalogue())
    return Surveys(library, pack, library.pack(pack).questions)


def resolve_cultures(library: SurveyLibrary, given: Sequence[str]) -> tuple[Culture, ...]:
    """Return the cultures that are named, each once, by code.

    Raises:
        OptionInvalid: none is named.
        CultureUnknown: there is no such culture.
        CultureNotCovered: no survey asked its people, so nothing would be answered as them.
    """
    if not given:
        raise OptionInvalid("--culture", "none", "one at least, such as -c US")
    codes = sorted(library.catalogue.codes(given))
    for code in codes:
        library.cover(code)
    return tuple(library.catalogue[code] for code in codes)
