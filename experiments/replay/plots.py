"""The plot of a replay: how much nearer an arm is to people than control, by culture."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.analysis.result import Span
from experiments.replay import words
from experiments.replay.result import ArmReplay, Replay
from experiments.report.drawing import CHARACTER, Scale, label, line, svg, ticks
from experiments.report.markup import Markup, tag, together
from experiments.report.numbers import signed

WIDTH, ROW = 760.0, 26.0
TOP, RIGHT = 26.0, 40.0
MOST_NAME_CHARS = 26
ALL = "All cultures"


def alignment_plot(replay: Replay, arm: ArmReplay) -> Markup | None:
    """Return the arm's difference in alignment, over all and by culture; None without any.

    All arms of a replay are drawn to one scale.
    """
    rows = _rows(replay, arm)
    scale = _range(span for each in replay.arms for _, span in _rows(replay, each))
    if not rows or scale is None:
        return None
    names = [name if len(name) <= MOST_NAME_CHARS else name[:25] + "…" for name, _ in rows]
    left = 24.0 + CHARACTER * max(map(len, names))
    bottom = TOP + ROW * len(rows)
    x = Scale(*scale, left, WIDTH - RIGHT)
    grid = [
        together(
            line(x(at), TOP, x(at), bottom, "grid"),
            label(signed(at), x(at), bottom + 18, anchor="middle"),
        )
        for at in ticks(x.low, x.high)
    ]
    drawn = [
        _row(name, span, x, TOP + ROW * (at + 0.5), left=left, is_all=at == 0)
        for at, (name, (_, span)) in enumerate(zip(names, rows, strict=True))
    ]
    found, towards = words.difference(rows[0][1]), f"nearer to people than {replay.control} →"
    return svg(
        *grid,
        line(x(0.0), TOP - 6, x(0.0), bottom, "zero"),
        *drawn,
        label(towards, WIDTH - RIGHT, 14, anchor="end", class_="soft"),
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


def _row(name: str, span: Span, x: Scale, y: float, *, left: float, is_all: bool) -> Markup:
    parts = [label(name, left - 12, y + 4, anchor="end", class_="found" if is_all else "")]
    if span.low is not None and span.high is not None:
        parts.append(line(x(span.low), y, x(span.high), y, "pooled" if is_all else "raw"))
    if span.estimate is not None:
        at = x(span.estimate)
        point = (
            tag("rect", x=at - 4, y=y - 4, width=8, height=8, class_="pooled-point")
            if is_all
            else tag("circle", cx=at, cy=y, r=3.5, class_="raw-point")
        )
        parts.append(point)
    return together(*parts)


def _range(spans: Iterable[Span]) -> tuple[float, float] | None:
    ends = [
        end for span in spans for end in (span.low, span.estimate, span.high) if end is not None
    ]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.1
    return low - room, high + room
