"""Tallies, by hand and against themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.streams import Tally

numbers = st.lists(st.floats(-100.0, 100.0), max_size=30)


def test_history_by_hand() -> None:
    # From the centre 0: 2 - 0, then 4 - 2, then 0 - 3.
    history = Tally(centre=0.0).history([2.0, 4.0, 0.0])

    assert history.n.tolist() == [1, 2, 3]
    assert history.total.tolist() == [2.0, 6.0, 6.0]
    assert history.squares.tolist() == [4.0, 8.0, 17.0]
    assert history.cubes.tolist() == [8.0, 16.0, -11.0]
    assert history.mean.tolist() == [2.0, 3.0, 2.0]


def test_without_a_centre_the_first_value_has_no_distance() -> None:
    assert Tally().history([7.0, 9.0]).squares.tolist() == [0.0, 4.0]


def test_values_are_measured_from_no_farther_than_it_strays() -> None:
    # The mean before the second value is 4, but only 1 is allowed: 5 - 1.
    assert Tally(centre=0.0, strays=1.0).history([4.0, 5.0]).squares.tolist() == [16.0, 32.0]


@given(numbers, numbers, st.none() | st.floats(-10.0, 10.0))
def test_values_in_two_parts_are_as_in_one(
    first: list[float], second: list[float], centre: float | None
) -> None:
    start = Tally(centre=centre)
    parts, whole = start.extend(first).extend(second), start.extend(first + second)

    assert parts.n == whole.n
    assert (parts.total, parts.squares, parts.cubes) == pytest.approx(
        (whole.total, whole.squares, whole.cubes), rel=1e-9, abs=1e-5
    )


def test_a_tally_is_the_last_row_of_its_history() -> None:
    values = np.random.default_rng(0).normal(size=50)
    history, running = Tally().history(values), Tally().extend(values).running

    assert (running.n[0], running.total[0]) == (history.n[-1], history.total[-1])
    assert running.squares[0] == history.squares[-1]


def test_an_empty_stream_has_no_mean() -> None:
    assert np.isnan(Tally().running.mean).all()
    assert Tally().extend([]) == Tally()


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values\[1\] is nan"):
        Tally().history([1.0, float("nan")])
    with pytest.raises(ValueError, match="2 dimensions"):
        Tally().history(np.zeros((2, 2)))
