"""Mixtures: by hand, in duality, and their promise by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.mixtures import (
    ExponentialMixture,
    NormalMixture,
    best_precision,
)
from survey_data.arrays import Floats

MIXTURES = (NormalMixture(20.0), ExponentialMixture(20.0))


def row(*numbers: float) -> Floats:
    return np.array(numbers)


def test_normal_mixture_by_hand() -> None:
    # sqrt(1 / (3 + 1)) * exp(4^2 / (2 * (3 + 1))) = exp(2) / 2
    assert NormalMixture(1.0).log_e(row(4.0), row(3.0)) == pytest.approx([2.0 - math.log(2.0)])


@pytest.mark.parametrize("mixture", MIXTURES)
def test_there_is_no_evidence_before_the_first_value(
    mixture: NormalMixture | ExponentialMixture,
) -> None:
    assert mixture.log_e(row(0.0), row(0.0)) == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("mixture", MIXTURES)
@given(squares=st.floats(0.0, 1e6), alpha=st.floats(1e-6, 0.5))
def test_on_the_boundary_the_evidence_is_one_in_alpha(
    mixture: NormalMixture | ExponentialMixture, squares: float, alpha: float
) -> None:
    edge = mixture.boundary(row(squares), alpha=alpha)
    assert mixture.log_e(edge, row(squares)) == pytest.approx([-math.log(alpha)])


@pytest.mark.parametrize("mixture", MIXTURES)
@given(total=st.floats(-50.0, 50.0), squares=st.floats(0.0, 1e4))
def test_evidence_does_not_depend_on_the_sign_of_the_sum(
    mixture: NormalMixture | ExponentialMixture, total: float, squares: float
) -> None:
    there, back = (mixture.log_e(row(at), row(squares)) for at in (total, -total))
    assert there.tolist() == back.tolist()


@pytest.mark.parametrize("mixture", MIXTURES)
def test_evidence_stays_finite_for_long_streams(
    mixture: NormalMixture | ExponentialMixture,
) -> None:
    assert np.isfinite(mixture.log_e(row(1e9, -1e9), row(1e8, 1e8))).all()


def test_the_exponential_boundary_is_nowhere_below_what_one_rate_needs() -> None:
    # exp(s²/2V) bounds every mixture, so s is at least sqrt(2 V log(1/alpha)).
    squares = np.geomspace(1.0, 1e8, 50)
    edge = ExponentialMixture(20.0).boundary(squares, alpha=0.05)
    assert (edge >= np.sqrt(2.0 * squares * math.log(20.0))).all()


def test_the_exponential_boundary_nears_the_normal_one() -> None:
    squares = row(1e6)
    normal = NormalMixture(20.0).boundary(squares, alpha=0.05)
    assert ExponentialMixture(20.0).boundary(squares, alpha=0.05) == pytest.approx(normal, rel=0.02)


def test_best_precision_is_where_the_boundary_is_lowest() -> None:
    best = best_precision(500.0)
    edges = [
        float(NormalMixture(p).boundary(row(500.0), alpha=0.05)[0])
        for p in (best * 0.9, best, best * 1.1)
    ]
    assert min(edges) == edges[1]


def test_a_precision_at_no_squares_is_refused() -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        best_precision(0.0)


def test_each_step_is_expected_not_to_grow_for_the_worst_of_bounded_values() -> None:
    # Two-point values on 0 and 1 with mean m, measured from any c in the range.
    rates = np.geomspace(1e-4, 0.9, 20)
    costs = -np.log1p(-rates) - rates
    for m in (0.01, 0.3, 0.5, 0.99):
        for c in (0.0, 0.2, 0.5, 1.0):
            expected = sum(
                chance * np.exp(rates * (x - m) - costs * (x - c) ** 2)
                for x, chance in ((1.0, m), (0.0, 1.0 - m))
            )
            assert np.max(expected) <= 1.0 + 1e-12
