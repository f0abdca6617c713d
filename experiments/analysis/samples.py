"""One final value per unit, and what is known about such values beforehand.

Everything that a promise over all looks rests on is taken from the definition, which a running
experiment cannot change: range, window, the size of effect that the interval is made narrow for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.analysis.reading import MetricValues, Units
from experiments.metrics import Metric, MetricKind
from experiments.statistics.differences import bound_difference
from experiments.statistics.means import EXPECTED_N, Unbounded
from experiments.statistics.means import ValueModel as Known
from experiments.statistics.units import UnitValue, settle_values
from survey_data.arrays import Floats, Ints

# Recorded values that are shares, whatever bounds the definition gives.
_SHARES = ("refused", "unreadable", "fell_back", "failed", "label_mass", "alignment")
# A deviation of a fifth of a difference's range, as `Bounded` expects, seen with a power of 80 %.
_EXPECTED_SD, _DISTANCE = 0.4, 2.8
_FEWEST, _MOST = 100.0, 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Units with a final value, in the order in which it became so; one array per column.

    Attributes:
        units: indices of units.
        n_open: int64[arms], units that may still get a value.
        n_silent: int64[arms], units whose window is over without one.
        n_late: values after the windows of their units.
        n_clipped: values that were set to an end of the range.
    """

    units: Ints
    at_s: Floats
    values: Floats
    n_open: Ints
    n_silent: Ints
    n_late: int
    n_clipped: int


def find_value_range(metric: Metric, kind: UnitValue) -> tuple[float, float] | None:
    """Return the least and the greatest value of a unit, None where they are not known."""
    if kind == "sum":
        return None
    if metric.kind is MetricKind.PROPORTION:
        return 0.0, 1.0
    if metric.lowest is not None and metric.highest is not None:
        return metric.lowest, metric.highest
    return (0.0, 1.0) if metric.name in _SHARES else None


def model_differences(metric: Metric, worth: float, kind: UnitValue) -> Known:
    """Return what is known about differences of a metric before they are seen.

    Args:
        metric: of which units have values.
        worth: the effect that one wants to see, 0 where none is said.
        kind: what a unit's value is.
    """
    ends = find_value_range(metric, kind)
    if ends is None:
        return Unbounded()
    low, high = ends
    n = float(EXPECTED_N)
    if worth > 0.0:
        n = (_DISTANCE * _EXPECTED_SD * (high - low) / worth) ** 2
    return bound_difference(low, high, expected_n=min(max(n, _FEWEST), _MOST))


def take_sample(
    units: Units,
    values: MetricValues,
    metric: Metric,
    *,
    n_arms: int,
    window_s: float,
    now_s: float,
    kind: UnitValue,
) -> Sample:
    """Return the final values of the units of `n_arms` arms.

    A sum is of all that a user had, so single requests have none; they have first value and mean.
    """
    settled = settle_values(
        units.first_s,
        values.unit,
        values.at_s,
        values.value,
        window_s=window_s,
        now_s=now_s,
        kind=kind,
    )
    takes_part = units.arm >= 0
    if kind == "sum":
        takes_part &= ~units.is_request
    rows = takes_part[settled.units]
    done = np.zeros(len(units), np.bool_)
    done[settled.units] = True
    over = units.first_s + window_s < now_s
    final, n_clipped = _clip(settled.values[rows], find_value_range(metric, kind))
    return Sample(
        units=settled.units[rows],
        at_s=settled.at_s[rows],
        values=final,
        n_open=_count_by_arm(units.arm[takes_part & ~done & ~over], n_arms),
        n_silent=_count_by_arm(units.arm[takes_part & ~done & over], n_arms),
        n_late=int((values.at_s > units.first_s[values.unit] + window_s).sum()),
        n_clipped=n_clipped,
    )


def _clip(values: Floats, ends: tuple[float, float] | None) -> tuple[Floats, int]:
    """Return values within the range that was promised, and how many were not."""
    if ends is None:
        return values, 0
    inside = np.clip(values, *ends)
    return inside, int((inside != values).sum())


def _count_by_arm(arms: Ints, n_arms: int) -> Ints:
    return np.bincount(arms, minlength=n_arms).astype(np.int64)
