"""The answers of several peoples as a table and as a picture to take along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.api.schemas.sources import OptionShare
from app.web.asked import Told, Way
from app.web.downloads import Row
from app.web.drawing import (
    MARGIN,
    WIDTH,
    Sheet,
    bar,
    break_lines,
    label,
    rule,
    whisker,
)
from app.web.pages import between, percent
from reports.style import SOFT
from survey_data.model import PackManifest

COLUMNS = (
    "question", "question_key", "culture", "country", "kind", "source", "option", "label", "share",
    "low", "high", "n_respondents", "years", "survey", "licence", "citation",
)  # fmt: skip
OPTION_WIDTH, BAR_HEIGHT = 250.0, 13.0
NOT_OURS = "Estimates and a model's shares are no survey's figures."


def tabulate_asked(question: str, told: Sequence[Told]) -> Iterator[Row]:
    """Yield the header and a row per country, way and option."""
    yield COLUMNS
    for each in told:
        for way in each.ways:
            yield from _tabulate_way(question, each, way)


def draw_asked(question: str, told: Sequence[Told], *, top: float) -> str:
    """Return the bars of every country as a picture; they end at the share `top`."""
    sheet = Sheet()
    sheet.write(question, size=22.0, bold=True, serif=True)
    for each in told:
        sheet.skip(18.0)
        sheet.add(rule(sheet.y))
        sheet.write(each.culture.name, size=17.0, bold=True)
        if not each.ways:
            sheet.write("; ".join(trouble.detail for trouble in each.troubles) or "not known")
            continue
        sheet.write(" · ".join(_name(way) for way in each.ways), size=12.0, soft=True)
        sheet.skip(6.0)
        for place, text in enumerate(each.labels):
            _draw_option(sheet, text, [(w.kind, w.shares[place]) for w in each.ways], top)
    sheet.skip(8.0)
    for line in cite([each.manifest for each in told]):
        sheet.write(line, size=11.0, soft=True)
    return sheet.finish()


def cite(manifests: Sequence[PackManifest | None]) -> list[str]:
    """Return the lines under a picture: each survey with its terms."""
    known = {manifest.id: manifest for manifest in manifests if manifest is not None}
    lines = [f"{each.citation} {each.licence}" for each in known.values()]
    return [*lines, f"{NOT_OURS} Made with Milieu."]


def _tabulate_way(question: str, told: Told, way: Way) -> Iterator[Row]:
    assert told.answer is not None  # it has ways
    people, manifest = told.answer.people, told.manifest
    is_said = way.kind == "people" and people is not None
    about = (
        ("", "", "") if manifest is None else (manifest.title, manifest.licence, manifest.citation)
    )
    head = (question, told.question.key if told.question else "")
    for share in way.shares:
        interval = share.interval
        yield (
            *head,
            *(told.culture.code, told.culture.name, way.name, _source_of(told, way)),
            *(share.number, share.label, share.share),
            *((None, None) if interval is None else (interval.low, interval.high)),
            *((people.n_respondents, people.years) if is_said and people else (None, "")),
            *about,
        )


def _source_of(told: Told, way: Way) -> str:
    assert told.answer is not None
    if way.kind == "people":
        return "survey"
    if way.kind == "model":
        return "model"
    return "related" if told.answer.source == "related" else "transfer"


def _name(way: Way) -> str:
    return "People (hatched)" if way.kind == "people" else way.name


def _draw_option(
    sheet: Sheet, text: str, bars: Sequence[tuple[str, OptionShare]], top: float
) -> None:
    start, full = MARGIN + OPTION_WIDTH + 12.0, WIDTH - 2 * MARGIN - OPTION_WIDTH - 130.0
    above = sheet.y
    for kind, share in bars:
        y = sheet.y + 3.0
        sheet.add(bar(start, y, share.share / top * full, BAR_HEIGHT, kind=kind))
        ends = ""
        if share.interval is not None:
            low, high = share.interval.low, share.interval.high
            middle = y + BAR_HEIGHT / 2
            sheet.add(whisker(start + low / top * full, start + high / top * full, middle))
            ends = f" ({between(share.interval)})"
        written = f"{percent(share.share)}{ends}"
        sheet.add(label(written, start + full + 10.0, y + 11.0, size=12.0, fill=SOFT))
        sheet.y = y + BAR_HEIGHT
    lines = break_lines(text, size=13.0, width=OPTION_WIDTH)
    for at, line in enumerate(lines):
        sheet.add(label(line, MARGIN, above + 14.0 + at * 16.0))
    sheet.y = max(sheet.y, above + 6.0 + len(lines) * 16.0) + 7.0
