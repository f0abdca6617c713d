"""Mixtures of betting rates: e-processes from a sum and its squares, and their boundaries.

An e-process starts at 1, is never negative, and under the null hypothesis its expectation at any
stopping time is at most 1. So the probability that it ever reaches 1 / alpha is at most alpha
(Ville's inequality), and it may be looked at after every value. Here it is an average over
betting rates of exp(rate * sum - cost(rate) * squares); each rate is best for one size of effect,
and the average is nearly as good as the best of them.

There are two cost functions. `NormalMixture`, rate²/2, is exact for normal sums and asymptotic for
others. `ExponentialMixture`, -log(1 - rate) - rate, is exact for bounded values from the first one
on.

All logarithms are natural. `sums` and `squares` are float64[k], a row per look.

Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm", Annals
of Mathematical Statistics 41(5); Howard, Ramdas, McAuliffe & Sekhon (2021), "Time-uniform,
nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from survey_data.arrays import Floats

TUNED_ALPHA = 0.05
N_RATES = 64
SLOWEST_RATE, FASTEST_RATE = 1e-5, 0.9
N_STEPS = 40
"""Newton steps at most; each starts above the root of a convex function and stays there."""
CHUNK = 1 << 10


def best_precision(squares: float) -> float:
    """Return the precision of the mixture whose boundary is lowest at `squares`, above 0.

    `squares` is the sum of squares at which one expects to decide. The precision solves
    (squares + precision) / precision = r with r - log r = 1 + 2 log(1 / 0.05). A boundary tuned to
    be lowest at 100 is within a tenth of the best one at 10 and at 1,000.

    Raises:
        ValueError: `squares` is not above 0.
    """
    if not squares > 0.0:
        raise ValueError(f"a boundary lowest at {squares} squares; expected more than 0")
    wanted = 1.0 - 2.0 * math.log(TUNED_ALPHA)
    r = wanted
    for _ in range(60):
        r = wanted + math.log(r)
    return squares / (r - 1.0)


@dataclass(frozen=True, slots=True)
class NormalMixture:
    """Rates from a normal distribution of mean 0; `precision` > 0 is in the squares' unit."""

    precision: float

    def log_e(self, sums: Floats, squares: Floats) -> Floats:
        """Return the logarithm of the e-process, float64[k], at a null hypothesis of mean 0."""
        both = squares + self.precision
        return np.asarray(0.5 * np.log(self.precision / both) + np.square(sums) / (2.0 * both))

    def boundary(self, squares: Floats, *, alpha: float) -> Floats:
        """Return the boundary, float64[k], that a sum of mean 0 ever crosses with at most alpha."""
        both = squares + self.precision
        return np.asarray(np.sqrt(both * (np.log(both / self.precision) - 2.0 * math.log(alpha))))


@dataclass(frozen=True)
class ExponentialMixture:
    """Rates from a grid, weighted as a half-normal distribution, for values within a length of 1.

    Source: Howard et al. (2021), theorem 4, after Fan, Grama & Liu (2015), "Exponential
    inequalities for martingales with applications", Electronic Journal of Probability 20.
    """

    precision: float

    @cached_property
    def _grid(self) -> tuple[Floats, Floats, Floats]:
        rates = np.geomspace(SLOWEST_RATE, FASTEST_RATE, N_RATES)
        log_weights = np.log(rates) - 0.5 * self.precision * np.square(rates)
        log_weights -= np.logaddexp.reduce(log_weights)
        return rates, -np.log1p(-rates) - rates, log_weights

    def log_e(self, sums: Floats, squares: Floats) -> Floats:
        """Return the logarithm of the e-process, float64[k], at a null hypothesis of mean 0."""
        found = np.empty(sums.shape)
        for start in range(0, sums.size, CHUNK):
            rows = slice(start, start + CHUNK)
            found[rows] = self._log_e(sums[rows], squares[rows])[0]
        return found

    def boundary(self, squares: Floats, *, alpha: float) -> Floats:
        """Return the boundary, float64[k], that a sum of mean 0 ever crosses with at most alpha."""
        found = np.empty(squares.shape)
        for start in range(0, squares.size, CHUNK):
            rows = slice(start, start + CHUNK)
            found[rows] = self._boundary(squares[rows], -math.log(alpha))
        return found

    def _boundary(self, squares: Floats, log_threshold: float) -> Floats:
        rates, costs, log_weights = self._grid
        alone = log_threshold + math.log(2.0) - log_weights + costs * squares[:, None]
        sums = np.asarray((alone / rates).min(axis=1))
        for _ in range(N_STEPS):
            log_e, slope = self._log_e(sums, squares)
            step = (log_e - log_threshold) / slope
            sums = sums - np.maximum(step, 0.0)
            if (step <= 1e-12 * sums).all():
                break
        return sums

    def _log_e(self, sums: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """Return the logarithm and how fast it grows with a sum's size."""
        rates, costs, log_weights = self._grid
        gains = np.abs(sums)[:, None] * rates
        # The mean of both signs of a rate, log cosh, written so that it cannot overflow.
        opposite = np.exp(-2.0 * gains)
        exponents = log_weights - costs * squares[:, None] + gains
        exponents = exponents + np.log1p(opposite) - math.log(2.0)
        slopes = rates * (1.0 - opposite) / (1.0 + opposite)
        highest = exponents.max(axis=1, keepdims=True)
        shares = np.exp(exponents - highest)
        mass = shares.sum(axis=1)
        return highest[:, 0] + np.log(mass), (shares * slopes).sum(axis=1) / mass
