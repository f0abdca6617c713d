"""How far two share distributions over the same options lie apart.

Shares are in option order, one per option, together 1 (within `TOLERANCE`; they are normalised).

Source: METHODS, 'Metrics'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survey_data.arrays import Floats

# As in packs: shares that were rounded to three decimals still pass.
TOLERANCE = 0.005


def distribution_similarity(shares: Sequence[float], wanted: Sequence[float]) -> float:
    """Return 1 minus the Jensen-Shannon distance to base 2, in [0, 1]; 1 is the same shares.

    The distance is the square root of the divergence. A share of 0 is allowed in both; shares
    with no option in common give 0, and a single option always 1.

    Raises:
        ValueError: there is no option, lengths differ, a share is negative or not a number, or
            shares do not sum to 1.

    Source: METHODS, metric 2.
    """
    return float(similarity_of_rows(*_pair(shares, wanted)))


def similarity_of_rows(one: Floats, other: Floats) -> Floats:
    """Return float64[...]: the `distribution_similarity` of each row of one with that of the other.

    Both are float64[..., n], a row per distribution; rows are taken as they are, not checked.
    """
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    # Rounding takes it below 0 for nearly equal shares, and above 1 for disjoint ones.
    return np.asarray(1.0 - np.sqrt(np.clip(divergence, 0.0, 1.0)))


def wasserstein(shares: Sequence[float], wanted: Sequence[float]) -> float:
    """Return the Wasserstein-1 distance on option positions, in [0, 1]; 0 is best.

    Positions are index / (n - 1), so that moving everybody from the first option to the last
    costs 1. Meaningful for ordinal and binary questions only.

    Raises:
        ValueError: as for `distribution_similarity`, or there is only one option.

    Source: METHODS, metric 3.
    """
    one, other = _pair(shares, wanted)
    check_scale(len(one))
    moved = np.abs(np.cumsum(one - other))[:-1]
    return float(moved.sum()) / (len(one) - 1)


def total_variation(shares: Sequence[float], other: Sequence[float]) -> float:
    """Return half the summed differences of the shares, in [0, 1]; 0 is the same shares.

    Raises:
        ValueError: as for `distribution_similarity`.
    """
    one, second = _pair(shares, other)
    return float(np.abs(one - second).sum()) / 2


def _pair(shares: Sequence[float], other: Sequence[float]) -> tuple[Floats, Floats]:
    if len(shares) != len(other):
        raise ValueError(f"{len(shares)} and {len(other)} shares; expected equal numbers")
    return _normalise(shares), _normalise(other)


def _normalise(shares: Sequence[float]) -> Floats:
    values = np.asarray(shares, dtype=np.float64)
    # False for a NaN as well.
    if not (values >= 0.0).all():
        raise ValueError(f"shares {list(shares)}; expected none below 0")
    total = float(values.sum())
    if not abs(total - 1.0) <= TOLERANCE:
        raise ValueError(f"shares {list(shares)} sum to {total:g}; expected 1")
    return values / total


def check_scale(n_options: int) -> None:
    """Return if a scale has at least two options.

    Raises:
        ValueError: it has fewer.
    """
    if n_options < 2:
        raise ValueError(f"{n_options} options; a scale needs at least 2")


def _relative_entropy(one: Floats, middle: Floats) -> Floats:
    """Return, row by row, the bits by which `one` exceeds `middle`."""
    # A share so small that half of it is 0 adds nothing.
    ratio = np.divide(one, middle, out=np.ones_like(one), where=(one > 0.0) & (middle > 0.0))
    return np.asarray((one * np.log2(ratio)).sum(axis=-1))
