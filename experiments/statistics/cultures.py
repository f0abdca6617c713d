"""Effects in many cultures at once, by partial pooling.

This is description only: the intervals hold at one look, promise nothing over several, and are no
ground for a decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.means import check_alpha
from survey_data.arrays import Floats

N_SPREADS = 400


@dataclass(frozen=True, slots=True)
class PooledEffects:
    """Effects shrunk towards their common mean. Descriptive.

    Attributes:
        estimate: float64[c], posterior means; NaN for a culture that had no estimate and no error.
        low, high: float64[c], ends of the interval, valid at one look.
        mean: the common mean.
        spread: posterior mean of the standard deviation of the true effects, 0 or more.
    """

    estimate: Floats
    low: Floats
    high: Floats
    mean: float
    spread: float


def pool_partially(
    estimates: ArrayLike, errors: ArrayLike, *, level: float = 0.95
) -> PooledEffects:
    """Return effects per culture, shrunk towards their mean; the less certain, the more.

    Assumed are normal effects around a common mean, normal errors, and a flat prior on the spread
    from 0 to twice the range of the estimates. A culture without a finite estimate and
    an error above 0 takes no part and gets NaN. With fewer than two left there is nothing to pool:
    estimates stay as they are, the spread is 0. `estimates` and their standard `errors` are
    float64[c]; `level` is of the intervals, between 0 and 1.

    Raises:
        ValueError: the arrays differ in length, or `level` is not between 0 and 1.

    Source: Rubin (1981), "Estimation in parallel randomized experiments", Journal of Educational
    Statistics 6(4); Gelman (2006), "Prior distributions for variance parameters in hierarchical
    models", Bayesian Analysis 1(3).
    """
    check_alpha(1.0 - level)
    effects = np.asarray(estimates, dtype=np.float64)
    found_errors = np.asarray(errors, dtype=np.float64)
    if effects.ndim != 1 or effects.shape != found_errors.shape:
        raise ValueError(f"{effects.size} estimates and {found_errors.size} errors")
    known = np.isfinite(effects) & np.isfinite(found_errors) & (found_errors > 0.0)
    x, own_errors = effects[known], found_errors[known]
    reach = NormalDist().inv_cdf((1.0 + level) / 2.0)
    if x.size < 2:
        mean, spread, middle, sd = float(x[0]) if x.size else math.nan, 0.0, x, own_errors
    else:
        mean, spread, middle, sd = _average_over_spreads(x, np.square(own_errors))
    estimate, low, high = (np.full(effects.shape, np.nan) for _ in range(3))
    estimate[known], low[known], high[known] = middle, middle - reach * sd, middle + reach * sd
    return PooledEffects(estimate, low, high, mean, spread)


def _average_over_spreads(x: Floats, variances: Floats) -> tuple[float, float, Floats, Floats]:
    """Return common mean, spread, and each culture's posterior mean and standard deviation."""
    widest = 2.0 * float(x.max() - x.min()) + math.sqrt(float(variances.min()))
    spreads = np.linspace(0.0, widest, N_SPREADS)[:, None]
    weights = 1.0 / (variances + np.square(spreads))
    totals = weights.sum(axis=1, keepdims=True)
    means = (weights * x).sum(axis=1, keepdims=True) / totals
    log_likely = 0.5 * np.log(weights).sum(axis=1) - 0.5 * np.log(totals[:, 0])
    log_likely -= 0.5 * (weights * np.square(x - means)).sum(axis=1)
    likely = np.exp(log_likely - log_likely.max())[:, None]
    likely /= likely.sum()
    kept = np.square(spreads) * weights
    middles = means + kept * (x - means)
    within = kept * variances + np.square(1.0 - kept) / totals
    middle = (likely * middles).sum(axis=0)
    variance = (likely * (within + np.square(middles - middle))).sum(axis=0)
    return float((likely * means).sum()), float((likely * spreads).sum()), middle, np.sqrt(variance)
