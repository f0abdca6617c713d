"""Confidence sequences for a quantile of one arm, and for the difference of two arms'.

Whether a value lies below the true p-quantile is a Bernoulli draw with probability p, so their
number is tested by a beta-binomial mixture, exact for every n. Its bounds are turned into order
statistics. Values that equal the quantile may be counted on either side, so ties only widen.

Source: Howard & Ramdas (2022), "Sequential estimation of quantiles with applications to A/B testing
and best-arm identification", Bernoulli 28(3).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from experiments.statistics.means import EXPECTED_N, ConfidenceSequence, check_alpha
from experiments.statistics.mixtures import best_precision
from experiments.statistics.streams import check_finite
from survey_data.arrays import Floats, Ints


def quantile_sequence(
    values: ArrayLike,
    p: float,
    *,
    alpha: float,
    looks: ArrayLike | None = None,
    expected_n: float = EXPECTED_N,
) -> ConfidenceSequence:
    """Return the interval of the p-quantile after each number of values in `looks`.

    All of them cover it with probability at least 1 - alpha, whatever the distribution. An end is
    infinite while there are too few values on its side. Each look sorts the values up to it.

    `values` are float64[n] in the order of arrival, one per unit. `looks` are int64[k], numbers of
    values from 0 to n; None for n alone. The interval is narrowest at `expected_n` values, a number
    fixed beforehand.

    Raises:
        ValueError: `p` or `alpha` is not between 0 and 1, a value is not finite, or a look is
            beyond the values.
    """
    arrived = check_finite(values, "values")
    n_at_looks = np.array([arrived.size]) if looks is None else np.asarray(looks, dtype=np.int64)
    if n_at_looks.size and not (n_at_looks.min() >= 0 and n_at_looks.max() <= arrived.size):
        raise ValueError(
            f"looks after {n_at_looks.min()} to {n_at_looks.max()} of {arrived.size} values"
        )
    fewest, most = count_bounds(n_at_looks, p, alpha=alpha, expected_n=expected_n)
    rows = []
    for n, least, greatest in zip(n_at_looks.tolist(), fewest.tolist(), most.tolist(), strict=True):
        ordered = np.sort(arrived[:n])
        estimate = ordered[math.ceil(p * n) - 1] if n else math.nan
        low = ordered[least - 1] if least > 0 else -math.inf
        high = ordered[greatest] if greatest < n else math.inf
        rows.append((estimate, low, high))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return ConfidenceSequence(n_at_looks, table[:, 0], table[:, 1], table[:, 2])


def count_bounds(
    n: Ints, p: float, *, alpha: float, expected_n: float = EXPECTED_N
) -> tuple[Ints, Ints]:
    """Return the fewest and the most of `n` draws, int64[k] each, that may succeed.

    With success probability `p` the number of successes is ever outside with probability at most
    alpha.

    Raises:
        ValueError: `p` or `alpha` is not between 0 and 1.
    """
    check_alpha(alpha)
    if not 0.0 < p < 1.0:
        raise ValueError(f"the {p}-quantile; expected a number between 0 and 1")
    # A Beta prior with mean p whose variance suits the size of deviation at `expected_n`.
    strength = best_precision(expected_n * p * (1.0 - p)) / (p * (1.0 - p))
    a, b = strength * p, strength * (1.0 - p)
    threshold = -math.log(alpha)

    def log_e(count: Ints) -> Floats:
        mixed = betaln(a + count, b + n - count) - betaln(a, b)
        return np.asarray(mixed - count * math.log(p) - (n - count) * math.log1p(-p))

    # log_e falls up to some count near n * p and rises after it, so both ends are bisected from
    # a count within. One is: there is never evidence against the most likely count.
    middle = np.clip(np.round(n * p), 0, n).astype(np.int64)
    below, above = np.full_like(middle, -1), n + 1
    fewest, most = middle, middle
    while ((fewest - below > 1) | (above - most > 1)).any():
        # If an end is found already, these ask about it again and change nothing.
        down = np.where(fewest - below > 1, (below + fewest) // 2, fewest)
        up = np.where(above - most > 1, (above + most) // 2, most)
        held_down, held_up = log_e(down) < threshold, log_e(up) < threshold
        below, fewest = np.where(held_down, below, down), np.where(held_down, down, fewest)
        above, most = np.where(held_up, above, up), np.where(held_up, up, most)
    return fewest, most


def quantile_difference(
    treatment: ConfidenceSequence, control: ConfidenceSequence
) -> ConfidenceSequence:
    """Return the intervals of treatment's quantile less control's, a row per look.

    Each of the two must be at half the wanted error rate. The looks of both are the same moments;
    `n` of the result is the smaller of the two.

    Raises:
        ValueError: they differ in the number of looks.
    """
    if treatment.n.shape != control.n.shape:
        raise ValueError(f"{treatment.n.size} looks and {control.n.size}; expected as many")
    return ConfidenceSequence(
        np.minimum(treatment.n, control.n),
        treatment.estimate - control.estimate,
        treatment.low - control.high,
        treatment.high - control.low,
    )
