"""An alarm for sample ratio mismatch: arms that do not get their share of the units.

If assignment, recording or filtering is broken, the arms are no longer comparable, and no
comparison of them means anything. Each unit is counted once, by its first exposure.

Source: Lindon & Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS 35.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from survey_data.arrays import Floats

STRENGTHS = (100.0, 1000.0, 10_000.0, 100_000.0)
"""Of the Dirichlet priors around the weights: deviations of about 5, 1.6, 0.5 and 0.16 points."""
SRM_ALPHA = 0.001
"""An error rate that suits an alarm on every experiment, always on."""


def sample_ratio_log_e(counts: ArrayLike, weights: ArrayLike) -> Floats:
    """Return the logarithm of the e-process against "units are split by the weights".

    The alarm is exp of it at 1 / alpha or more; over all looks together it is false with
    probability at most alpha. If weights were changed, give each span of equal weights its own
    counts: the logarithms add up.

    `counts` are the units so far at each look, int64[k, arms], or int64[arms] for one look.
    `weights` are float64[arms], above 0, and need not sum to 1. The result is float64[k].

    Raises:
        ValueError: a weight is not above 0, a count is negative, or the numbers of arms differ or
            are below 2.
    """
    seen = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    shares = np.asarray(weights, dtype=np.float64)
    if shares.ndim != 1 or shares.size < 2 or seen.shape[1] != shares.size:
        raise ValueError(f"counts of {seen.shape[1]} arms and {shares.size} weights; expected 2+")
    if not (np.isfinite(shares).all() and (shares > 0.0).all() and (seen >= 0.0).all()):
        raise ValueError("a weight that is not above 0 or a count below 0; expected neither")
    shares = shares / shares.sum()
    n = seen.sum(axis=1)
    likely = (seen * np.log(shares)).sum(axis=1)
    mixed = np.stack(
        [
            (gammaln(prior + seen) - gammaln(prior)).sum(axis=1)
            - (gammaln(prior.sum() + n) - gammaln(prior.sum()))
            for prior in (strength * shares for strength in STRENGTHS)
        ]
    )
    return np.asarray(np.logaddexp.reduce(mixed, axis=0) - math.log(len(STRENGTHS)) - likely)
