"""Whole percents sum to 100 and stay near the shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompting.percents import whole_percents


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=20).filter(any))
def test_whole_percents_sum_to_100_and_stay_within_one(counts: list[int]) -> None:
    shares = [count / sum(counts) for count in counts]
    percents = whole_percents(shares)
    assert sum(percents) == 100
    assert all(abs(n - 100 * share) < 1 for n, share in zip(percents, shares, strict=True))


@pytest.mark.parametrize(
    ("shares", "percents"),
    [
        ((1 / 3, 1 / 3, 1 / 3), (34, 33, 33)),
        ((0.995, 0.005), (100, 0)),
        ((0.29, 0.71), (29, 71)),
        ((0.0, 1.0), (0, 100)),
    ],
)
def test_whole_percents_by_hand(shares: tuple[float, ...], percents: tuple[int, ...]) -> None:
    assert whole_percents(shares) == percents
