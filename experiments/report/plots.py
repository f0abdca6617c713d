"""The plots of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from experiments.analysis.result import (
    Comparison,
    CultureEffect,
    Effect,
    GuardrailEffect,
    Look,
    SampleRatio,
    Span,
)
from experiments.metrics import Direction
from experiments.report.spans import show_with_bounds
from experiments.report.words import orient_worth
from reports import svg
from reports.document import Plot
from reports.markup import Markup, concat, tag
from reports.numbers import number, rate, with_sign

# Small enough to be read on a phone, and to stand beside each other elsewhere.
WIDTH, HEIGHT, MOST_WIDTH = 400.0, 245.0, 480.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 16.0, 10.0, 30.0
FOREST_WIDTH, FOREST_MOST_WIDTH, ROW = 470.0, 540.0, 25.0
STRIP_WIDTH = 260.0
BOLD_CHARACTER = 1.12 * svg.CHARACTER


def draw_effects(comparisons: Sequence[Comparison], control: str) -> tuple[Plot, ...]:
    """Return each arm's effect over time with its confidence sequence, all to the same scale.

    An arm has none before there are two looks.
    """
    drawn = [(each, looks) for each in comparisons if (looks := _looks(each.effect))]
    if not drawn:
        return ()
    lows, highs = zip(*(_effect_range(looks, each.effect) for each, looks in drawn), strict=True)
    y = svg.AxisScale(min(lows), max(highs), HEIGHT - BOTTOM, TOP)
    return tuple(
        Plot(
            "",
            each.arm,
            _effect_plot(each, looks, control, y),
            remark=show_with_bounds(each.effect.span),
        )
        for each, looks in drawn
    )


def _looks(effect: Effect) -> list[Look]:
    """Return the looks that can be drawn; none if they are of one moment only."""
    looks = [look for look in effect.history if look.low is not None and look.high is not None]
    return looks if looks and looks[-1].at_ms > looks[0].at_ms else []


def _effect_plot(
    comparison: Comparison, looks: list[Look], control: str, y: svg.AxisScale
) -> Markup:
    effect = comparison.effect
    x = svg.AxisScale(looks[0].at_ms, looks[-1].at_ms, LEFT, WIDTH - RIGHT)
    interest = orient_worth(effect.metric)
    points = [(x(look.at_ms), y.clamp(look.estimate or 0.0)) for look in looks]
    title = (
        f"{effect.metric.name}, {comparison.arm} less {control}, over time: now "
        f"{show_with_bounds(effect.span)}, interval at {rate(1.0 - effect.alpha)}. Smallest "
        f"effect of interest {with_sign(interest)}."
    )
    return svg.svg(
        svg.value_axis(y, LEFT, WIDTH - RIGHT),
        *_draw_band(looks, x, y),
        svg.line(LEFT, y(0.0), WIDTH - RIGHT, y(0.0), "zero"),
        svg.line(LEFT, y(interest), WIDTH - RIGHT, y(interest), "worth"),
        svg.polyline(points, "estimate"),
        svg.circle(*points[-1], 4.0, "estimate-end"),
        svg.time_axis(x, HEIGHT - BOTTOM),
        width=WIDTH,
        height=HEIGHT,
        title=title,
        most_width=MOST_WIDTH,
    )


def _draw_band(looks: list[Look], x: svg.AxisScale, y: svg.AxisScale) -> tuple[Markup, ...]:
    """Return the confidence sequence; a look holds until the next one."""
    lows, highs = [], []
    for look, following in zip(looks, [*looks[1:], looks[-1]], strict=True):
        for moment in (look.at_ms, following.at_ms):
            lows.append((x(moment), y.clamp(look.low or 0.0)))
            highs.append((x(moment), y.clamp(look.high or 0.0)))
    area = svg.polygon(lows + highs[::-1], "band")
    return (area, svg.polyline(highs, "band-edge"), svg.polyline(lows, "band-edge"))


def draw_culture_effects(comparisons: Sequence[Comparison]) -> tuple[Plot, ...]:
    """Return each arm's forest plot of cultures, raw and pooled, all to the same scale.

    An arm has none before there is an estimate for a culture.
    """
    found = [
        sorted((e for e in each.cultures.effects if e.raw.estimate is not None), key=_middle)[::-1]
        for each in comparisons
    ]
    everything = [effect for own in found for effect in own]
    if not everything:
        return ()
    longest = min(max(len(each.name) for each in everything), svg.MOST_NAME_CHARS)
    ends = _culture_range(everything, comparisons[0].effect)
    x = svg.AxisScale(*ends, 18.0 + BOLD_CHARACTER * longest, FOREST_WIDTH - RIGHT)
    return tuple(
        Plot("", each.arm, _culture_plot(each, own, x))
        for each, own in zip(comparisons, found, strict=True)
        if own
    )


def _culture_plot(comparison: Comparison, shown: list[CultureEffect], x: svg.AxisScale) -> Markup:
    bottom = TOP + ROW * len(shown)
    interest = orient_worth(comparison.effect.metric)
    names = ", ".join(each.name for each in shown if each.found) or "none"
    return svg.svg(
        svg.difference_axis(x, TOP, bottom, 6),
        svg.line(x(interest), TOP - 6, x(interest), bottom, "worth"),
        *(_culture_row(each, x, TOP + ROW * (at + 0.5)) for at, each in enumerate(shown)),
        width=FOREST_WIDTH,
        height=bottom + 26,
        title=f"Effect on {comparison.effect.metric.name} of {comparison.arm} in {len(shown)} "
        f"cultures, raw and pooled; a difference was found in: {names}. The table below has the "
        "numbers.",
        most_width=FOREST_MOST_WIDTH,
    )


def _culture_row(each: CultureEffect, x: svg.AxisScale, y: float) -> Markup:
    bold = "found" if each.found else ""
    parts = [svg.label(svg.shorten(each.name), x.start - 12, y + 4, anchor="end", class_=bold)]
    raw, pooled = each.raw, each.pooled
    if raw.low is not None and raw.high is not None:
        parts.append(svg.line(x.clamp(raw.low), y - 4, x.clamp(raw.high), y - 4, "raw"))
    if raw.estimate is not None:
        parts.append(svg.circle(x.clamp(raw.estimate), y - 4, 3.0, "raw-point"))
    if pooled.estimate is not None and pooled.low is not None and pooled.high is not None:
        parts.append(svg.line(x.clamp(pooled.low), y + 5, x.clamp(pooled.high), y + 5, "pooled"))
        parts.append(svg.square(x.clamp(pooled.estimate), y + 5, "pooled-point"))
    return concat(*parts)


def draw_strip(effect: Effect, everything: Sequence[Effect]) -> Markup | None:
    """Return a small plot of the difference, on one scale for all; None before there is one."""
    sign = -1.0 if effect.metric.direction is Direction.LOWER else 1.0
    low, high = effect.span.low, effect.span.high
    if low is None or high is None or effect.span.estimate is None:
        return None
    gains = sorted((sign * low, sign * high))
    state = "safe" if gains[0] > 0.0 else "violated" if gains[1] < 0.0 else "undecided"
    return _strip(effect, "worth", [each.span for each in everything], state)


def draw_guardrail(guardrail: GuardrailEffect) -> Markup | None:
    """Return a small plot of the difference against its margin; None before there is one."""
    found = guardrail.span
    if found.estimate is None or found.low is None or found.high is None:
        return None
    return _strip(guardrail, "margin", [found], str(guardrail.state))


def _strip(
    effect: Effect, kind: Literal["worth", "margin"], spans: list[Span], state: str
) -> Markup:
    """Return the interval on a line through zero, with what is worth having, or the margin."""
    found = effect.span
    mark = orient_worth(effect.metric) if kind == "worth" else -orient_worth(effect.metric)
    largest = max(abs(mark), *(abs(each.estimate or 0.0) for each in spans))
    ends = map(abs, _known(end for each in spans for end in (each.low, each.high)))
    # A very wide interval is cut, so that the margin is seen.
    reach = 1.1 * max(largest, min(max(ends), 5.0 * largest)) or 1.0
    x = svg.AxisScale(-reach, reach, 6.0, STRIP_WIDTH - 6.0)
    is_up = mark > 0.0 or (mark == 0.0 and effect.metric.direction is Direction.LOWER)
    worse = (x(mark), x.end) if is_up else (x.start, x(mark))
    shade = tag("rect", x=worse[0], y=2, width=worse[1] - worse[0], height=20, class_="worse")
    is_margin = kind == "margin"
    meaning = "worse than the margin from" if is_margin else "smallest effect of interest"
    end = " on" if is_margin else ""
    return svg.svg(
        shade if is_margin else None,
        svg.line(x.start, 12, x.end, 12, "grid"),
        svg.line(x(0.0), 2, x(0.0), 22, "zero"),
        svg.line(x(mark), 2, x(mark), 22, kind),
        svg.line(x.clamp(found.low or 0.0), 12, x.clamp(found.high or 0.0), 12, f"strip {state}"),
        svg.circle(x.clamp(found.estimate or 0.0), 12, 4.5, f"dot {state}"),
        width=STRIP_WIDTH,
        height=24,
        title=f"{effect.metric.name}: {show_with_bounds(found)}; {meaning} {with_sign(mark)}{end}.",
    )


def draw_ratio(ratio: SampleRatio) -> Markup | None:
    """Return the evidence against the split over time, and where it raises the alarm."""
    if len(ratio.history) < 2:
        return None
    height, needed = 190.0, -math.log10(ratio.alpha)
    values = [look.log_e / math.log(10.0) for look in ratio.history]
    x = svg.AxisScale(ratio.history[0].at_ms, ratio.history[-1].at_ms, LEFT, WIDTH - RIGHT)
    y = svg.AxisScale(min(-1.0, *values), max(needed * 1.25, *values), height - BOTTOM, TOP)
    points = [(x(look.at_ms), y(v)) for look, v in zip(ratio.history, values, strict=True)]
    return svg.svg(
        svg.value_axis(y, LEFT, WIDTH - RIGHT),
        svg.line(LEFT, y(needed), WIDTH - RIGHT, y(needed), "margin"),
        svg.label("alarm", LEFT + 6, y(needed) - 5, class_="alarm-text"),
        svg.polyline(points, "alarm-line" if ratio.alarm else "estimate"),
        svg.time_axis(x, height - BOTTOM),
        width=WIDTH,
        height=height,
        title="Evidence against a split according to the weights, over time. "
        + ("It has raised the alarm." if ratio.alarm else "It has raised no alarm.")
        + f" The alarm stands at {number(needed)} powers of ten.",
        most_width=MOST_WIDTH,
    )


def _effect_range(looks: list[Look], effect: Effect) -> tuple[float, float]:
    """Return the values that the later looks need; what is wider before is cut."""
    later = looks[len(looks) // 8 :]
    interest = orient_worth(effect.metric)
    low = min(0.0, interest, *(look.low or 0.0 for look in later))
    high = max(0.0, interest, *(look.high or 0.0 for look in later))
    now = effect.span
    width = (now.high or 0.0) - (now.low or 0.0)
    middle = now.estimate or 0.0
    low = max(low, min(middle - 3.0 * width, -abs(interest), 0.0))
    high = min(high, max(middle + 3.0 * width, abs(interest), 0.0))
    room = 0.06 * (high - low)
    return low - room, high + room


def _culture_range(shown: list[CultureEffect], effect: Effect) -> tuple[float, float]:
    """Return the values of what is estimated, with room for most of the intervals."""
    middles = _known(
        value for each in shown for value in (each.pooled.low, each.pooled.high, each.raw.estimate)
    )
    low, high = min(0.0, *middles), max(0.0, *middles)
    ends = _known(end for each in shown for end in (each.raw.low, each.raw.high))
    wide = 2.0 * (high - low)
    if ends:
        low = max(min(low, *ends), low - wide)
        high = min(max(high, *ends), high + wide)
    interest = orient_worth(effect.metric)
    return min(low, 1.2 * interest), max(high, 1.2 * interest)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _middle(each: CultureEffect) -> float:
    found = each.raw.estimate if each.pooled.estimate is None else each.pooled.estimate
    return 0.0 if found is None else found
