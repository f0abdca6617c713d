"""How near an answer is to what people said, one small pure function per metric.

Shares are in option order, one per option, together 1. Options are indices from 0. Distances
between shares are in `survey_data.distances`, the alignment score is in `survey_data.similarity`.

Source: METHODS, 'Metrics'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from survey_data.arrays import Floats, Ints
from survey_data.distances import check_scale, total_variation
from survey_data.model import Scale


def soft_accuracy(chosen: int, gold: int, *, n_options: int, scale: Scale) -> float:
    """Return `1 - |a - g| / (n - 1)`, in [0, 1], 1 is best; 1 or 0 for a nominal question.

    Raises:
        ValueError: there are fewer than two options, or an index is out of range.

    Source: METHODS, metric 4.
    """
    check_scale(n_options)
    if not (0 <= chosen < n_options and 0 <= gold < n_options):
        raise ValueError(f"options {chosen} and {gold}; expected 0 to {n_options - 1}")
    if scale is Scale.NOMINAL:
        return float(chosen == gold)
    return 1.0 - abs(chosen - gold) / (n_options - 1)


def order_shift(by_order: Sequence[Sequence[float]]) -> float:
    """Return how far shares move with the option order, in [0, 1]; 0 is not at all.

    It is the mean total variation over all pairs of orders. NaN with fewer than two orders.

    Args:
        by_order: the shares of one question read in each order, already back in option order.

    Raises:
        ValueError: as for `survey_data.distances.distribution_similarity`.
    """
    pairs = list(itertools.combinations(by_order, 2))
    if not pairs:
        return math.nan
    return math.fsum(total_variation(one, other) for one, other in pairs) / len(pairs)


def order_flips(chosen_by_order: Sequence[int | None]) -> float:
    """Return 1.0 if the chosen option depends on the option order, else 0.0; 0 is best.

    An unreadable answer (None) is left out; NaN if fewer than two can be read.

    Args:
        chosen_by_order: what was chosen of one question in each order, as indices in option order.
    """
    readable = [option for option in chosen_by_order if option is not None]
    return float(len(set(readable)) > 1) if len(readable) > 1 else math.nan


def rank_own(matrix: Floats) -> Ints:
    """Return int64[c]: each culture's place in its own row, 1 to c, 1 is best.

    A tie counts against: if another column is as good as its own, a culture is not first. By
    chance one culture in c is first.

    Args:
        matrix: float64[c, c], row i the answers given as culture i, column j the people of culture
            j, their similarity, higher is nearer.

    Raises:
        ValueError: the matrix is not square, is empty, or has a value that is not a number.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"a matrix of shape {matrix.shape}; expected a square one, not empty")
    if np.isnan(matrix).any():
        raise ValueError("a similarity is not a number; a culture without answers has no rank")
    return np.asarray((matrix >= np.diagonal(matrix)[:, None]).sum(axis=1), dtype=np.int64)


def diversity(positions: Floats) -> float:
    """Return how far apart cultures' answers are, as a share of the scale, in [0, 1].

    It is the mean over pairs of cultures of the mean absolute difference over the questions that
    both answered. Neither high nor low is better: it is compared with the diversity of people.
    Pairs with no question in common are left out; NaN if no pair is left.

    Args:
        positions: float64[c, q], option index / (n - 1) of what each culture chose; NaN where it
            did not answer.

    Source: METHODS, metric 6.
    """
    apart = [np.abs(one - other) for one, other in itertools.combinations(positions, 2)]
    means = [float(np.nanmean(pair)) for pair in apart if not np.isnan(pair).all()]
    return math.fsum(means) / len(means) if means else math.nan


def spread(shares: Floats, n_options: Ints) -> Floats:
    """Return float64[r, q]: the entropy of each answer's shares, relative to the largest possible.

    0 if one option has everything, 1 if all options have the same share. Neither is better: it is
    compared with people's. NaN where there are no shares.

    Args:
        shares: float64[r, q, n], 0 beyond a question's last option, NaN where there are none.
        n_options: int64[q], each at least 2.
    """
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0.0)
    return np.asarray(-(shares * logs).sum(axis=-1) / np.log2(n_options))
