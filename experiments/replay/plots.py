"""The plot of a replay: how much nearer an arm is to people than control, by culture."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.analysis.result import Span
from experiments.replay import words
from experiments.replay.result import ArmReplay, Replay
from reports import svg
from reports.markup import Markup, concat

WIDTH, ROW = 760.0, 26.0
TOP, RIGHT = 26.0, 40.0
ALL = "All cultures"


def draw_alignment(replay: Replay, arm: ArmReplay) -> Markup | None:
    """Return the arm's difference in alignment, over all and by culture; None without any.

    All arms of a replay are drawn to the same scale.
    """
    rows = _rows(replay, arm)
    scale = _range(span for each in replay.arms for _, span in _rows(replay, each))
    if not rows or scale is None:
        return None
    names = [svg.shorten(name) for name, _ in rows]
    left = 24.0 + svg.CHARACTER * max(map(len, names))
    bottom = TOP + ROW * len(rows)
    x = svg.AxisScale(*scale, left, WIDTH - RIGHT)
    marks = [
        _row(name, span, x, TOP + ROW * (at + 0.5), left=left, is_all=at == 0)
        for at, (name, (_, span)) in enumerate(zip(names, rows, strict=True))
    ]
    found, towards = (
        words.show_difference(rows[0][1]),
        f"nearer to people than {replay.control} →",
    )
    return svg.svg(
        svg.difference_axis(x, TOP, bottom),
        *marks,
        svg.label(towards, WIDTH - RIGHT, 14, anchor="end", class_="soft"),
        width=WIDTH,
        height=bottom + 30,
        title=f"Alignment, {arm.name} less {replay.control}: {found}, and in each of "
        f"{len(rows) - 1} cultures.",
    )


def _rows(replay: Replay, arm: ArmReplay) -> list[tuple[str, Span]]:
    """Return the difference over all and those of cultures, the largest first."""
    if "alignment" not in arm.differences:
        return []
    overall = arm.differences["alignment"].span
    by_culture = [
        (each.name, span)
        for each in replay.cultures
        if (span := each.differences[arm.name].span).estimate is not None
    ]
    by_culture.sort(key=lambda each: -(each[1].estimate or 0.0))
    return [(ALL, overall), *by_culture] if overall.estimate is not None else []


def _row(name: str, span: Span, x: svg.AxisScale, y: float, *, left: float, is_all: bool) -> Markup:
    parts = [svg.label(name, left - 12, y + 4, anchor="end", class_="found" if is_all else "")]
    if span.low is not None and span.high is not None:
        parts.append(svg.line(x(span.low), y, x(span.high), y, "pooled" if is_all else "raw"))
    if span.estimate is not None:
        at = x(span.estimate)
        parts.append(
            svg.square(at, y, "pooled-point") if is_all else svg.circle(at, y, 3.5, "raw-point")
        )
    return concat(*parts)


def _range(spans: Iterable[Span]) -> tuple[float, float] | None:
    ends = [
        end for span in spans for end in (span.low, span.estimate, span.high) if end is not None
    ]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.1
    return low - room, high + room
