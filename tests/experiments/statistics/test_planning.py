"""How long an experiment takes."""

import math

import pytest

from experiments.statistics.means import Bounded, Unbounded
from experiments.statistics.planning import Baseline, plan_sample


def test_the_fixed_horizon_by_hand() -> None:
    # (1.95996 + 0.84162)² = 7.8489, times the variances 0.25 + 0.2475 by 0.05², of pairs.
    plan = plan_sample(Baseline.rate(0.5), 0.05, units_per_day=1000.0, n_runs=50)
    assert plan.n_units_fixed == math.ceil(2 * 7.8489 * 0.4975 / 0.0025)


def test_looking_at_will_takes_longer_at_most_and_less_mostly() -> None:
    plan = plan_sample(Baseline.rate(0.5), 0.05, units_per_day=1000.0, n_runs=500)
    quantiles = dict(plan.quantiles)
    assert plan.n_units_fixed < plan.n_units < 2 * plan.n_units_fixed
    assert quantiles[0.25] < plan.n_units_fixed
    assert list(quantiles.values()) == sorted(quantiles.values())
    assert plan.days == pytest.approx(plan.n_units / 1000.0)


def test_equal_seeds_give_equal_plans() -> None:
    first, second = (
        plan_sample(Baseline(1.0, 2.0), 0.3, units_per_day=10.0, n_runs=50, seed=7)
        for _ in range(2)
    )
    assert first == second
    assert isinstance(first.values, Unbounded)


def test_small_arms_and_small_effects_take_longer() -> None:
    base = Baseline(3.6, 1.3, 1.0, 5.0)
    plain = plan_sample(base, 0.2, units_per_day=100.0, n_runs=100)
    assert isinstance(plain.values, Bounded)
    assert plan_sample(base, 0.1, units_per_day=100.0, n_runs=100).n_units > 3 * plain.n_units
    skewed = plan_sample(base, 0.2, units_per_day=100.0, weights=(0.1, 0.9), n_runs=100)
    assert skewed.n_units > 2 * plain.n_units
    assert skewed.shape == (1, 9)
    # Arms of a quarter each get their units half as fast.
    quarter = plan_sample(base, 0.2, units_per_day=100.0, weights=(0.25, 0.25), n_runs=100)
    assert quarter.n_units == plain.n_units
    assert quarter.days == pytest.approx(2 * plain.days)


def test_what_cannot_be_planned_is_refused() -> None:
    base = Baseline.rate(0.5)
    with pytest.raises(ValueError, match=r"a mean of 1\.1 after the effect"):
        plan_sample(base, 0.6, units_per_day=1.0)
    with pytest.raises(ValueError, match="other than 0"):
        plan_sample(base, 0.0, units_per_day=1.0)
    with pytest.raises(ValueError, match="units per day"):
        plan_sample(base, 0.1, units_per_day=0.0)
    with pytest.raises(ValueError, match="weights"):
        plan_sample(base, 0.1, units_per_day=1.0, weights=(0.9, 0.9))
    with pytest.raises(ValueError, match="a power of"):
        plan_sample(base, 0.1, units_per_day=1.0, power=1.0)
    with pytest.raises(ValueError, match="a rate of"):
        Baseline.rate(1.0)
    with pytest.raises(ValueError, match="both ends or none"):
        Baseline(0.5, 0.5, low=0.0)
