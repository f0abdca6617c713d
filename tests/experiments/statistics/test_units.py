"""One final value per unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.units import SettledUnits, UnitValue, settle_values

# Units 0, 1, 2 are first seen at 0, 10 and 100 s. Unit 1 answers at 11 and 15 s and, after its
# window of 20 s, at 40 s; unit 0 at 19 s; unit 2 never.
EXPOSED = [0.0, 10.0, 100.0]
UNITS, AT, VALUES = [1, 0, 1, 1], [15.0, 19.0, 11.0, 40.0], [3.0, 7.0, 1.0, 9.0]


def settled(kind: UnitValue, now_s: float) -> SettledUnits:
    return settle_values(EXPOSED, UNITS, AT, VALUES, window_s=20.0, now_s=now_s, kind=kind)


def test_a_mean_is_of_the_window_and_known_when_it_is_over() -> None:
    found = settled("mean", 200.0)
    assert found.units.tolist() == [0, 1]
    assert found.at_s.tolist() == [20.0, 30.0]
    assert found.values.tolist() == [7.0, 2.0]


def test_the_first_outcome_counts_at_once() -> None:
    found = settled("first", 19.0)
    assert found.units.tolist() == [1, 0]
    assert found.at_s.tolist() == [11.0, 19.0]
    assert found.values.tolist() == [1.0, 7.0]


def test_nothing_done_adds_up_to_0() -> None:
    found = settled("sum", 200.0)
    assert found.units.tolist() == [0, 1, 2]
    assert found.values.tolist() == [7.0, 4.0, 0.0]


def test_an_open_window_is_waited_for() -> None:
    found = settled("mean", 25.0)
    assert found.units.tolist() == [0]


def test_nothing_has_settled_without_units() -> None:
    found = settle_values([], [], [], [], window_s=1.0, now_s=5.0)
    assert found.values.size == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from(["first", "mean", "sum"]), st.floats(0.0, 3.0))
def test_what_has_settled_never_changes(seed: int, kind: UnitValue, now_s: float) -> None:
    rng = np.random.default_rng(seed)
    exposed, units = rng.uniform(0.0, 2.0, 20), rng.integers(0, 20, 80)
    at, values = exposed[units] + rng.exponential(0.3, 80), rng.normal(size=80)
    arguments = (exposed, units, at, values)
    early = settle_values(*arguments, window_s=0.5, now_s=now_s, kind=kind)
    late = settle_values(*arguments, window_s=0.5, now_s=9.0, kind=kind)
    n = early.units.size
    assert early.units.tolist() == late.units[:n].tolist()
    assert early.values.tolist() == late.values[:n].tolist()
    assert (np.diff(late.at_s) >= 0.0).all()


def test_outcomes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="as many of each"):
        settle_values([0.0], [0], [1.0], [], window_s=1.0, now_s=5.0)
    with pytest.raises(ValueError, match="outcomes of units 3 to 3 of 1"):
        settle_values([0.0], [3], [1.0], [1.0], window_s=1.0, now_s=5.0)
    with pytest.raises(ValueError, match="more than 0"):
        settle_values([0.0], [0], [1.0], [1.0], window_s=0.0, now_s=5.0)
