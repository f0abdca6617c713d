"""Blocks of two arms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.differences import (
    BlockShape,
    bound_difference,
    fit_block_shape,
    form_blocks,
)
from experiments.statistics.means import confidence_sequence, log_e_values

units = st.lists(st.tuples(st.booleans(), st.floats(-9.0, 9.0)), max_size=40)
shapes = st.builds(BlockShape, st.integers(1, 3), st.integers(1, 3))
T, C = True, False


def test_blocks_by_hand() -> None:
    found = form_blocks([T, T, C, T, C], [1.0, 2.0, 5.0, 3.0, 7.0])
    assert found.values.tolist() == [1.0 - 5.0, 2.0 - 7.0]
    assert found.completed.tolist() == [2, 4]


def test_a_block_of_two_to_one_takes_means() -> None:
    found = form_blocks([T, C, C, T, T], [1.0, 5.0, 9.0, 3.0, 8.0], shape=BlockShape(2, 1))
    assert found.values.tolist() == [2.0 - 5.0]
    assert found.completed.tolist() == [3]


def test_units_of_different_strata_are_in_no_block() -> None:
    found = form_blocks([T, C, C, T], [1.0, 5.0, 9.0, 3.0], strata=[0, 1, 0, 1])
    assert found.values.tolist() == [1.0 - 9.0, 3.0 - 5.0]
    assert found.completed.tolist() == [2, 3]


def test_an_empty_arm_gives_no_block() -> None:
    assert form_blocks([T, T], [1.0, 2.0]).values.size == 0
    assert form_blocks([], []).values.size == 0


@given(units, shapes)
def test_there_are_as_many_blocks_as_the_arm_with_fewer_can_fill(
    drawn: list[tuple[bool, float]], shape: BlockShape
) -> None:
    treated = [t for t, _ in drawn]
    found = form_blocks(treated, [v for _, v in drawn], shape=shape)
    n_treatment, n_control = treated.count(True), treated.count(False)
    assert found.values.size == min(n_treatment // shape[0], n_control // shape[1])


@given(units)
def test_swapped_arms_turn_every_difference(drawn: list[tuple[bool, float]]) -> None:
    treated, values = np.array([t for t, _ in drawn], bool), [v for _, v in drawn]
    there, back = form_blocks(treated, values), form_blocks(~treated, values)
    assert back.values.tolist() == (-there.values).tolist()


@pytest.mark.parametrize(
    ("treatment", "control", "shape"),
    [
        (0.5, 0.5, (1, 1)),
        (0.25, 0.25, (1, 1)),
        (0.1, 0.9, (1, 9)),
        (0.2, 0.1, (2, 1)),
        (0.4, 0.6, (2, 3)),
        (0.001, 0.9, (1, 10)),
    ],
)
def test_the_shape_suits_the_weights(
    treatment: float, control: float, shape: tuple[int, int]
) -> None:
    assert fit_block_shape(treatment, control) == shape


def test_an_arm_without_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        fit_block_shape(0.5, 0.0)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 arms of 2 units"):
        form_blocks([T], [1.0, 2.0])
    with pytest.raises(ValueError, match="1 strata of 2 units"):
        form_blocks([T, C], [1.0, 2.0], strata=[0])


def test_few_runs_ever_find_what_is_not_there_and_all_what_is() -> None:
    # 200 runs at 5 %: 20 or more have a probability below 0.2 %.
    rng = np.random.default_rng(0)
    values = bound_difference(0.0, 1.0, expected_n=500)
    found = {0.0: 0, 0.2: 0}
    for effect in found:
        for _ in range(200):
            treated = rng.random(2000) < 0.5
            drawn = (rng.random(2000) < 0.4 + effect * treated).astype(float)
            history = values.history(form_blocks(treated, drawn).values)
            found[effect] += bool((log_e_values(history, values) >= math.log(20.0)).any())
    assert found[0.0] < 20
    assert found[0.2] == 200


def test_the_interval_of_a_difference_is_around_it() -> None:
    rng = np.random.default_rng(1)
    treated = rng.random(20_000) < 0.5
    drawn = (rng.random(20_000) < 0.5 + 0.1 * treated).astype(float)
    values = bound_difference(0.0, 1.0, expected_n=5000)
    history = values.history(form_blocks(treated, drawn).values)
    found = confidence_sequence(history, values, alpha=0.05).at(-1)
    assert 0.0 < found.low < 0.1 < found.high < 0.2
