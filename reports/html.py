"""A report as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reports.document import (
    Block,
    Callout,
    Document,
    Facts,
    Folded,
    Gallery,
    Plot,
    Points,
    StateCell,
    Table,
    Text,
)
from reports.markup import Markup, Piece, concat, tag
from reports.style import PAGE_COLOURS, STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_INTERVAL = re.compile(r"(\S+) (\[.+\])")
_WITH_VALUE = re.compile(r"([(+\u2212\d.]+ \[[^\[\]<>]{1,40}\])")
# A plot narrower than this is scrolled rather than shrunk.
_LEAST_WIDTH = 620
_HOUSE_COLOUR = re.compile("|".join(PAGE_COLOURS))


def to_html(document: Document) -> str:
    """Return the page. All text is escaped; plots are inline SVG."""
    sections = (
        tag(
            "section",
            tag("h2", part.heading, id=f"part-{at}"),
            *map(_write_block, part.blocks),
            aria_labelledby=f"part-{at}",
        )
        for at, part in enumerate(document.parts, 1)
    )
    header = tag(
        "header",
        tag("h1", document.heading or document.title),
        _write_callout(document.callout) if document.callout else None,
        _write_facts(document.facts) if document.facts else None,
    )
    contents = _write_contents(document) if document.has_contents else None
    brand = tag("p", "Milieu", tag("span", "how peoples answer"), class_="brand")
    body = tag("body", brand, header, contents, tag("main", *sections))
    return f"<!DOCTYPE html>\n{tag('html', _write_head(document.title), body, lang='en')}\n"


def _write_head(title: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )


def _write_contents(document: Document) -> Markup:
    links = (
        tag("li", tag("a", part.heading, href=f"#part-{at}"))
        for at, part in enumerate(document.parts, 1)
    )
    return tag("nav", tag("ul", *links), aria_label="Parts of the report")


def _write_callout(callout: Callout) -> Markup:
    return tag(
        "div",
        tag("p", callout.headline, class_="headline"),
        *map(_write_block, callout.blocks),
        class_=f"decision {callout.kind}".strip(),
        role="region",
        aria_label=callout.label,
    )


def _write_block(block: Block) -> Markup:
    match block:
        case Text():
            lead = concat(tag("strong", block.lead), " ") if block.lead else None
            return tag("p", lead, _prose(block.text), class_="note" if block.is_note else None)
        case Points():
            items = (tag("li", _prose(item)) for item in block.items)
            return tag("ul", *items, class_="points")
        case Facts():
            return _write_facts(block.items)
        case Table():
            return _write_table(block)
        case Plot():
            return _write_plot(block)
        case Gallery():
            kind = "plots broad" if block.is_broad else "plots"
            return tag("div", *map(_write_plot, block.plots), class_=kind)
        case Folded():
            return tag("details", tag("summary", block.title), *map(_write_block, block.blocks))


def _write_facts(facts: Iterable[tuple[str, str]]) -> Markup:
    return tag("dl", *(concat(tag("dt", label), tag("dd", value)) for label, value in facts))


def _write_plot(plot: Plot) -> Markup:
    remark = tag("span", plot.remark, class_="said") if plot.remark else None
    picture = plot.svg if isinstance(plot.svg, Markup) else _inline(plot.svg, plot.alt)
    if plot.width:
        size = f"min-width: {min(plot.width, _LEAST_WIDTH)}px; max-width: {plot.width}px"
        sized = tag("div", picture, class_="sized", style=size)
        picture = tag("div", sized, class_="scroll", tabindex="0")
    return tag(
        "figure",
        tag("h3", plot.title, remark) if plot.title else None,
        picture,
        tag("figcaption", plot.caption) if plot.caption else None,
    )


def _inline(svg: str, alt: str) -> Markup:
    """Return an SVG file to stand in a page: no prologue, no namespace, no size."""
    opening, rest = svg[svg.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', opening)
    assert box is not None
    # Made by matplotlib, which escapes what it writes; the page's own text never goes through.
    drawing = Markup(
        _HOUSE_COLOUR.sub(lambda m: f"var({PAGE_COLOURS[m[0]]})", rest[: rest.rindex("</svg>")])
    )
    return tag("svg", drawing, viewBox=box[1], role="img", aria_label=alt)


def _write_table(table: Table) -> Markup:
    kinds = ["words" if at in table.texts else None for at in range(len(table.columns))]
    headings = [
        tag("th", column, scope="col", class_=kind)
        for column, kind in zip(table.columns, kinds, strict=True)
    ]
    if table.pictures:
        headings.append(tag("th", table.picture_heading, scope="col", class_="picture"))
    pictures = iter(table.pictures)
    bodies = []
    for group in table.groups:
        title = tag("th", group.title, class_="group", scope="rowgroup", colspan=len(headings))
        rows = [
            _write_row(row, kinds, picture=[next(pictures)] if table.pictures else [])
            for row in group.rows
        ]
        bodies.append(tag("tbody", tag("tr", title) if group.title else None, *rows))
    found = tag(
        "table",
        tag("caption", table.caption) if table.caption else None,
        tag("thead", tag("tr", *headings)),
        *bodies,
        class_="pictured" if table.pictures else None,
    )
    label = table.caption or table.label or table.columns[0] or "Figures"
    region = tag("div", found, class_="scroll", role="region", tabindex="0", aria_label=label)
    return concat(region, tag("p", table.note, class_="note") if table.note else None)


def _write_row(
    row: tuple[str, ...], kinds: list[str | None], *, picture: list[Markup | None]
) -> Markup:
    name = row[0].lstrip(" ")
    cells = (
        tag("td", _write_cell(cell), class_=kind)
        for cell, kind in zip(row[1:], kinds[1:], strict=True)
    )
    return tag(
        "tr",
        tag("th", name, scope="row", class_="within" if name != row[0] else None),
        *cells,
        *(tag("td", each, class_="picture") for each in picture),
    )


def _write_cell(text: str) -> Piece:
    if isinstance(text, StateCell):
        return tag("span", text, class_=f"state {text}")
    found = _INTERVAL.fullmatch(text)
    if found is None:
        return text
    return concat(found[1], " ", tag("span", found[2], class_="interval"))


def _prose(text: str) -> Markup:
    """Return a text whose intervals do not break over lines."""
    pieces = _WITH_VALUE.split(text)
    return concat(*(tag("span", p, class_="whole") if i % 2 else p for i, p in enumerate(pieces)))
