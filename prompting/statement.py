"""How a people answered a question, or are estimated to, in prose for a chat's system message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prompting.percents import whole_percents

# A question with more options than this has only its largest shares told.
MAX_OPTIONS, N_LARGEST = 5, 4
# Of an estimate, how many of the places that it is made of are named.
N_DONORS = 3

ASKED = 'In the survey "{title}", {people} in {place} were asked{when_and_how}: {question}'
TOLD = "Of those who answered, {figures}."
QUOTE_SURVEY = "If you give figures, give these, and name the survey."
UNKNOWN = "It is not known how people in {place} answer this question: {question}"
ESTIMATED = "From what people elsewhere answered{donors}, it is estimated that {figures}."
QUOTE_ESTIMATE = "These are estimates, not results of a survey: if you give them, say so."


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Where a people were asked.

    Attributes:
        title: of the survey.
        years: of the interviews, empty where the survey does not say.
        n_respondents: how many people were interviewed, None where it does not say.
        is_reworded: whether the question is told in other words than the survey's.
    """

    title: str
    years: str = ""
    n_respondents: int | None = None
    is_reworded: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """How a people answered a question, or are estimated to.

    Attributes:
        place: where they are, as it stands in a sentence ("the Netherlands").
        question: as it was asked.
        options: its answers, in scale order.
        shares: one per option, in [0, 1], together 1.
        intervals: of each share, to 90 %, both ends in [0, 1]; None where they are unknown.
        surveyed: where they were asked; None for an estimate.
        donors: of an estimate, the places that it is made of, the heaviest first.
        population: which people of the place, empty where it is everyone.
    """

    place: str
    question: str
    options: tuple[str, ...]
    shares: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...] | None = None
    surveyed: Surveyed | None = None
    donors: tuple[str, ...] = ()
    population: str = ""


class Told(NamedTuple):
    """A share as a statement tells it.

    Attributes:
        option: index of the option.
        percent: the share in whole percent, in [0, 100].
        share: in words ("46%", "less than 1%").
    """

    option: int
    percent: int
    share: str


def list_told(statement: Statement) -> tuple[Told, ...]:
    """Return the shares that a statement tells, the largest first."""
    shares, percents = statement.shares, whole_percents(statement.shares)
    order = sorted(range(len(shares)), key=lambda i: (-shares[i], i))
    n_told = len(order) if len(order) <= MAX_OPTIONS else N_LARGEST
    return tuple(
        Told(i, percents[i], "less than 1%" if not percents[i] and shares[i] else f"{percents[i]}%")
        for i in order[:n_told]
    )


def write_statement(statement: Statement) -> str:
    """Return a statement in a few sentences, with shares and intervals in whole percent."""
    question = _quote(statement.question)
    place = statement.place
    if statement.population:
        place = f"{place} (population: {statement.population})"
    if statement.surveyed is None:
        return _write_estimate(statement, place, question)
    return _write_result(statement, statement.surveyed, place, question)


def _write_result(statement: Statement, surveyed: Surveyed, place: str, question: str) -> str:
    n = surveyed.n_respondents
    when = f" in {surveyed.years}" if surveyed.years else ""
    asked = ASKED.format(
        title=surveyed.title,
        people="people" if n is None else f"{n:,} people",
        place=place,
        when_and_how=f"{when}, in words to this effect" if surveyed.is_reworded else when,
        question=question,
    )
    told = TOLD.format(figures=_write_figures(statement, "{share} said {option}"))
    return f"{asked} {told} {QUOTE_SURVEY}"


def _write_estimate(statement: Statement, place: str, question: str) -> str:
    named = list_names(statement.donors[:N_DONORS])
    unknown = UNKNOWN.format(place=place, question=question)
    estimated = ESTIMATED.format(
        donors=f", mostly in {named}" if named else "",
        figures=_write_figures(statement, "about {share} would say {option}"),
    )
    return f"{unknown} {estimated} {QUOTE_ESTIMATE}"


def list_names(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: "Kenya, Zimbabwe and Nigeria"; empty for none."""
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def _write_figures(statement: Statement, first: str) -> str:
    """Return the shares, the largest first; `first` says how the first one is told."""
    told = list_told(statement)
    figures = []
    for place, (i, _, share) in enumerate(told):
        option = f'"{statement.options[i]}"'
        figure = f"{share} {option}" if place else first.format(share=share, option=option)
        figures.append(figure + _write_interval(statement, i, is_first=not place))
    if n_left := len(statement.options) - len(told):
        left = 100 - sum(each.percent for each in told)
        figures.append(f"the other {left}% chose one of the {n_left} other options")
    return list_names(figures)


def _write_interval(statement: Statement, option: int, *, is_first: bool) -> str:
    if statement.intervals is None:
        return ""
    low, high = (round(100.0 * end) for end in statement.intervals[option])
    if low == high:
        return ""
    return f" ({'90% interval ' if is_first else ''}{low} to {high}%)"


def _quote(question: str) -> str:
    return f'"{question}"' if question.endswith(("?", ".", "!")) else f'"{question}".'
