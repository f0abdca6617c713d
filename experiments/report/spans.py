"""Differences and their intervals as a report writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.analysis.result import Span
from reports.numbers import ABSENT, MINUS, decimal

_INFINITY = "\N{INFINITY}"


def find_places(spans: Iterable[Span]) -> int:
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


def show_bounds(found: Span, places: int | None = None) -> str:
    """Return an interval; 'too few units' if there is nothing to say."""
    if not is_known(found):
        return "too few units"
    decimals = find_places([found]) if places is None else places
    low, high = (decimal(end, decimals, is_signed=True) for end in (found.low, found.high))
    low = f"{MINUS}{_INFINITY}" if found.low is None else low
    high = _INFINITY if found.high is None else high
    return f"[{low}, {high}]"


def show_estimate(found: Span, places: int | None = None) -> str:
    """Return the estimate of a difference; a dash if there is nothing to say."""
    if not is_known(found):
        return ABSENT
    decimals = find_places([found]) if places is None else places
    return decimal(found.estimate, decimals, is_signed=True)


def show_with_bounds(found: Span) -> str:
    """Return an estimate and its interval; 'too few units' if there is nothing to say."""
    return f"{show_estimate(found)} {show_bounds(found)}" if is_known(found) else show_bounds(found)


def show_pair(found: Span, places: int) -> tuple[str, str]:
    """Return an estimate and its interval as two cells."""
    return show_estimate(found, places), show_bounds(found, places)
