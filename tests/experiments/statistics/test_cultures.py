"""Effects in many cultures."""

import math

import numpy as np
import pytest

from experiments.statistics.cultures import pool_partially


def test_two_cultures_alike_are_drawn_alike_towards_their_mean() -> None:
    found = pool_partially([0.0, 4.0], [1.0, 1.0])
    assert found.mean == pytest.approx(2.0)
    assert found.estimate.sum() == pytest.approx(4.0)
    assert 0.0 < found.estimate[0] < 2.0
    assert (found.high - found.estimate).tolist() == pytest.approx(
        (found.estimate - found.low).tolist()
    )


def test_certain_effects_stay_and_their_spread_is_theirs() -> None:
    effects = np.random.default_rng(1).normal(1.0, 2.0, 200)
    found = pool_partially(effects, np.full(200, 1e-3))
    assert found.estimate == pytest.approx(effects, abs=1e-4)
    assert found.spread == pytest.approx(2.0, rel=0.1)
    assert (found.high - found.low).max() == pytest.approx(2 * 1.959964e-3, rel=1e-3)


def test_effects_no_farther_apart_than_their_errors_are_nearly_one() -> None:
    found = pool_partially(np.linspace(0.9, 1.1, 30), np.ones(30))
    assert found.spread < 0.3
    assert found.estimate == pytest.approx(np.ones(30), abs=0.02)


def test_one_culture_stays_as_it_is_and_none_is_none() -> None:
    found = pool_partially([2.0, math.nan], [1.0, 1.0])
    assert found.estimate[0] == 2.0
    assert found.low[0] == pytest.approx(2.0 - 1.959964)
    assert math.isnan(found.estimate[1])
    assert math.isnan(pool_partially([], []).mean)


def test_a_less_certain_culture_is_drawn_more() -> None:
    found = pool_partially([0.0, 4.0, 8.0, 8.0], [0.5, 0.5, 0.5, 3.0])
    assert abs(found.estimate[2] - 8.0) < abs(found.estimate[3] - 8.0)


def test_intervals_hold_the_effects_of_cultures() -> None:
    rng, held = np.random.default_rng(0), []
    for _ in range(200):
        effects = rng.normal(1.0, 0.5, 20)
        errors = rng.uniform(0.2, 1.0, 20)
        found = pool_partially(effects + errors * rng.normal(size=20), errors)
        held.append(((found.low <= effects) & (effects <= found.high)).mean())
    assert 0.9 < np.mean(held) < 0.98
