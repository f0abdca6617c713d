"""Shares in whole percent."""

from __future__ import annotations

from collections.abc import Sequence


def whole_percents(shares: Sequence[float]) -> tuple[int, ...]:
    """Return `shares` in whole percent that sum to 100 (largest remainder, ties to the first)."""
    exact = [100.0 * share for share in shares]
    floors = [int(value) for value in exact]
    missing = 100 - sum(floors)
    order = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for i in order[:missing]:
        floors[i] += 1
    return tuple(floors)
