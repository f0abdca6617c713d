"""The plots of a report."""

from __future__ import annotations

import math

from experiments.analysis.result import (
    Comparison,
    CultureEffect,
    Effect,
    GuardrailEffect,
    Look,
    SampleRatio,
    Span,
)
from experiments.definition import Direction
from experiments.report.drawing import (
    CHARACTER,
    Scale,
    label,
    line,
    polygon,
    polyline,
    svg,
    ticks,
    time_axis,
    value_axis,
)
from experiments.report.markup import Markup, tag, together
from experiments.report.numbers import number, percent, signed, span

WIDTH, HEIGHT = 760.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 26.0, 26.0, 34.0
MOST_NAME_CHARS = 26


def effect_plot(comparison: Comparison, control: str) -> Markup | None:
    """Return the effect over time with its confidence sequence; None before there is one."""
    effect = comparison.effect
    looks = [look for look in effect.history if look.low is not None and look.high is not None]
    if not looks:
        return None
    x = Scale(*_times(looks), LEFT, WIDTH - RIGHT)
    y = Scale(*_effect_range(looks, effect), HEIGHT - BOTTOM, TOP)
    worth = _worth(effect)
    name = effect.metric.name
    title = (
        f"{name}, {comparison.arm} less {control}, over time: now {span(effect.span)}, "
        f"interval at {percent(1.0 - effect.alpha)}. Smallest effect of interest "
        f"{signed(worth)}."
    )
    return svg(
        value_axis(y, LEFT, WIDTH - RIGHT),
        _band(looks, x, y),
        line(LEFT, y(0.0), WIDTH - RIGHT, y(0.0), "zero"),
        line(LEFT, y(worth), WIDTH - RIGHT, y(worth), "worth"),
        _estimates(looks, x, y),
        label(
            f"smallest effect of interest {signed(worth)}",
            WIDTH - RIGHT,
            y(worth) + (-5 if worth > 0.0 else 14),
            anchor="end",
            class_="worth-text",
        ),
        time_axis(x, HEIGHT - BOTTOM),
        label(f"{name}: {comparison.arm} less {control}", LEFT, 14),
        width=WIDTH,
        height=HEIGHT,
        title=title,
    )


def _band(looks: list[Look], x: Scale, y: Scale) -> Markup:
    """Return the confidence sequence; a look holds until the next one."""
    lows, highs = [], []
    for look, following in zip(looks, [*looks[1:], looks[-1]], strict=True):
        for moment in (look.at_ms, following.at_ms):
            lows.append((x(moment), y.held(look.low or 0.0)))
            highs.append((x(moment), y.held(look.high or 0.0)))
    return together(
        polygon(lows + highs[::-1], "band"),
        polyline(highs, "band-edge"),
        polyline(lows, "band-edge"),
    )


def _estimates(looks: list[Look], x: Scale, y: Scale) -> Markup:
    points = [(x(look.at_ms), y.held(look.estimate or 0.0)) for look in looks]
    end = tag("circle", cx=points[-1][0], cy=points[-1][1], r=4.0, class_="estimate-end")
    return together(polyline(points, "estimate"), end)


def culture_plot(comparison: Comparison) -> Markup | None:
    """Return the forest plot of cultures, raw and pooled; None without a culture."""
    shown = [each for each in comparison.cultures.effects if each.raw.estimate is not None]
    if not shown:
        return None
    shown.sort(key=lambda each: -(_middle(each)))
    left = 24.0 + CHARACTER * min(max(len(each.name) for each in shown), MOST_NAME_CHARS)
    bottom = TOP + 26.0 * len(shown)
    x = Scale(*_culture_range(shown, comparison.effect), left, WIDTH - RIGHT - 54)
    worth = _worth(comparison.effect)
    grid = [
        together(
            line(x(at), TOP, x(at), bottom, "grid"),
            label(signed(at), x(at), bottom + 18, anchor="middle"),
        )
        for at in ticks(x.low, x.high)
    ]
    names = ", ".join(each.name for each in shown if each.found) or "none"
    return svg(
        *grid,
        line(x(0.0), TOP - 6, x(0.0), bottom, "zero"),
        line(x(worth), TOP - 6, x(worth), bottom, "worth"),
        *(_culture_row(each, x, TOP + 26.0 * (at + 0.5), left) for at, each in enumerate(shown)),
        width=WIDTH,
        height=bottom + 30,
        title=f"Effect on {comparison.effect.metric.name} of {comparison.arm} in {len(shown)} "
        f"cultures, raw and pooled; a difference was found in: {names}. The table below has the "
        "numbers.",
    )


def _culture_row(each: CultureEffect, x: Scale, y: float, left: float) -> Markup:
    name = each.name if len(each.name) <= MOST_NAME_CHARS else each.name[:25] + "…"
    parts = [label(name, left - 12, y + 4, anchor="end", class_="found" if each.found else "")]
    raw, pooled = each.raw, each.pooled
    if raw.low is not None and raw.high is not None:
        parts.append(line(x.held(raw.low), y - 4, x.held(raw.high), y - 4, "raw"))
    if raw.estimate is not None:
        parts.append(tag("circle", cx=x.held(raw.estimate), cy=y - 4, r=3.0, class_="raw-point"))
    if pooled.estimate is not None and pooled.low is not None and pooled.high is not None:
        parts.append(line(x.held(pooled.low), y + 5, x.held(pooled.high), y + 5, "pooled"))
        at = x.held(pooled.estimate)
        parts.append(tag("rect", x=at - 4, y=y + 1, width=8, height=8, class_="pooled-point"))
    if each.found:
        parts.append(label("found", WIDTH - RIGHT, y + 4, anchor="end", class_="found"))
    return together(*parts)


def guardrail_plot(guardrail: GuardrailEffect) -> Markup | None:
    """Return a small plot of the difference against its margin; None before there is one."""
    found, worth = guardrail.span, -_worth(guardrail)
    if found.estimate is None or found.low is None or found.high is None:
        return None
    largest = max(abs(worth), abs(found.estimate))
    # A very wide interval is cut, so that the margin is seen.
    reach = 1.15 * max(largest, min(max(abs(found.low), abs(found.high)), 5.0 * largest)) or 1.0
    x = Scale(-reach, reach, 6.0, 254.0)
    worse = (x(worth), 254.0) if worth > 0.0 or _is_lower(guardrail) else (6.0, x(worth))
    return svg(
        tag("rect", x=worse[0], y=4, width=worse[1] - worse[0], height=32, class_="worse"),
        line(6, 20, 254, 20, "grid"),
        line(x(0.0), 6, x(0.0), 34, "zero"),
        line(x(worth), 4, x(worth), 36, "margin"),
        line(x.held(found.low), 20, x.held(found.high), 20, f"strip {guardrail.state}"),
        tag("circle", cx=x.held(found.estimate), cy=20, r=4.5, class_=f"dot {guardrail.state}"),
        width=260,
        height=40,
        title=f"{guardrail.metric.name}: {span(found)}; worse than the margin from "
        f"{signed(worth)} on.",
    )


def ratio_plot(ratio: SampleRatio) -> Markup | None:
    """Return the evidence against the split over time, and where it raises the alarm."""
    if len(ratio.history) < 2:
        return None
    height, needed = 230.0, -math.log10(ratio.alpha)
    values = [look.log_e / math.log(10.0) for look in ratio.history]
    x = Scale(ratio.history[0].at_ms, ratio.history[-1].at_ms, LEFT, WIDTH - RIGHT)
    y = Scale(min(-1.0, *values), max(needed * 1.25, *values), height - BOTTOM, TOP)
    points = [(x(look.at_ms), y(v)) for look, v in zip(ratio.history, values, strict=True)]
    return svg(
        value_axis(y, LEFT, WIDTH - RIGHT),
        line(LEFT, y(needed), WIDTH - RIGHT, y(needed), "margin"),
        label("alarm", WIDTH - RIGHT, y(needed) - 5, anchor="end", class_="alarm-text"),
        polyline(points, "alarm-line" if ratio.alarm else "estimate"),
        time_axis(x, height - BOTTOM),
        label("evidence against the split, in powers of ten", LEFT, 14),
        width=WIDTH,
        height=height,
        title="Evidence against units falling on the arms by their weights, over time. "
        + ("It has raised the alarm." if ratio.alarm else "It has raised no alarm.")
        + f" The alarm stands at {number(needed)} powers of ten.",
    )


def _times(looks: list[Look]) -> tuple[float, float]:
    first, last = looks[0].at_ms, looks[-1].at_ms
    return (first, last) if last > first else (first - 1800_000, last + 1800_000)


def _effect_range(looks: list[Look], effect: Effect) -> tuple[float, float]:
    """Return the values that the later looks need; what is wider before is cut."""
    later = looks[len(looks) // 8 :]
    worth = _worth(effect)
    low = min(0.0, worth, *(look.low or 0.0 for look in later))
    high = max(0.0, worth, *(look.high or 0.0 for look in later))
    now = effect.span
    width = (now.high or 0.0) - (now.low or 0.0)
    middle = now.estimate or 0.0
    low = max(low, min(middle - 3.0 * width, -abs(worth), 0.0))
    high = min(high, max(middle + 3.0 * width, abs(worth), 0.0))
    room = 0.06 * (high - low)
    return low - room, high + room


def _culture_range(shown: list[CultureEffect], effect: Effect) -> tuple[float, float]:
    """Return the values of what is estimated, with room for most of the intervals."""
    middles = [value for each in shown for value in _ends(each.pooled, each.raw.estimate)]
    low, high = min(0.0, *middles), max(0.0, *middles)
    ends = [end for each in shown for end in (each.raw.low, each.raw.high) if end is not None]
    wide = 2.0 * (high - low)
    if ends:
        low = max(min(low, *ends), low - wide)
        high = min(max(high, *ends), high + wide)
    worth = _worth(effect)
    return min(low, 1.2 * worth), max(high, 1.2 * worth)


def _ends(span: Span, estimate: float | None) -> list[float]:
    return [value for value in (span.low, span.high, estimate) if value is not None]


def _middle(each: CultureEffect) -> float:
    found = each.raw.estimate if each.pooled.estimate is None else each.pooled.estimate
    return 0.0 if found is None else found


def _is_lower(effect: Effect) -> bool:
    return effect.metric.direction is Direction.LOWER


def _worth(effect: Effect) -> float:
    """Return the effect of interest or margin on the side of what is better."""
    return -effect.metric.worth if _is_lower(effect) else effect.metric.worth
