"""Plots as SVG inside a page, which take their colours from it, in light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports.markup import Markup, Piece, concat, tag
from reports.numbers import day, number, to_utc, with_sign

Points = Sequence[tuple[float, float]]
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
# About how wide a character is at the plots' font size, in their pixels.
CHARACTER = 6.6
MOST_NAME_CHARS = 26
# The room that a moment or a day needs below an axis.
HOUR_WIDTH, DAY_WIDTH = 96.0, 58.0


@dataclass(frozen=True, slots=True)
class AxisScale:
    """Where values from `low` to `high` stand between the pixels `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def clamp(self, value: float) -> float:
        """Return the pixel of a value, or the end that it is beyond."""
        return self(min(max(value, self.low), self.high))


def svg(
    *pieces: Piece, width: float, height: float, title: str, most_width: float | None = None
) -> Markup:
    """Return a plot that is read out as its title.

    It is drawn as wide as there is room, up to `most_width` pixels; by default `width`.
    """
    return tag(
        "svg",
        tag("title", title),
        *pieces,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=title,
        style=f"max-width: {most_width or width:g}px",
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def label(text: str, x: float, y: float, *, anchor: str = "start", class_: str = "") -> Markup:
    """Return a text at a point."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_ or None)


def polyline(points: Points, class_: str) -> Markup:
    """Return a line through points."""
    return tag("polyline", points=_join_points(points), class_=class_)


def polygon(points: Points, class_: str) -> Markup:
    """Return an area."""
    return tag("polygon", points=_join_points(points), class_=class_)


def circle(x: float, y: float, r: float, class_: str) -> Markup:
    """Return a round mark."""
    return tag("circle", cx=x, cy=y, r=r, class_=class_)


def square(x: float, y: float, class_: str) -> Markup:
    """Return a square mark."""
    return tag("rect", x=x - 4, y=y - 4, width=8, height=8, class_=class_)


def _join_points(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def shorten(name: str) -> str:
    """Return the name of a row, cut if it is too long."""
    return name if len(name) <= MOST_NAME_CHARS else name[: MOST_NAME_CHARS - 1] + "…"


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return about `n` round values from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / n
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def value_axis(scale: AxisScale, left: float, right: float) -> Markup:
    """Return horizontal grid lines with their values at the left."""
    marks = [
        concat(
            line(left, scale(at), right, scale(at), "grid"),
            label(number(at, 3), left - 8, scale(at) + 4, anchor="end"),
        )
        for at in ticks(scale.low, scale.high, 6)
    ]
    return concat(*marks)


def difference_axis(scale: AxisScale, top: float, bottom: float, n: int = 5) -> Markup:
    """Return vertical grid lines with their signed values below."""
    marks = [
        concat(
            line(scale(at), top, scale(at), bottom, "grid"),
            label(with_sign(at), scale(at), bottom + 18, anchor="middle"),
        )
        for at in ticks(scale.low, scale.high, n)
    ]
    return concat(*marks, line(scale(0.0), top - 6, scale(0.0), bottom, "zero"))


def time_axis(scale: AxisScale, y: float) -> Markup:
    """Return days below a plot, or hours if it spans less than two days."""
    is_short = scale.high - scale.low < 2 * DAY_MS
    unit, room = (HOUR_MS, HOUR_WIDTH) if is_short else (DAY_MS, DAY_WIDTH)
    most = (scale.end - scale.start) / room
    n_units = max((scale.high - scale.low) / unit, 1e-9)
    steps = (1, 2, 3, 6, 12, 24) if is_short else (1, 2, 3, 7, 14, 28, 56, 112)
    step = unit * next((k for k in steps if n_units / k <= most), 365)
    first = math.ceil(scale.low / step)
    shown = [at * step for at in range(first, math.floor(scale.high / step) + 1)]
    texts = [(f"{to_utc(at):%d %b %H:%M}" if is_short else day(at)) for at in shown]
    return concat(
        line(scale.start, y, scale.end, y, "axis"),
        *(
            concat(
                line(scale(at), y, scale(at), y + 4, "axis"),
                # The last one ends with the axis rather than beyond the plot.
                label(
                    text,
                    min(scale(at), scale.end + 10 - CHARACTER * len(text) / 2),
                    y + 18,
                    anchor="middle",
                ),
            )
            for at, text in zip(shown, texts, strict=True)
        ),
    )
