"""Numbers as reports write them. A missing value is a dash, never 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with that many significant digits, and thin spaces between thousands."""
    if value is None:
        return ABSENT
    if value == 0.0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, places) + 0.0:,.{max(places, 0)}f}"
    return _typeset(text.rstrip("0").rstrip(".") if places > 0 else text)


def with_sign(value: float | None, digits: int = 3) -> str:
    """Return a difference, with its sign and that many significant digits."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0.0 else text


def decimal(value: float | None, places: int = 3, *, is_signed: bool = False) -> str:
    """Return `value` with a fixed number of decimals, so that a column is easy to compare.

    A value that rounds to zero has no sign.
    """
    if value is None:
        return ABSENT
    # Adding zero turns -0.0 into 0.0.
    rounded = round(value, places) + 0.0
    sign = "+" if is_signed and rounded else ""
    return _typeset(f"{rounded:{sign},.{places}f}")


def interval(found: tuple[float, float, float] | None) -> str:
    """Return a value with the low and high end of its interval: '0.739 [0.711, 0.764]'."""
    if found is None:
        return ABSENT
    value, low, high = found
    return f"{decimal(value)} [{_bound(low)}, {_bound(high)}]"


def _bound(bound: float) -> str:
    """Return a bound, with more digits if three would hide on which side of zero it lies."""
    return decimal(bound, next((n for n in (3, 4, 5, 6) if round(bound, n)), 3))


def p_value(value: float) -> str:
    """Return a p-value with two digits; very small ones as a bound."""
    return "< 0.0001" if value < 1e-4 else number(value, 2)


def percent(share: float | None, places: int = 1) -> str:
    """Return a share in percent; one that only rounds to 0 or 100 is shown as under or over."""
    if share is None:
        return ABSENT
    unit = 10.0**-places
    if 0.0 < share < 0.005 * unit:
        return f"under {unit:g} %"
    if 1.0 - 0.005 * unit <= share < 1.0:
        return f"over {100.0 - unit:g} %"
    return f"{100.0 * share:.{places}f} %"


def rate(share: float) -> str:
    """Return a share that somebody chose, in percent, without a needless decimal."""
    return percent(share).replace(".0 %", " %")


def count(value: int) -> str:
    """Return a count with a thin space between thousands."""
    return _typeset(f"{value:,}")


def quantity(value: int, noun: str) -> str:
    """Return a count and its noun, which takes an s unless the count is one."""
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def join_names(names: Sequence[str]) -> str:
    """Return 'a', 'a and b' or 'a, b and c'."""
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def moment(at_ms: int | None) -> str:
    """Return a moment in UTC to the minute; a dash for none."""
    return ABSENT if at_ms is None else f"{to_utc(at_ms):%Y-%m-%d %H:%M} UTC"


def day(at_ms: float) -> str:
    """Return a day, as an axis shows it."""
    return f"{to_utc(at_ms):%d %b}"


def to_utc(at_ms: float) -> datetime:
    """Return milliseconds of UTC since 1970 as a time."""
    return datetime.fromtimestamp(at_ms / 1000.0, UTC)


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            shown = f"{seconds / length:.1f}".removesuffix(".0")
            return f"{shown} {unit}" + ("" if shown == "1" else "s")
    return f"{seconds:.0f} seconds"


def _typeset(text: str) -> str:
    return text.replace(",", _THIN_SPACE).replace("-", MINUS)
