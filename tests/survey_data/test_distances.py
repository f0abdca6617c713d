"""Distances against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2, nan, sqrt

import pytest

from survey_data.distances import distribution_similarity, total_variation, wasserstein

OfShares = Callable[[Sequence[float], Sequence[float]], float]


@pytest.mark.parametrize(
    ("shares", "wanted", "expected"),
    [
        ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], 1.0),
        ([1.0, 0.0], [0.0, 1.0], 0.0),
        ([1.0], [1.0], 1.0),
        # Middle (3/4, 1/4). KL of (1, 0): log2(4/3). KL of (1/2, 1/2): log2(2/3)/2 + log2(2)/2.
        ([1.0, 0.0], [0.5, 0.5], 1 - sqrt((log2(4 / 3) + log2(2 / 3) / 2 + 0.5) / 2)),
    ],
)
def test_distribution_similarity(shares: list[float], wanted: list[float], expected: float) -> None:
    assert distribution_similarity(shares, wanted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shares", "wanted", "expected"),
    [
        ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0], 1.0),
        ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], 0.5),
        ([0.2, 0.8], [0.2, 0.8], 0.0),
        ([0.2, 0.8], [0.5, 0.5], 0.3),
        # Cumulated 0.5, 0.5, 1 and 0, 1, 1: (0.5 + 0.5) / 2
        ([0.5, 0.0, 0.5], [0.0, 1.0, 0.0], 0.5),
    ],
)
def test_wasserstein(shares: list[float], wanted: list[float], expected: float) -> None:
    assert wasserstein(shares, wanted) == pytest.approx(expected)


def test_total_variation() -> None:
    # (|0.6 - 0.1| + |0.3 - 0.3| + |0.1 - 0.6|) / 2
    assert total_variation((0.6, 0.3, 0.1), (0.1, 0.3, 0.6)) == pytest.approx(0.5)
    # (0.3 + 0.1 + 0.2) / 2
    assert total_variation([0.5, 0.3, 0.2], [0.2, 0.4, 0.4]) == pytest.approx(0.3)
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1.0


@pytest.mark.parametrize("metric", [distribution_similarity, wasserstein, total_variation])
@pytest.mark.parametrize(
    ("shares", "wanted", "message"),
    [
        ([0.5, 0.5], [0.2, 0.3, 0.5], "equal numbers"),
        ([0.5, 0.5], [0.5, 0.4], "expected 1"),
        ([1.5, -0.5], [0.5, 0.5], "below 0"),
        ([nan, 0.5], [0.5, 0.5], "below 0"),
        ([], [], "expected 1"),
    ],
)
def test_what_are_no_shares_is_refused(
    metric: OfShares, shares: list[float], wanted: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(shares, wanted)


def test_rounded_shares_are_normalised() -> None:
    assert distribution_similarity([0.333] * 3, [1 / 3] * 3) == pytest.approx(1.0, abs=1e-6)


def test_one_option_is_no_scale() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        wasserstein([1.0], [1.0])
