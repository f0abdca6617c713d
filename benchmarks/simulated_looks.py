"""What is found by looking at a simulated experiment after every event, by ours and by others."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from benchmarks.simulated_units import Answers, Bools, Metric, assigned
from experiments.statistics.differences import fit_block_shape, form_blocks
from experiments.statistics.means import Unbounded, ValueModel, log_e_values
from experiments.statistics.streams import Running
from experiments.statistics.units import UnitValue, settle_values
from survey_data.arrays import Floats

ALPHA = 0.05
MIN_NAIVE = 30
"""Units per arm before the naive test looks, which is kind to it."""
Z = NormalDist().inv_cdf(1.0 - ALPHA / 2.0)


def difference_stream(rng: np.random.Generator, metric: Metric, n_units: int) -> Running:
    """Return the stream of differences of a simulated experiment."""
    treated = assigned(rng, n_units, metric.weights)
    pairs = form_blocks(treated, metric.draw(rng, treated), shape=fit_block_shape(*metric.weights))
    return metric.values(n_units).history(pairs.values)


def first_crossing(
    running: Running, values: ValueModel, *, null: float = 0.0, above: bool | None = None
) -> int:
    """Return the first row whose interval leaves `null` out; -1 for none.

    With `above`, the first row whose interval is wholly above (or, if false, below) it.
    """
    threshold = -math.log(ALPHA)
    away = running.total - running.n * null
    # No mixture exceeds its best rate, exp(away^2 / (2 squares)), so few rows need to be reckoned.
    near = np.square(away) >= 1.9 * threshold * running.squares
    if above is not None:
        near &= (away > 0.0) == above
    rows = np.flatnonzero(near)
    # The first crossing is mostly early among them.
    for part in np.array_split(rows, max(1, rows.size // 200)):
        found = log_e_values(running.at(part), values, null=null) >= threshold
        if found.any():
            return int(part[found.argmax()])
    return -1


def naive_crosses(treated: Bools, values: Floats) -> bool:
    """Return whether a z-test of two means with a look at every unit ever finds a difference."""
    means, variances, counts = [], [], []
    for arm in (treated, ~treated):
        n = np.cumsum(arm)
        safe = np.maximum(n, 1)
        mean = np.cumsum(values * arm) / safe
        squares = np.cumsum(np.square(values) * arm) / safe
        means.append(mean)
        variances.append(np.maximum(squares - np.square(mean), 0.0) / safe)
        counts.append(n)
    looked = np.minimum(*counts) >= MIN_NAIVE
    error = np.sqrt(variances[0] + variances[1])
    return bool((looked & (np.abs(means[0] - means[1]) > Z * error)).any())


def fixed_finds(treated: Bools, values: Floats) -> bool:
    """Return whether a z-test of all units, once, finds a difference."""
    a, b = values[treated], values[~treated]
    error = math.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    return bool(abs(a.mean() - b.mean()) > Z * error)


def settled_cross(answers: Answers, kind: UnitValue) -> bool:
    """Return whether a difference is ever found between units that have settled."""
    found = settle_values(
        answers.exposed,
        answers.units,
        answers.at,
        answers.values,
        window_s=0.2,
        now_s=2.0,
        kind=kind,
    )
    values = answers.expected(found.values.size / 2)
    stream = values.history(form_blocks(answers.treated[found.units], found.values).values)
    return first_crossing(stream, values) >= 0


def corrected_means_cross(answers: Answers, values: Unbounded) -> bool:
    """Return whether unit means that are corrected with every answer ever seem to differ.

    The interval has the error of a difference of means over units, at every answer.
    """
    order = np.argsort(answers.units, kind="stable")
    owners, drawn = answers.units[order], answers.values[order]
    starts = np.r_[0, np.flatnonzero(np.diff(owners)) + 1]
    lengths = np.diff(np.r_[starts, owners.size])
    totals = np.cumsum(drawn)
    offset = np.repeat(totals[starts] - drawn[starts], lengths)
    ranks = np.arange(owners.size) - np.repeat(starts, lengths)
    means = (totals - offset) / (ranks + 1)
    earlier = np.where(ranks > 0, np.r_[0.0, means[:-1]], 0.0)
    back = np.argsort(order, kind="stable")
    new, old, fresh = means[back], earlier[back], (ranks == 0)[back]
    centre, error2, counts = 0.0, 0.0, []
    for arm, sign in ((answers.treated, 1.0), (~answers.treated, -1.0)):
        mine = arm[answers.units]
        n = np.maximum(np.cumsum(fresh & mine), 1)
        mean = np.cumsum((new - old) * mine) / n
        square = np.cumsum((new**2 - old**2) * mine) / n
        centre = centre + sign * mean
        error2 = error2 + np.maximum(square - mean**2, 0.0) / n
        counts.append(n)
    pairs = np.minimum(*counts).astype(np.float64)
    reach = values.mixture.boundary(pairs, alpha=ALPHA) * np.sqrt(error2 / pairs)
    return bool(((pairs >= MIN_NAIVE) & (np.abs(centre) > reach)).any())
