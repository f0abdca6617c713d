"""One final value per unit, and what is known about such values beforehand.

Everything that a promise over all looks rests on is taken from the definition, which a running
experiment cannot change: range, window, the size of effect that the interval is made narrow for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.analysis.reading import Events
from experiments.metrics import Metric, MetricKind
from experiments.statistics.differences import bound_difference
from experiments.statistics.means import EXPECTED_N, Unbounded, ValueModel
from experiments.statistics.units import UnitValue, settle_values
from survey_data.arrays import Floats, Ints

# Recorded values that are shares, whatever bounds the definition gives.
_SHARES = ("refused", "unreadable", "fell_back", "failed", "label_mass", "alignment")
# A deviation of a fifth of a difference's range, as `Bounded` expects, seen with a power of 80 %.
_EXPECTED_SD, _DISTANCE = 0.4, 2.8
_FEWEST, _MOST = 100.0, 1e6


@dataclass(frozen=True, slots=True)
class UnitSample:
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
    """Return the least and the greatest value of a unit, None if they are not known."""
    if kind == "sum":
        return None
    if metric.kind is MetricKind.PROPORTION:
        return 0.0, 1.0
    if metric.lowest is not None and metric.highest is not None:
        return metric.lowest, metric.highest
    return (0.0, 1.0) if metric.name in _SHARES else None


def model_differences(metric: Metric, worth: float, kind: UnitValue) -> ValueModel:
    """Return what is known about differences of a metric before they are seen.

    `worth` is the effect that one wants to see, 0 for none in particular.
    """
    ends = find_value_range(metric, kind)
    if ends is None:
        return Unbounded()
    low, high = ends
    n = (_DISTANCE * _EXPECTED_SD * (high - low) / worth) ** 2 if worth > 0.0 else EXPECTED_N
    return bound_difference(low, high, expected_n=min(max(n, _FEWEST), _MOST))


def take_sample(events: Events, metric: Metric) -> UnitSample:
    """Return the final values of the units of an experiment's arms.

    A sum is of all that a user had, so single requests have none; they have first value and mean.
    """
    experiment, units, values = events.experiment, events.units, events.values[metric.name]
    kind, window_s, now_s = experiment.unit_value, experiment.outcome_window_s, events.now_s
    came = (units.first_s, values.unit, values.at_s, values.value)
    settled = settle_values(*came, window_s=window_s, now_s=now_s, kind=kind)
    takes_part = units.arm >= 0
    if kind == "sum":
        takes_part &= ~units.is_request
    rows = takes_part[settled.units]
    is_left = takes_part.copy()
    is_left[settled.units] = False
    over = units.first_s + window_s < now_s
    found = settled.values[rows]
    ends = find_value_range(metric, kind)
    final = found if ends is None else np.clip(found, *ends)
    n_arms = len(experiment.arms)
    return UnitSample(
        units=settled.units[rows],
        at_s=settled.at_s[rows],
        values=final,
        n_open=np.bincount(units.arm[is_left & ~over], minlength=n_arms),
        n_silent=np.bincount(units.arm[is_left & over], minlength=n_arms),
        n_late=int((values.at_s > units.first_s[values.unit] + window_s).sum()),
        n_clipped=int((final != found).sum()),
    )


def measure_level(values: Floats, quantile: float | None = None) -> float | None:
    """Return the mean of values, or one of their quantiles; None without values."""
    if not values.size:
        return None
    if quantile is None:
        return float(values.mean())
    return float(np.quantile(values, quantile, method="inverted_cdf"))
