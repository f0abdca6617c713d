"""How far two share distributions lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from milieu_client.figures import OptionShare


def js_distance(one: Sequence[OptionShare], other: Sequence[OptionShare]) -> float:
    """Return the Jensen-Shannon distance of two answers to the same options, in [0, 1].

    0 is the same shares, 1 no option in common. It is the square root of the divergence to base 2,
    and 1 minus what `milieu evaluate` reports as similarity.

    Args:
        one: the options with their shares; together 1, up to rounding.
        other: the same options, by number, in the same order.

    Raises:
        ValueError: there are no options, or they are not the same ones.
    """
    if not one or [share.number for share in one] != [share.number for share in other]:
        raise ValueError("expected shares of the same options, in the same order")
    first, second = _normalise(one), _normalise(other)
    middle = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    divergence = (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2
    # Rounding takes it below 0 for nearly equal shares, and above 1 for disjoint ones.
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def _normalise(shares: Sequence[OptionShare]) -> list[float]:
    total = math.fsum(share.share for share in shares)
    return [share.share / total for share in shares]


def _relative_entropy(shares: Sequence[float], middle: Sequence[float]) -> float:
    return math.fsum(p * math.log2(p / m) for p, m in zip(shares, middle, strict=True) if p > 0)
