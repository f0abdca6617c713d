"""One final value per unit.

A unit is what arms are assigned to: a user with many answers. Its answers resemble each other, so
counting each as a value of its own would claim far more evidence than there is; and a mean of the
unit that is corrected with every new answer turns old values into new ones, for which no bound on
all looks together holds (decision page 13). So a unit counts once, at a moment that its assignment
and the plan fix, and what it does afterwards changes nothing: it *settles*.

A unit's window begins with its first exposure and includes both its ends. A unit without any
outcome has the sum 0, but no mean and no first: it is silent, and a comparison then covers only
those who answered. If an arm changes who answers, take the sum, or give outcomes of 0.

Times are seconds from any common start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.streams import check_finite
from survey_data.arrays import Floats, Ints, Truths

UnitValue = Literal["first", "mean", "sum"]
"""A unit's value: its first outcome in its window, which settles it at once, or the mean or sum of
all of them, which settles when the window is over."""


@dataclass(frozen=True, slots=True)
class SettledUnits:
    """Units whose values are final, in the order in which they became so, then by index.

    Attributes:
        units: int64[k], indices of units.
        at_s: float64[k], when each settled, ascending.
        values: float64[k].
    """

    units: Ints
    at_s: Floats
    values: Floats


def settle_values(
    exposed_at_s: ArrayLike,
    outcome_units: ArrayLike,
    outcome_at_s: ArrayLike,
    outcome_values: ArrayLike,
    *,
    window_s: float,
    now_s: float,
    kind: UnitValue = "mean",
) -> SettledUnits:
    """Return the final values of all units that have settled by `now_s`.

    Args:
        exposed_at_s: float64[u], the first exposure of each unit.
        outcome_units: int64[m], the unit of each outcome, an index into `exposed_at_s`.
        outcome_at_s: float64[m], when it was received, in any order.
        outcome_values: float64[m].
        window_s: above 0.
        now_s: the moment of looking; later outcomes are not looked at.
        kind: what a unit's value is.

    Raises:
        ValueError: arrays of outcomes differ in length, an outcome has no such unit, a number is
            not finite, or `window_s` is not above 0.
    """
    exposed = check_finite(exposed_at_s, "exposed_at_s")
    units, at, values = _check_outcomes(outcome_units, outcome_at_s, outcome_values, exposed.size)
    if not window_s > 0.0:
        raise ValueError(f"a window of {window_s} s; expected more than 0")
    closes = exposed + window_s
    over = closes < now_s
    inside = (at >= exposed[units]) & (at <= closes[units]) & (at <= now_s)
    units, at, values = units[inside], at[inside], values[inside]
    if kind == "first":
        done, settles, final = _find_first(units, at, values, closes)
    else:
        (done, final), settles = _add_up(units, values, over, kind), closes
    rows = np.flatnonzero(done)
    rows = rows[np.argsort(settles[rows], kind="stable")]
    return SettledUnits(rows.astype(np.int64), settles[rows], final[rows])


def _check_outcomes(
    outcome_units: ArrayLike, outcome_at_s: ArrayLike, outcome_values: ArrayLike, n_units: int
) -> tuple[Ints, Floats, Floats]:
    at = check_finite(outcome_at_s, "outcome_at_s")
    values = check_finite(outcome_values, "outcome_values")
    units = np.asarray(outcome_units, dtype=np.int64)
    if not units.shape == at.shape == values.shape:
        raise ValueError(
            f"{units.size} units, {at.size} times and {values.size} values of outcomes; "
            "expected as many of each"
        )
    if units.size and not (units.min() >= 0 and units.max() < n_units):
        raise ValueError(f"outcomes of units {units.min()} to {units.max()} of {n_units}")
    return units, at, values


def _find_first(
    units: Ints, at: Floats, values: Floats, closes: Floats
) -> tuple[Truths, Floats, Floats]:
    """Return per unit whether it has an outcome, when the first came, and its value."""
    order = np.lexsort((at, units))
    owners, firsts = np.unique(units[order], return_index=True)
    has = np.zeros(closes.size, dtype=np.bool_)
    settles, final = closes.copy(), np.zeros(closes.size)
    has[owners] = True
    settles[owners], final[owners] = at[order][firsts], values[order][firsts]
    return has, settles, final


def _add_up(units: Ints, values: Floats, over: Truths, kind: UnitValue) -> tuple[Truths, Floats]:
    """Return per unit whether its value is final, and the sum or mean of its outcomes."""
    sums = np.bincount(units, weights=values, minlength=over.size).astype(np.float64)
    if kind == "sum":
        return over, sums
    counts = np.bincount(units, minlength=over.size)
    has = counts > 0
    return over & has, np.divide(sums, counts, out=np.zeros_like(sums), where=has)
