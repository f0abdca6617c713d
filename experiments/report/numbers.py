"""Numbers as a report writes them. What cannot be had is a dash, never 0."""

from __future__ import annotations

import math
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


def span(found: Span) -> str:
    """Return an estimate and its interval; 'too few units' where there is nothing to say."""
    if found.estimate is None or (found.low is None and found.high is None):
        return "too few units"
    low = f"{_MINUS}{_INFINITY}" if found.low is None else signed(found.low)
    high = _INFINITY if found.high is None else signed(found.high)
    return f"{signed(found.estimate)} [{low}, {high}]"


def p_value(value: float) -> str:
    """Return a p-value; very small ones as a bound."""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


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
