"""Confidence sequences of quantiles."""

import math

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from experiments.statistics.mixtures import best_precision
from experiments.statistics.quantiles import (
    count_bounds,
    quantile_difference,
    quantile_sequence,
)


def test_few_values_leave_both_ends_open() -> None:
    for values in ([], [3.0], [3.0, 4.0]):
        found = quantile_sequence(values, 0.5, alpha=0.05).at(-1)
        assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isnan(quantile_sequence([], 0.5, alpha=0.05).at(-1).estimate)
    assert quantile_sequence([5.0, 1.0, 3.0], 0.5, alpha=0.05).at(-1).estimate == 3.0


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_count_bounds_are_those_of_a_search_over_all_counts(p: float) -> None:
    n, strength = 200, best_precision(1000 * p * (1 - p)) / (p * (1 - p))
    counts = np.arange(n + 1)
    mixed = betabinom.logpmf(counts, n, strength * p, strength * (1 - p))
    inside = np.flatnonzero(mixed - binom.logpmf(counts, n, p) < math.log(20.0))
    fewest, most = count_bounds(np.array([n]), p, alpha=0.05)
    assert (fewest[0], most[0]) == (inside[0], inside[-1])


def test_equal_values_are_the_quantile() -> None:
    found = quantile_sequence(np.full(500, 2.0), 0.5, alpha=0.05).at(-1)
    assert found == (2.0, 2.0, 2.0)


def test_looks_are_of_the_first_values_only() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = quantile_sequence(values, 0.5, alpha=0.05, looks=[100, 400])
    assert found.at(0) == quantile_sequence(values[:100], 0.5, alpha=0.05).at(0)


def test_few_runs_ever_miss_the_quantile() -> None:
    # 300 runs at 5 %: 28 or more have a probability below 0.1 %.
    rng, n = np.random.default_rng(1), np.arange(1, 1001)
    fewest, most = count_bounds(n, 0.9, alpha=0.05)
    below = np.cumsum(rng.random((300, 1000)) < 0.9, axis=1)
    assert ((below < fewest) | (below > most)).any(axis=1).sum() < 28


def test_a_difference_takes_the_outer_ends() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(1.0, 1.0, 2000), rng.normal(0.0, 1.0, 1500)
    treatment, control = (quantile_sequence(x, 0.5, alpha=0.025) for x in (a, b))
    found = quantile_difference(treatment, control).at(-1)
    assert found.low == treatment.at(-1).low - control.at(-1).high
    assert 0.0 < found.low < 1.0 < found.high
    with pytest.raises(ValueError, match="looks"):
        quantile_difference(treatment, quantile_sequence(b, 0.5, alpha=0.025, looks=[10, 20]))


def test_what_is_no_quantile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the 1\.0-quantile"):
        quantile_sequence([1.0], 1.0, alpha=0.05)
    with pytest.raises(ValueError, match="looks after 2 to 2 of 1 values"):
        quantile_sequence([1.0], 0.5, alpha=0.05, looks=[2])
