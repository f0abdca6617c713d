"""Questions to try a service with, of those that its surveys asked."""

from __future__ import annotations

from typing import NamedTuple

from survey_data.library import SurveyLibrary

N_CULTURES = 3
N_EXAMPLES = 4


class Example(NamedTuple):
    """A question in words that are known for the survey's, and whom to ask (ISO alpha-2)."""

    key: str
    text: str
    cultures: tuple[str, ...]


_KNOWN = (
    Example("wvs7:Q6", "How important is religion in your life?", ("DE", "NG", "JP")),
    Example("wvs7:Q69", "Wie sehr vertrauen Sie der Polizei?", ("NL", "BR", "CN")),
    Example(
        "climate-2022:climate_worry",
        "How worried are you about climate change?",
        ("MX", "SE", "ID"),
    ),
    Example("wvs7:Q46", "How happy are you?", ("US", "IN", "KE")),
)


def pick_examples(library: SurveyLibrary) -> tuple[Example, ...]:
    """Return at least one example whose question was asked and whose cultures are covered.

    Where none of the usual ones fits, they are the first questions, in their own words.
    """
    covered = {library.catalogue[code].alpha2 for code in library.cultures}
    fitting = tuple(
        each._replace(cultures=cultures)
        for each in _KNOWN
        if each.key in library.questions
        and (cultures := tuple(alpha2 for alpha2 in each.cultures if alpha2 in covered))
    )
    return fitting or tuple(_list_first(library))


def _list_first(library: SurveyLibrary) -> list[Example]:
    asked = [each for each in library.questions.values() if library.cultures_of(each.key)]
    return [
        Example(each.key, each.text, _name_askers(library, each.key)) for each in asked[:N_EXAMPLES]
    ]


def _name_askers(library: SurveyLibrary, key: str) -> tuple[str, ...]:
    codes = library.cultures_of(key)[:N_CULTURES]
    return tuple(library.catalogue[code].alpha2 for code in codes)
