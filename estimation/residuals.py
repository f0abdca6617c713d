"""What a culture's answers to like questions say of another one, beyond what others' answers do.

For questions with as many options, two estimates of the departure are averaged: kriging with a
wide kernel of the questions' similarity, and a mean weighted by a narrow one.

Source: ESTIMATION, 'transfer', correction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from survey_data.arrays import Floats, Ints

# The kernel exp((cosine - 1) / KRIGING_SCALE), and the variance of noise beside its 1.
KRIGING_SCALE, KRIGING_NOISE = 0.4, 0.3
# The weight exp((cosine - MEAN_CENTRE) / MEAN_SCALE), and the weight of no departure.
MEAN_CENTRE, MEAN_SCALE, MEAN_SHRINKAGE = 0.3, 0.1, 4.0


class Departures(NamedTuple):
    """By how much a culture departs from its donors, in questions of one number of options.

    Attributes:
        rows: the questions.
        values: log-ratios, float64[questions, options].
        solved: the values, with the kernel of the questions solved for.
    """

    rows: Ints
    values: Floats
    solved: Floats


class Correction(NamedTuple):
    """What departures add to the log-ratios of a question.

    Attributes:
        logits: float64[options].
        pulls: how far each question of the departures moves them, in the order of their rows.
    """

    logits: Floats
    pulls: Floats


def krige(rows: Ints, values: Floats, vectors: Floats) -> Departures:
    """Return the departures `values` of the questions in `rows`, ready to correct others.

    `vectors` are the unit vectors of all questions, float64[questions, dim].
    """
    cosines = vectors[rows] @ vectors[rows].T
    kernel = np.exp((cosines - 1.0) / KRIGING_SCALE) + KRIGING_NOISE * np.eye(len(rows))
    return Departures(rows, values, cho_solve(cho_factor(kernel), values))


def correct(departures: Departures, cosines: Floats) -> Correction:
    """Return what to add for a question with these similarities to all questions."""
    near = cosines[departures.rows]
    kriged = np.exp((near - 1.0) / KRIGING_SCALE)[:, None] * departures.solved
    weights = np.exp((near - MEAN_CENTRE) / MEAN_SCALE)
    smoothed = (weights / (weights.sum() + MEAN_SHRINKAGE))[:, None] * departures.values
    added = (kriged + smoothed) / 2.0
    return Correction(added.sum(axis=0), np.linalg.norm(added, axis=1))
