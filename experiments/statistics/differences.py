"""Differences between two arms, as one stream.

The k-th `a` units to settle under treatment and the k-th `b` under control form a *block*; the
difference of its two means is one value of the stream. Within an arm units are alike, whichever
order they come in, so every block's expectation is the effect: the stream is one of equal means,
and everything in `means` holds for it. Nothing about how many units an arm has, or will have, is
needed: an arm whose users answer more often only waits for the other.

Units of different strata are never in one block. A stratum is a span of time in which weights did
not change, and a shorter one, such as a day, if the metric drifts.

Within a stratum the arms' own means may not drift much: units of a block came at about the same
time, not at exactly the same. `benchmarks.experiments` shows that a rate which moves from 0.3 to
0.6 is borne.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.means import Bounded
from experiments.statistics.streams import check_finite
from survey_data.arrays import Floats, Ints

LARGEST_SIDE = 10
MORE_VARIANCE = 0.005


class BlockShape(NamedTuple):
    """How many units of each arm one block takes, 1 or more."""

    n_treatment: int
    n_control: int


ONE_TO_ONE = BlockShape(1, 1)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of two streams of units.

    Attributes:
        values: float64[k], treatment's mean less control's, in the order of completion.
        completed: int64[k], the index of the unit with which each block was complete.
    """

    values: Floats
    completed: Ints


def fit_block_shape(weight_treatment: float, weight_control: float) -> BlockShape:
    """Return the smallest block that suits the arms' weights.

    It is the smallest with which the effect's variance, for as many units, is within 0.5 % of the
    best block's of at most 10 units a side.

    Raises:
        ValueError: a weight is not above 0.
    """
    if not (weight_treatment > 0.0 and weight_control > 0.0):
        raise ValueError(f"weights {weight_treatment}, {weight_control}; expected above 0")
    sides = range(1, LARGEST_SIDE + 1)
    losses = {
        BlockShape(a, b): (1 / a + 1 / b) / min(weight_treatment / a, weight_control / b)
        for a in sides
        for b in sides
        if math.gcd(a, b) == 1
    }
    enough = (1.0 + MORE_VARIANCE) * min(losses.values())
    return min((s for s, loss in losses.items() if loss <= enough), key=lambda s: (sum(s), s))


def form_blocks(
    treated: ArrayLike,
    values: ArrayLike,
    *,
    shape: BlockShape = ONE_TO_ONE,
    strata: ArrayLike | None = None,
) -> Blocks:
    """Return the blocks of settled units.

    Args:
        treated: bool[n], whether a unit is under treatment, in the order of settling.
        values: float64[n], the units' values.
        shape: units per block.
        strata: int64[n], each unit's stratum; None for one of all.

    Raises:
        ValueError: the arrays differ in length, or a value is not finite.
    """
    is_treated, unit_values = np.asarray(treated, dtype=np.bool_), check_finite(values, "values")
    n = unit_values.size
    stratum = np.zeros(n, np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    if is_treated.shape != unit_values.shape:
        raise ValueError(f"{is_treated.size} arms of {n} units; expected one of each")
    if stratum.shape != unit_values.shape:
        raise ValueError(f"{stratum.size} strata of {n} units; expected one of each")
    parts, ends = [np.empty(0)], [np.empty(0, np.int64)]
    # One sort for all strata; units of one keep their order.
    order = np.argsort(stratum, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):
        treatment, control = rows[is_treated[rows]], rows[~is_treated[rows]]
        n_blocks = min(treatment.size // shape.n_treatment, control.size // shape.n_control)
        treated_means, treated_last = _fill(treatment, unit_values, shape.n_treatment, n_blocks)
        control_means, control_last = _fill(control, unit_values, shape.n_control, n_blocks)
        parts.append(treated_means - control_means)
        ends.append(np.maximum(treated_last, control_last))
    completed = np.concatenate(ends)
    by_time = np.argsort(completed, kind="stable")
    return Blocks(np.concatenate(parts)[by_time], completed[by_time])


def bound_difference(
    low: float, high: float, *, expected_n: float, expected_sd: float | None = None
) -> Bounded:
    """Return what is known about block differences of units with values from `low` to `high`.

    `expected_n` and `expected_sd` are of blocks, as for `Bounded`, whose errors it raises.
    """
    length = high - low
    return Bounded(-length, length, expected_n=expected_n, expected_sd=expected_sd, follows=0.0)


def _fill(units: Ints, values: Floats, size: int, n_blocks: int) -> tuple[Floats, Ints]:
    """Return the mean of each block's units, and the last of them."""
    blocks = units[: n_blocks * size].reshape(n_blocks, size)
    return values[blocks].mean(axis=1), blocks[:, -1]
