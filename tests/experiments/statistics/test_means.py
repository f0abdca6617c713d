"""Confidence sequences of means."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.means import (
    MIN_N,
    Bounded,
    Unbounded,
    ValueModel,
    confidence_sequence,
    log_e_values,
    p_values,
    standard_errors,
)
from experiments.statistics.streams import EMPTY
from survey_data.arrays import Floats

SHARE = Bounded(0.0, 1.0)
KINDS: tuple[ValueModel, ...] = (Bounded(-5.0, 5.0), Unbounded(min_n=2))
streams = st.lists(st.floats(-5.0, 5.0).map(lambda x: round(x, 3)), min_size=1, max_size=40)


def test_nothing_is_said_of_no_values() -> None:
    bounded = confidence_sequence(EMPTY, SHARE, alpha=0.05).at(-1)
    assert math.isnan(bounded.estimate)
    assert (bounded.low, bounded.high) == (0.0, 1.0)
    endless = Unbounded()
    found = confidence_sequence(EMPTY, endless, alpha=0.05).at(-1)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert log_e_values(EMPTY, endless).tolist() == [0.0]


def test_one_bounded_value_leaves_the_whole_range() -> None:
    found = confidence_sequence(SHARE.history([1.0]), SHARE, alpha=0.05).at(-1)
    assert found == (1.0, 0.0, 1.0)


def test_equal_values_say_much_of_a_share_and_nothing_without_a_range() -> None:
    share = confidence_sequence(SHARE.history(np.zeros(2000)), SHARE, alpha=0.05).at(-1)
    assert share.low == 0.0
    assert 0.0 < share.high < 0.01
    endless = Unbounded()
    found = confidence_sequence(endless.history(np.full(2000, 3.0)), endless, alpha=0.05)
    assert np.isinf(found.high).all()


def test_an_unbounded_stream_is_silent_before_the_least_number() -> None:
    values = Unbounded()
    history = values.history(np.random.default_rng(0).normal(size=2 * MIN_N))
    found = confidence_sequence(history, values, alpha=0.05)
    assert np.isinf(found.high[: MIN_N - 1]).all()
    assert np.isfinite(found.high[-1])


def test_a_skewed_unbounded_stream_is_silent_for_longer() -> None:
    values = Unbounded()
    skewed = np.random.default_rng(0).lognormal(0.0, 1.0, 2 * MIN_N)
    found = confidence_sequence(values.history(skewed), values, alpha=0.05)
    assert np.isinf(found.high).all()


def test_the_unbounded_interval_by_hand() -> None:
    # Squares of 0, 2, 0, ... about the mean before: with precision r and n values, the reach is
    # sd / n * sqrt((n + r) * (log((n + r) / r) + 2 log(1 / alpha))).
    values = Unbounded(min_n=2)
    history = values.history([0.0, 2.0, 1.0])  # squares 0 + 4 + 0, so sd = sqrt(2)
    r = values.mixture.precision
    reach = math.sqrt(2.0) / 3.0 * math.sqrt((3 + r) * (math.log((3 + r) / r) + 2 * math.log(20)))
    found = confidence_sequence(history.at([2]), values, alpha=0.05).at(0)
    assert (found.estimate, found.high) == (1.0, math.inf)  # skewed: cubes 8 of squares 4
    even = values.history([0.0, 2.0, -1.0, 1.0 / 3.0])  # cubes 8 - 8 + 0
    reach = math.sqrt(8.0 / 3.0) / 4.0
    reach *= math.sqrt((4 + r) * (math.log((4 + r) / r) + 2 * math.log(20)))
    found = confidence_sequence(even, values, alpha=0.05).at(-1)
    assert found.high == pytest.approx(1.0 / 3.0 + reach)


@pytest.mark.parametrize("values", KINDS)
@given(stream=streams, alphas=st.tuples(st.floats(1e-4, 0.9), st.floats(1e-4, 0.9)))
def test_a_smaller_alpha_never_narrows(
    values: ValueModel, stream: list[float], alphas: tuple[float, float]
) -> None:
    history = values.history(stream)
    strict = confidence_sequence(history, values, alpha=min(alphas))
    loose = confidence_sequence(history, values, alpha=max(alphas))
    assert (strict.low <= loose.low + 1e-9).all()
    assert (strict.high >= loose.high - 1e-9).all()


@pytest.mark.parametrize("values", KINDS)
@given(stream=streams)
def test_turned_values_turn_the_interval(values: ValueModel, stream: list[float]) -> None:
    there = confidence_sequence(values.history(stream), values, alpha=0.1)
    back = confidence_sequence(values.history([-x for x in stream]), values, alpha=0.1)
    assert back.low == pytest.approx(-there.high)
    assert back.high == pytest.approx(-there.low)


@settings(max_examples=50)
@given(stream=streams, shift=st.integers(-8, 8))
def test_moved_values_move_the_interval(stream: list[float], shift: int) -> None:
    pairs: tuple[tuple[ValueModel, ValueModel], ...] = (
        (Bounded(-5.0, 5.0), Bounded(-5.0 + shift, 5.0 + shift)),
        (Unbounded(min_n=2), Unbounded(min_n=2)),
    )
    for values, moved in pairs:
        here = confidence_sequence(values.history(stream), values, alpha=0.1)
        there = confidence_sequence(moved.history([x + shift for x in stream]), moved, alpha=0.1)
        # Distances of 1e-16 of equal values may or may not be 0.
        if values.history(stream).squares[-1] > 1e-9:
            assert there.low[-1] == pytest.approx(here.low[-1] + shift, abs=1e-6)
            assert there.high[-1] == pytest.approx(here.high[-1] + shift, abs=1e-6)


@pytest.mark.parametrize("values", [SHARE, Unbounded()])
def test_interval_and_evidence_agree(values: ValueModel) -> None:
    drawn = np.random.default_rng(3).random(1000) < 0.6
    history = values.history(drawn.astype(np.float64))
    found = confidence_sequence(history, values, alpha=0.05)
    outside = (found.low > 0.5) | (found.high < 0.5)
    assert outside.any()
    assert (outside == (log_e_values(history, values, null=0.5) >= math.log(20.0))).all()


def test_p_values_never_rise() -> None:
    found = p_values(np.log([0.5, 4.0, 2.0, 10.0]))
    assert found.tolist() == pytest.approx([1.0, 0.25, 0.25, 0.1])
    assert p_values(np.empty(0)).size == 0


def test_standard_errors_by_hand() -> None:
    # 0 and 2: squares 4 about the value before, so sd 2, error 2 / sqrt(2).
    found = standard_errors(Unbounded().history([0.0, 2.0]))
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(math.sqrt(2.0))


def _ever_missed(values: ValueModel, drawn: Floats, truth: float) -> int:
    return sum(
        bool((log_e_values(values.history(run), values, null=truth) >= math.log(20.0)).any())
        for run in drawn
    )


def test_few_runs_ever_miss_the_mean() -> None:
    # 300 runs at 5 %: 15 expected at most, 28 or more with a probability below 0.1 %.
    rng = np.random.default_rng(5)
    assert _ever_missed(SHARE, (rng.random((300, 1000)) < 0.1).astype(float), 0.1) < 28
    assert _ever_missed(Unbounded(), rng.lognormal(0.0, 0.5, (300, 1000)), math.exp(0.125)) < 28


@pytest.mark.parametrize(
    ("low", "high", "n", "sd", "follows"),
    [
        (1.0, 1.0, 1000, None, 1.0),
        (0.0, math.inf, 1000, None, 1.0),
        (0.0, 1.0, 0, None, 1.0),
        (0.0, 1.0, 1000, 0.0, 1.0),
        (0.0, 1.0, 1000, None, 2.0),
    ],
)
def test_what_cannot_be_known_of_values_is_refused(
    low: float, high: float, n: float, sd: float | None, follows: float
) -> None:
    with pytest.raises(ValueError, match="expected"):
        Bounded(low, high, expected_n=n, expected_sd=sd, follows=follows)


def test_a_value_outside_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values\[1\] is 1.5; expected 0 to 1"):
        SHARE.history([0.0, 1.5])


def test_a_claim_from_one_value_on_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        Unbounded(min_n=1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        confidence_sequence(EMPTY, SHARE, alpha=alpha)
