"""Numbers as a report writes them. What cannot be had is a dash, never 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from experiments.analysis.result import Span

ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_INFINITY = "\N{INFINITY}"


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with so many significant digits, and thin spaces from five digits on."""
    if value is None:
        return ABSENT
    if value == 0.0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, places) + 0.0:,.{max(places, 0)}f}"
    if places > 0:
        text = text.rstrip("0").rstrip(".")
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference, with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0.0 else text


def fixed(value: float | None, places: int, *, is_signed: bool = False) -> str:
    """Return `value` with so many decimals, so that a column of such is easy to compare."""
    if value is None:
        return ABSENT
    rounded = round(value, places) + 0.0
    text = f"{rounded:+,.{places}f}" if is_signed and rounded else f"{rounded:,.{places}f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def places_of(spans: Iterable[Span]) -> int:
    """Return how many decimals the narrowest interval needs for three of its digits."""
    widths = [
        found.high - found.low if found.low is not None and found.high is not None else None
        for found in spans
        if is_known(found)
    ]
    sizes = [math.floor(math.log10(width)) for width in widths if width]
    return min(max(2 - min(sizes, default=-1), 0), 6)


def is_known(found: Span) -> bool:
    """Return whether there is anything to say: an estimate, and an end of its interval."""
    return found.estimate is not None and not (found.low is None and found.high is None)


def interval(found: Span, places: int | None = None) -> str:
    """Return an interval; 'too few units' where there is nothing to say."""
    if not is_known(found):
        return "too few units"
    decimals = places_of([found]) if places is None else places
    low, high = (fixed(end, decimals, is_signed=True) for end in (found.low, found.high))
    low = f"{_MINUS}{_INFINITY}" if found.low is None else low
    high = _INFINITY if found.high is None else high
    return f"[{low}, {high}]"


def difference(found: Span, places: int | None = None) -> str:
    """Return the estimate of a difference; a dash where there is nothing to say."""
    if not is_known(found):
        return ABSENT
    return fixed(found.estimate, places_of([found]) if places is None else places, is_signed=True)


def span(found: Span, places: int | None = None) -> str:
    """Return an estimate and its interval; 'too few units' where there is nothing to say."""
    shown = interval(found, places)
    return f"{difference(found, places)} {shown}" if is_known(found) else shown


def p_value(value: float) -> str:
    """Return a p-value with two digits; very small ones as a bound."""
    return "< 0.0001" if value < 1e-4 else number(value, 2)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent; one that only rounds to 0 or 100 is said so."""
    if share is None:
        return ABSENT
    least = 0.5 * 10.0**-digits / 100.0
    if 0.0 < share < least:
        return f"< {2.0 * 100.0 * least:g} %"
    if 1.0 - least < share < 1.0:
        return f"> {100.0 - 2.0 * 100.0 * least:g} %"
    return f"{100.0 * share:.{digits}f} %"


def rate(share: float) -> str:
    """Return a share that somebody chose, in percent, without a decimal that says nothing."""
    return percent(share).replace(".0 %", " %")


def count(value: int) -> str:
    """Return a count with a thin space between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(value: int, noun: str) -> str:
    """Return a count and its noun, which takes an s where it is not one."""
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def moment(at_ms: int | None) -> str:
    """Return a moment in UTC to the minute; a dash for none."""
    return ABSENT if at_ms is None else f"{when(at_ms):%Y-%m-%d %H:%M} UTC"


def day(at_ms: int) -> str:
    """Return a day, as an axis shows it."""
    return f"{when(at_ms):%d %b}"


def when(at_ms: int) -> datetime:
    """Return milliseconds of UTC since 1970 as a time."""
    return datetime.fromtimestamp(at_ms / 1000.0, UTC)


def duration(seconds: float) -> str:
    """Return a length of time in its largest fitting unit."""
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            value = seconds / length
            shown = f"{value:.1f}".removesuffix(".0")
            return f"{shown} {unit}" + ("" if shown == "1" else "s")
    return f"{seconds:.0f} seconds"


def joined(names: list[str]) -> str:
    """Return 'a', 'a and b' or 'a, b and c'."""
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"
