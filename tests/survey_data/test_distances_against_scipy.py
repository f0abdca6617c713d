"""Metrics against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from survey_data.distances import distribution_similarity, wasserstein


@st.composite
def pairs_of_shares(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    n_options = draw(st.integers(2, 11))
    counts = st.lists(st.integers(0, 1000), min_size=n_options, max_size=n_options)
    one, other = draw(counts.filter(any)), draw(counts.filter(any))
    return [n / sum(one) for n in one], [n / sum(other) for n in other]


@given(pairs_of_shares())
def test_distribution_similarity(shares: tuple[list[float], list[float]]) -> None:
    one, other = shares
    found = distribution_similarity(one, other)

    # The square root makes 1e-16 of rounding 1e-8 where the shares are equal.
    assert found == pytest.approx(1 - np.nan_to_num(jensenshannon(one, other, base=2)), abs=1e-7)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(distribution_similarity(other, one))


@given(pairs_of_shares())
def test_wasserstein(shares: tuple[list[float], list[float]]) -> None:
    one, other = shares
    positions = np.linspace(0.0, 1.0, len(one))

    expected = wasserstein_distance(positions, positions, one, other)
    assert wasserstein(one, other) == pytest.approx(expected, abs=1e-9)
