"""How a people answered a question, or are estimated to, in prose for a chat's system message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from prompting.percents import whole_percents
from prompting.phrases.fields import Phrases, find_phrases
from prompting.recipe import PromptLanguage

# A question with more options than this has only its largest shares told.
MAX_OPTIONS, N_LARGEST = 5, 4
# Of an estimate, how many of the places that it is made of are named.
N_DONORS = 3


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
        language: that it is told in; places are named in it.
    """

    place: str
    question: str
    options: tuple[str, ...]
    shares: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...] | None = None
    surveyed: Surveyed | None = None
    donors: tuple[str, ...] = ()
    population: str = ""
    language: PromptLanguage = PromptLanguage.EN


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
    phrases = find_phrases(statement.language)
    return tuple(
        Told(
            option=i,
            percent=percents[i],
            share=phrases.less_than_one
            if not percents[i] and shares[i]
            else phrases.percent.format(n=percents[i]),
        )
        for i in order[:n_told]
    )


def write_statement(statement: Statement) -> str:
    """Return a statement in a few sentences, with shares and intervals in whole percent."""
    phrases = find_phrases(statement.language)
    place = statement.place
    if statement.population:
        place = phrases.population.format(place=place, population=statement.population)
    if statement.surveyed is None:
        return _write_estimate(statement, place, phrases)
    return _write_result(statement, statement.surveyed, place, phrases)


def _write_result(statement: Statement, surveyed: Surveyed, place: str, phrases: Phrases) -> str:
    n = surveyed.n_respondents
    people = phrases.asked_people
    if n is not None:
        people = phrases.asked_n_people.format(n=phrases.count(n))
    asked = phrases.asked.format(
        title=phrases.quoted.format(text=surveyed.title),
        people=people,
        place=place,
        when=phrases.asked_when.format(years=surveyed.years) if surveyed.years else "",
        how=phrases.asked_in_effect if surveyed.is_reworded else "",
        question=phrases.quote(statement.question),
    )
    told = phrases.told.format(figures=_write_figures(statement, phrases.told_first, phrases))
    return phrases.join_sentences([asked, told, phrases.quote_survey])


def _write_estimate(statement: Statement, place: str, phrases: Phrases) -> str:
    named = phrases.list_names(statement.donors[:N_DONORS])
    question = phrases.quote(statement.question)
    estimated = phrases.estimated.format(
        donors=phrases.estimated_donors.format(places=named) if named else "",
        figures=_write_figures(statement, phrases.estimated_first, phrases),
    )
    unknown = phrases.unknown.format(place=place, question=question)
    return phrases.join_sentences([unknown, estimated, phrases.quote_estimate])


def _write_figures(statement: Statement, first: str, phrases: Phrases) -> str:
    """Return the shares, the largest first; `first` says how the first one is told."""
    told = list_told(statement)
    figures = []
    for place, (i, _, share) in enumerate(told):
        option = phrases.quoted.format(text=statement.options[i])
        figure = f"{share} {option}" if place else first.format(share=share, option=option)
        interval = phrases.interval if place else phrases.interval_first
        figures.append(figure + _write_interval(statement, i, interval))
    if n_left := len(statement.options) - len(told):
        left = phrases.percent.format(n=100 - sum(each.percent for each in told))
        figures.append(phrases.rest.format(share=left, n=n_left))
    return phrases.list_figures(figures)


def _write_interval(statement: Statement, option: int, phrase: str) -> str:
    if statement.intervals is None:
        return ""
    low, high = (round(100.0 * end) for end in statement.intervals[option])
    return "" if low == high else phrase.format(low=low, high=high)
