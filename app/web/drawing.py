"""Pictures as files of their own: a sheet that text and bars are put on, from the top down."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reports.markup import Markup, Piece, concat, tag
from reports.style import FAINT, INK, PAPER, SOFT

WIDTH, MARGIN = 840.0, 24.0
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"
SERIF = "Georgia, 'Times New Roman', serif"
# About how wide a character is, as a part of the font size.
CHARACTER = 0.53
ESTIMATE, MODEL = "#0b5c92", "#c4500b"


class Sheet:
    """A white sheet of a fixed width that grows downwards. What is put on it is dark on light."""

    def __init__(self) -> None:
        self.y = MARGIN
        self._pieces: list[Piece] = [_hatching()]

    def write(
        self,
        text: str,
        *,
        size: float = 14.0,
        x: float = MARGIN,
        bold: bool = False,
        soft: bool = False,
        serif: bool = False,
        width: float = WIDTH - 2 * MARGIN,
    ) -> None:
        """Put a text below what is there, broken into lines."""
        for line in break_lines(text, size=size, width=width):
            self.y += size * 1.3
            weight = "bold" if bold else None
            colour, family = SOFT if soft else INK, SERIF if serif else None
            self.add(label(line, x, self.y, size=size, fill=colour, weight=weight, family=family))

    def skip(self, height: float) -> None:
        """Leave a gap."""
        self.y += height

    def add(self, *pieces: Piece) -> None:
        """Put pieces that know their place."""
        self._pieces += pieces

    def finish(self) -> str:
        """Return the file."""
        height = self.y + MARGIN
        paper = tag("rect", width=WIDTH, height=height, fill=PAPER)
        svg = tag(
            "svg",
            paper,
            *self._pieces,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {WIDTH:g} {height:g}",
            width=WIDTH,
            height=height,
            font_family=FONT,
            font_size="14",
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def label(
    text: str,
    x: float,
    y: float,
    *,
    size: float = 13.0,
    fill: str = INK,
    anchor: str = "start",
    weight: str | None = None,
    family: str | None = None,
) -> Markup:
    """Return a line of text at a place."""
    return tag(
        "text", text, x=x, y=y, font_size=size, fill=fill, text_anchor=anchor,
        font_weight=weight, font_family=family,
    )  # fmt: skip


def bar(x: float, y: float, width: float, height: float, *, kind: str) -> Markup:
    """Return a bar: hatched for `people`, else in the colour of its kind."""
    if kind == "people":
        return tag(
            "rect", x=x, y=y, width=width, height=height, fill="url(#hatch)", stroke=INK,
            stroke_width=0.8,
        )  # fmt: skip
    return tag(
        "rect", x=x, y=y, width=width, height=height, fill=ESTIMATE if kind == "estimate" else MODEL
    )


def whisker(low: float, high: float, y: float, *, reach: float = 3.0) -> Markup:
    """Return an interval from `low` to `high`, with its ends; to be seen on dark and on light."""
    ends = ((low, y, high, y), (low, y - reach, low, y + reach), (high, y - reach, high, y + reach))
    lines = [tag("line", x1=x1, y1=y1, x2=x2, y2=y2) for x1, y1, x2, y2 in ends]
    halo = tag("g", *lines, stroke=PAPER, stroke_width=3.6)
    return concat(halo, tag("g", *lines, stroke=INK, stroke_width=1.4))


def rule(y: float, *, start: float = MARGIN, end: float = WIDTH - MARGIN) -> Markup:
    """Return a thin line over the sheet."""
    return tag("line", x1=start, y1=y, x2=end, y2=y, stroke=FAINT, stroke_width=1)


def break_lines(text: str, *, size: float, width: float) -> Sequence[str]:
    """Return a text in lines that are about `width` wide."""
    return textwrap.wrap(text, max(8, int(width / (size * CHARACTER)))) or [""]


def _hatching() -> Markup:
    line = tag("line", x1=0, y1=0, x2=0, y2=5, stroke=INK, stroke_width=2.2)
    pattern = tag(
        "pattern",
        tag("rect", width=5, height=5, fill=PAPER),
        line,
        id="hatch",
        width="5",
        height="5",
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return tag("defs", pattern)
