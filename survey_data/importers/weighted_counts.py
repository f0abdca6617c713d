"""Weighted counts of answers by population, filled batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from survey_data.arrays import Floats, Ints


class WeightedAnswer(NamedTuple):
    """How one population answered one item.

    Attributes:
        shares: one per option, together 1.
        n_asked: people who were asked.
        non_response: share in [0, 1] of their weight that gave no option.
        n_effective: (sum w)^2 / sum w^2 over those who gave an option.
    """

    shares: tuple[float, ...]
    n_asked: int
    non_response: float
    n_effective: float


class WeightedCounts:
    """What people of `n_populations` answered to items with `n_options` each, and their weight."""

    def __init__(self, n_options: Sequence[int], n_populations: int) -> None:
        self._n_populations = n_populations
        self._options = [np.zeros((n_populations, n)) for n in n_options]
        self._squares = np.zeros((len(n_options), n_populations))
        self._n_asked = np.zeros((len(n_options), n_populations), dtype=np.int64)
        self._asked = np.zeros((len(n_options), n_populations))
        self._n_people = np.zeros(n_populations, dtype=np.int64)
        self._weight = np.zeros(n_populations)
        self._weight_squares = np.zeros(n_populations)

    def add_people(self, populations: Ints, weights: Floats) -> None:
        """Count people: int64[n] population of each, float64[n] weight of each."""
        n = self._n_populations
        self._n_people += np.bincount(populations, minlength=n)
        self._weight += np.bincount(populations, weights, minlength=n)
        self._weight_squares += np.bincount(populations, weights**2, minlength=n)

    def add_asked(self, item: int, populations: Ints, weights: Floats) -> None:
        """Count those who were asked: int64[n] population of each, float64[n] weight of each."""
        n = self._n_populations
        self._n_asked[item] += np.bincount(populations, minlength=n)
        self._asked[item] += np.bincount(populations, weights, minlength=n)

    def add_answers(self, item: int, populations: Ints, weights: Floats, *, options: Ints) -> None:
        """Count the answers of those who gave an option: int64[n] index of the option."""
        counts = self._options[item]
        flat = populations * counts.shape[1] + options
        counts += np.bincount(flat, weights, minlength=counts.size).reshape(counts.shape)
        n = self._n_populations
        self._squares[item] += np.bincount(populations, weights**2, minlength=n)

    def n_people(self, population: int) -> int:
        """Return how many people of `population` were counted."""
        return int(self._n_people[population])

    def n_effective(self, population: int) -> float:
        """Return the effective size of `population`; 0 if it is empty or all its weights are 0."""
        squares = float(self._weight_squares[population])
        return float(self._weight[population]) ** 2 / squares if squares > 0.0 else 0.0

    def summarise(self, item: int, population: int) -> WeightedAnswer | None:
        """Return how `population` answered `item`; None if nobody of any weight did."""
        options = self._options[item][population]
        weight = float(options.sum())
        if weight <= 0.0:
            return None
        missing = 1.0 - weight / float(self._asked[item, population])
        return WeightedAnswer(
            shares=tuple((options / weight).tolist()),
            n_asked=int(self._n_asked[item, population]),
            # Sums of the same weights in another order may differ in the last digit.
            non_response=min(1.0, max(0.0, missing)),
            n_effective=weight**2 / float(self._squares[item, population]),
        )
