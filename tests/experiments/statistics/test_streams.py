"""Streams, by hand."""

import numpy as np
import pytest

from experiments.statistics.streams import EMPTY, run_through


def test_history_by_hand() -> None:
    # From the centre 0: 2 - 0, then 4 - 2, then 0 - 3.
    history = run_through([2.0, 4.0, 0.0], centre=0.0)

    assert history.n.tolist() == [1, 2, 3]
    assert history.total.tolist() == [2.0, 6.0, 6.0]
    assert history.squares.tolist() == [4.0, 8.0, 17.0]
    assert history.cubes.tolist() == [8.0, 16.0, -11.0]
    assert history.mean.tolist() == [2.0, 3.0, 2.0]


def test_without_a_centre_the_first_value_has_no_distance() -> None:
    assert run_through([7.0, 9.0]).squares.tolist() == [0.0, 4.0]


def test_values_are_measured_from_no_farther_than_it_strays() -> None:
    # The mean before the second value is 4, but only 1 is allowed: 5 - 1.
    assert run_through([4.0, 5.0], centre=0.0, strays=1.0).squares.tolist() == [16.0, 32.0]


def test_an_empty_stream_has_no_mean() -> None:
    assert np.isnan(EMPTY.mean).all()
    assert run_through([]).n.size == 0


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values\[1\] is nan"):
        run_through([1.0, float("nan")])
    with pytest.raises(ValueError, match="2 dimensions"):
        run_through(np.zeros((2, 2)))
