"""Where peoples stand to each other, by how alike they answer: a map of two dimensions.

Source: W. S. Torgerson, Multidimensional Scaling (1952), 'classical scaling'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from survey_data.arrays import Floats
from survey_data.distances import similarity_of_rows
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

N_DIMENSIONS = 2
# Of fewer no map can be made.
MIN_CULTURES = 3


class Positions(NamedTuple):
    """Where the cultures of a survey stand.

    Attributes:
        cultures: alpha-3 codes, sorted.
        points: float64[cultures, 2], in units of the Jensen-Shannon distance; which way they lie
            says nothing.
        kept: how much of the squared distances these two dimensions hold, in [0, 1]; higher is
            truer.
    """

    cultures: tuple[str, ...]
    points: Floats
    kept: float


def measure_distances(library: SurveyLibrary, pack: Pack, cultures: Sequence[str]) -> Floats:
    """Return float64[c, c]: the mean Jensen-Shannon distance over the questions both were asked.

    In [0, 1], 0 is the same answers. The mean of all others stands for two without a question in
    common.
    """
    shares = library.tabulate(pack.questions, cultures)
    distances = np.zeros((len(cultures), len(cultures)))
    for place, own in enumerate(shares):
        each = 1.0 - similarity_of_rows(np.broadcast_to(own, shares.shape), shares)
        known = ~np.isnan(each)
        n_common = known.sum(axis=1)
        sums = np.where(known, each, 0.0).sum(axis=1)
        distances[place] = np.where(n_common > 0, sums / np.maximum(n_common, 1), np.nan)
    missing = np.isnan(distances)
    if missing.any():
        distances[missing] = distances[~missing].mean()
    np.fill_diagonal(distances, 0.0)
    return (distances + distances.T) / 2.0


def place_cultures(library: SurveyLibrary, pack: Pack) -> Positions:
    """Return where the cultures of a survey stand, so that those who answer alike are near.

    Of fewer than three cultures all stand in one place.
    """
    cultures = pack.cultures
    if len(cultures) < MIN_CULTURES:
        return Positions(cultures, np.zeros((len(cultures), N_DIMENSIONS)), 0.0)
    return Positions(cultures, *scale_distances(measure_distances(library, pack, cultures)))


def scale_distances(distances: Floats) -> tuple[Floats, float]:
    """Return float64[n, 2] whose distances are near to `distances`, and how much is kept.

    `distances` is float64[n, n], symmetric, with zeros on its diagonal. The largest of each
    dimension is positive, so that the same distances always give the same map.
    """
    n = len(distances)
    centring = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    order = np.argsort(values)[::-1][:N_DIMENSIONS]
    positive = np.clip(values, 0.0, None)
    points = vectors[:, order] * np.sqrt(positive[order])
    signs = np.sign(points[np.abs(points).argmax(axis=0), np.arange(N_DIMENSIONS)])
    total = float(positive.sum())
    kept = float(positive[order].sum()) / total if total else 0.0
    return points * np.where(signs == 0, 1.0, signs), kept
