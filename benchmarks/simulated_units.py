"""Units of simulated experiments: who is treated, what comes of it, one answer each or several."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.differences import bound_difference, fit_block_shape
from experiments.statistics.means import Unbounded, ValueModel
from survey_data.arrays import Floats, Ints

Bools = NDArray[np.bool_]
Draw = Callable[[np.random.Generator, Bools], Floats]
RATING_SHARES = np.array([0.1, 0.1, 0.2, 0.3, 0.3])
RATINGS = (1.0, 5.0)
SHARE = (0.0, 1.0)


@dataclass(frozen=True)
class Metric:
    """How a unit's value comes about, and how it is analysed.

    Attributes:
        draw: units' values, from who is treated.
        truth: the effect.
        bounds: range of a unit's value; None where it has none.
        weights: of treatment and control.
        sd: standard deviation of a unit's value that the analysis expects; None for nothing.
    """

    name: str
    draw: Draw
    truth: float = 0.0
    bounds: tuple[float, float] | None = None
    weights: tuple[float, float] = (0.5, 0.5)
    sd: float | None = None

    def values(self, n_events: int) -> ValueModel:
        """What the analysis knows beforehand."""
        shape = fit_block_shape(*self.weights)
        expected_n = n_events / sum(shape) / 2
        if self.bounds is None:
            return Unbounded(expected_n=expected_n)
        sd = self.sd and self.sd * math.sqrt(1 / shape.n_treatment + 1 / shape.n_control)
        return bound_difference(*self.bounds, expected_n=expected_n, expected_sd=sd)


def assigned(rng: np.random.Generator, n: int, weights: tuple[float, float]) -> Bools:
    return np.asarray(rng.random(n) < weights[0] / sum(weights))


def yes_or_no(rate: float, effect: float = 0.0, *, drift: float = 0.0) -> Draw:
    """Return a draw of outcomes 0 and 1, whose rate moves by `drift` from first to last unit."""

    def draw(rng: np.random.Generator, treated: Bools) -> Floats:
        moved = drift * np.linspace(-0.5, 0.5, treated.size)
        chances = rate + moved + effect * treated
        return np.asarray(rng.random(treated.size) < chances, dtype=np.float64)

    return draw


def amount(sigma: float, factor: float = 1.0) -> Draw:
    """Return a draw of lognormal outcomes, multiplied by `factor` under treatment."""

    def draw(rng: np.random.Generator, treated: Bools) -> Floats:
        drawn = rng.lognormal(0.0, sigma, treated.size) * np.where(treated, factor, 1.0)
        return np.asarray(drawn)

    return draw


def rating(shift: float = 0.0) -> Draw:
    """Return a draw of ratings 1 to 5, of which a share `shift` moves from 1 to 5."""

    def draw(rng: np.random.Generator, treated: Bools) -> Floats:
        plain = rng.choice(5, size=treated.size, p=RATING_SHARES) + 1.0
        better = RATING_SHARES + shift * np.array([-1.0, 0.0, 0.0, 0.0, 1.0])
        return np.where(treated, rng.choice(5, size=treated.size, p=better) + 1.0, plain)

    return draw


@dataclass(frozen=True)
class Answers:
    """The answers of one run, in the order of time.

    Attributes:
        treated: bool[u], per unit.
        exposed: float64[u], first answer of each unit, in seconds.
        units: int64[m], whose each answer is.
        at: float64[m], in seconds.
        values: float64[m].
        bounds: their range; None where they have none.
    """

    treated: Bools
    exposed: Floats
    units: Ints
    at: Floats
    values: Floats
    bounds: tuple[float, float] | None = SHARE

    def expected(self, n_blocks: float) -> ValueModel:
        """Return what the analysis of `n_blocks` differences knows beforehand."""
        if self.bounds is None:
            return Unbounded(expected_n=n_blocks / 2)
        return bound_difference(*self.bounds, expected_n=n_blocks / 2)


def loyal(rng: np.random.Generator, n_events: int) -> Answers:
    """Return answers of units that arrive all the time, each with a taste of its own."""
    n_units = n_events // 5
    exposed = np.sort(rng.uniform(0.0, 1.0, n_units))
    units = np.concatenate([np.arange(n_units), rng.integers(0, n_units, n_events - n_units)])
    at = exposed[units] + np.r_[np.zeros(n_units), rng.exponential(0.1, n_events - n_units)]
    tastes = rng.beta(0.5, 0.5, n_units)
    values = (rng.random(n_events) < tastes[units]).astype(np.float64)
    return _in_order(rng, exposed, units, at, values)


def drifting(rng: np.random.Generator, n_events: int) -> Answers:
    """Return answers of units that are all there from the start and whose tastes wander."""
    n_units, each = n_events // 50, 50
    exposed = np.sort(rng.uniform(0.0, 0.01, n_units))
    at = exposed[:, None] + np.r_[0.0, np.sort(rng.uniform(0.0, 1.0, each - 1))]
    wander = np.cumsum(rng.standard_normal((n_units, each)), axis=1)
    values = (rng.random((n_units, each)) < 1.0 / (1.0 + np.exp(-wander))).astype(np.float64)
    units = np.repeat(np.arange(n_units), each)
    return _in_order(rng, exposed, units, at.ravel(), values.ravel())


def growing(rng: np.random.Generator, n_events: int) -> Answers:
    """Return amounts of units that are all there from the start, three times as much every time."""
    n_units, each = n_events // 10, 10
    exposed = np.sort(rng.uniform(0.0, 0.01, n_units))
    at = exposed[:, None] + np.arange(each) / each
    values = 3.0 ** np.arange(each) * rng.lognormal(0.0, 0.5, (n_units, each))
    units = np.repeat(np.arange(n_units), each)
    return replace(_in_order(rng, exposed, units, at.ravel(), values.ravel()), bounds=None)


def _in_order(
    rng: np.random.Generator, exposed: Floats, units: Ints, at: Floats, values: Floats
) -> Answers:
    order = np.argsort(at, kind="stable")
    treated = assigned(rng, exposed.size, (0.5, 0.5))
    return Answers(treated, exposed, units[order], at[order], values[order])
