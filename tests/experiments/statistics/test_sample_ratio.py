"""The sample-ratio alarm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.sample_ratio import STRENGTHS, sample_ratio_log_e


def test_no_unit_is_no_evidence() -> None:
    assert sample_ratio_log_e([0, 0], [1, 1]) == pytest.approx([0.0])


def test_two_units_by_hand() -> None:
    # With strength s, even weights: the second unit falls on the first one's arm with probability
    # (s/2 + 1) / (s + 1), against 1/2.
    expected = np.mean([2.0 * (s / 2 + 1) / (s + 1) for s in STRENGTHS])
    assert sample_ratio_log_e([[1, 0], [2, 0]], [1, 1]) == pytest.approx(
        [0.0, math.log(expected)], abs=1e-9
    )


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3))
def test_the_order_of_arms_is_of_no_account(counts: list[int]) -> None:
    there = sample_ratio_log_e(counts, [0.5, 0.3, 0.2])
    back = sample_ratio_log_e(counts[::-1], [2.0, 3.0, 5.0])
    assert there == pytest.approx(back, abs=1e-6)


def test_false_alarms_are_few_and_a_shift_is_seen() -> None:
    rng = np.random.default_rng(0)
    n = np.arange(1, 5001)
    alarms = {0.5: 0, 0.56: 0}
    for share in alarms:
        first = np.cumsum(rng.random((200, 5000)) < share, axis=1)
        for row in first:
            log_e = sample_ratio_log_e(np.stack([row, n - row], axis=1), [1, 1])
            alarms[share] += bool((log_e >= math.log(20.0)).any())
    assert alarms[0.5] < 20
    assert alarms[0.56] == 200


@pytest.mark.parametrize(
    ("counts", "weights"),
    [([1, 2], [1.0, 0.0]), ([-1, 2], [1, 1]), ([1, 2], [1, 1, 1]), ([1], [1])],
)
def test_counts_and_weights_that_cannot_be_are_refused(
    counts: list[int], weights: list[float]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        sample_ratio_log_e(counts, weights)
