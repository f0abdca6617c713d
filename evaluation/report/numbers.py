"""Numbers as a report writes them. What cannot be had is a dash, never 0."""

from __future__ import annotations

from evaluation.figures import Interval

ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def decimal(value: float | None, digits: int = 3) -> str:
    """Return `value` with a fixed number of digits; a value that rounds to zero has no sign."""
    if value is None:
        return ABSENT
    rounded = round(value, digits)
    # Adding zero turns -0.0 into 0.0.
    return f"{rounded + 0.0:.{digits}f}".replace("-", _MINUS)


def interval(value: Interval | None) -> str:
    """Return a value with its interval: '0.739 [0.711, 0.764]'."""
    if value is None:
        return ABSENT
    return f"{decimal(value.value)} [{_bound(value.low)}, {_bound(value.high)}]"


def _bound(bound: float) -> str:
    """Return a bound, with more digits where three would hide on which side of zero it lies."""
    digits = next((n for n in (3, 4, 5, 6) if round(bound, n)), 3)
    return decimal(bound, digits)


def percent(share: float | None) -> str:
    """Return a share in percent with one digit; one that only rounds to 0 or 100 is said so."""
    if share is None:
        return ABSENT
    if 0.0 < share < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= share < 1.0:
        return "over 99.9 %"
    return f"{100.0 * share:.1f} %"


def count(number: int) -> str:
    """Return a count with a thin space between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(number: int, noun: str) -> str:
    """Return a count and its noun, which takes an s where it is not one."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def listed(parts: list[str]) -> str:
    """Return 'a', 'a and b' or 'a, b and c'."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def span(low: str, high: str) -> str:
    """Return 'low to high', or the one where they read the same."""
    return low if low == high else f"{low} to {high}"
