"""The figures of many peoples on one question, for the views that put them beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from starlette.datastructures import QueryParams

from app.answering.peoples import PeopleFigure
from app.api.presenting_sources import present_shares
from app.api.schemas.sources import OptionShare
from app.resources import Resources
from app.web.downloads import Row
from estimation.source import Source
from survey_data.cultures import Culture
from survey_data.model import PackManifest, Question

COLUMNS = (
    "question_key", "question", "culture", "country", "region", "source", "option", "label",
    "share", "low", "high", "n_respondents", "years", "survey", "licence", "citation",
)  # fmt: skip
NAME = "name"


class Figure(NamedTuple):
    """One people's shares; none where nothing is known."""

    culture: Culture
    source: Source | None
    shares: tuple[OptionShare, ...]
    n_respondents: int | None
    years: str

    @property
    def is_estimate(self) -> bool:
        """Whether others' answers tell it."""
        return self.source is Source.TRANSFER


class Order(NamedTuple):
    """How rows are ordered: by the share of an option (its place), else by name."""

    option: int | None
    by_region: bool


async def find_figures(
    question: Question, resources: Resources, *, cultures: Sequence[str] = (), estimates: bool
) -> list[Figure]:
    """Return the figures of `cultures`, alpha-3; without any, of all that are known."""
    library = resources.library
    asked = library.cultures_of(question.key)
    wanted = tuple(cultures) or (library.cultures if estimates else asked)
    manifest = library.manifest(question.pack)
    found = await resources.peoples.find(question, wanted, estimates=estimates)
    return [_present(each, question, manifest) for each in found]


def read_order(query: QueryParams, question: Question, *, default: int | None = None) -> Order:
    """Return the order that an address wants; `sort` is the number of an option, or `name`."""
    wanted = query.get("sort", "")
    option = default
    if wanted == NAME:
        option = None
    elif wanted.isascii() and wanted.isdigit() and int(wanted[:6]) in question.numbers:
        option = int(wanted) - question.first_number
    return Order(option, query.get("group", "") == "region")


def sort_figures(figures: Sequence[Figure], order: Order) -> list[tuple[str, list[Figure]]]:
    """Return the groups with their rows, in order; one group without a name if by none."""
    groups: dict[str, list[Figure]] = {}
    for each in sorted(figures, key=lambda each: _rank(each, order)):
        groups.setdefault(each.culture.region if order.by_region else "", []).append(each)
    return sorted(groups.items()) if order.by_region else list(groups.items())


def tabulate_figures(
    question: Question, figures: Sequence[Figure], manifest: PackManifest
) -> Iterator[Row]:
    """Yield the header and a row per people and option, with survey and licence."""
    yield COLUMNS
    about = (manifest.title, manifest.licence, manifest.citation)
    for each in figures:
        culture = each.culture
        head = (question.key, question.text, culture.code, culture.name, culture.region)
        for share in each.shares:
            ends = (share.interval.low, share.interval.high) if share.interval else (None, None)
            source = str(each.source or "")
            option = (source, share.number, share.label, share.share, *ends)
            yield (*head, *option, each.n_respondents, each.years, *about)


def _rank(each: Figure, order: Order) -> tuple[float, str]:
    if order.option is None or not each.shares:
        return (1.0 if not each.shares else 0.0, each.culture.name)
    return (-each.shares[order.option].share, each.culture.name)


def _present(found: PeopleFigure, question: Question, manifest: PackManifest) -> Figure:
    estimate, cell = found.estimate, found.cell
    if estimate is None:
        return Figure(found.culture, None, (), None, "")
    shares = present_shares(
        question.options, question.first_number, estimate.shares, estimate.intervals
    )
    n = None if cell is None else cell.n_respondents
    years = "" if cell is None else manifest.year(found.culture.code)
    return Figure(found.culture, estimate.source, tuple(shares), n, years)
