"""Confidence sequences and e-processes for the mean of a stream.

A confidence sequence is an interval at every look; with probability 1 - alpha all of them cover the
mean simultaneously. It excludes exactly those means against which the e-process has reached
1 / alpha at that look, so interval, e-value and p-value never disagree.

The assumption: given the past, each value has the same mean. If that mean drifts, the interval
covers its average so far.

Source: `Bounded`: Howard et al. (2021), Annals of Statistics 49(2), theorem 4. `Unbounded`:
Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 52(6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.mixtures import ExponentialMixture, NormalMixture, best_precision
from experiments.statistics.streams import Running, run_through
from survey_data.arrays import Floats, Ints, Truths

EXPECTED_N = 1000
MIN_N = 200
SKEW_N = 200.0
"""Values per squared skewness before an asymptotic interval speaks, by simulation."""


class EffectInterval(NamedTuple):
    """An estimate and its interval; `estimate` is NaN if there is nothing to estimate from."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Intervals at k looks.

    Attributes:
        n: int64[k], how many values were in.
        estimate: float64[k], NaN if none was.
        low, high: float64[k]; the ends of the range, or infinite, if nothing can be said yet.
    """

    n: Ints
    estimate: Floats
    low: Floats
    high: Floats

    def at(self, look: int) -> EffectInterval:
        """Return the interval at one look; -1 is the last.

        Raises:
            IndexError: there is no such look.
        """
        return EffectInterval(
            float(self.estimate[look]), float(self.low[look]), float(self.high[look])
        )


@dataclass(frozen=True)
class Bounded:
    """Values that cannot leave a range: shares, ratings, anything capped. Exact from n = 1 on.

    Attributes:
        low, high: the least and the greatest possible value.
        expected_n: the number of values at which one expects to decide, and the interval is made
            narrowest; fixed before the data are seen.
        expected_sd: standard deviation of a value, as expected before; None for a fifth of
            the range. A wrong one costs width, not validity.
        follows: how far values are measured from the mean so far, 1, or from the middle of the
            range, 0. The interval widens with the distances and with the range that they can have;
            0 halves the latter, which suits means near the middle, as those of differences.

    Raises:
        ValueError: the range is empty, an expectation is not above 0, or `follows` is not from 0
            to 1.
    """

    low: float
    high: float
    expected_n: float = EXPECTED_N
    expected_sd: float | None = None
    follows: float = 1.0
    mixture: ExponentialMixture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.length) and self.length > 0.0):
            raise ValueError(f"values from {self.low} to {self.high}; expected a range")
        if not 0.0 <= self.follows <= 1.0:
            raise ValueError(f"following the mean by {self.follows}; expected from 0 to 1")
        sd = self.length / 5.0 if self.expected_sd is None else self.expected_sd
        precision = best_precision(self.expected_n * (sd / self.scale) ** 2)
        object.__setattr__(self, "mixture", ExponentialMixture(precision))

    @property
    def length(self) -> float:
        """How far two values can be apart."""
        return self.high - self.low

    @property
    def scale(self) -> float:
        """How far a value can be from what it is measured from."""
        return self.length * (1.0 + self.follows) / 2.0

    def history(self, values: ArrayLike) -> Running:
        """Return `run_through` of `values`, float64[k], as these are known."""
        middle, half = (self.low + self.high) / 2.0, self.length / 2.0
        return run_through(values, centre=middle, strays=self.follows * half, limit=half)


@dataclass(frozen=True)
class Unbounded:
    """Values without a known range: durations, amounts, counts. Its guarantee is asymptotic.

    Attributes:
        expected_n: as in `Bounded`.
        min_n: values before anything is claimed; skewed ones need more, see
            `confidence_sequence`.

    Raises:
        ValueError: `expected_n` is not above 0, or `min_n` is below 2.
    """

    expected_n: float = EXPECTED_N
    min_n: int = MIN_N
    mixture: NormalMixture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.min_n < 2:
            raise ValueError(f"claims from {self.min_n} values on; expected 2 or more")
        object.__setattr__(self, "mixture", NormalMixture(best_precision(self.expected_n)))

    def history(self, values: ArrayLike) -> Running:
        """Return `run_through` of `values`, float64[k], as these are known."""
        return run_through(values)


ValueModel: TypeAlias = Bounded | Unbounded
"""What is known about a stream's values before they are seen."""


def confidence_sequence(
    running: Running, values: ValueModel, *, alpha: float
) -> ConfidenceSequence:
    """Return the interval of the mean at each of k looks.

    Under `Bounded`, all of them cover the mean with probability at least 1 - alpha, whatever the
    distribution. Under `Unbounded` they do so asymptotically, as `min_n` grows, for values with
    more than two finite moments; before `min_n`, before 200 values per squared skewness, and while
    all values are equal, the interval is infinite.

    Raises:
        ValueError: `alpha` is not between 0 and 1.
    """
    check_alpha(alpha)
    mean = running.mean
    n = np.maximum(running.n, 1)
    if isinstance(values, Bounded):
        squares = running.squares / values.scale**2
        reach = values.mixture.boundary(squares, alpha=alpha) * values.scale / n
        middle = np.where(running.n > 0, mean, (values.low + values.high) / 2.0)
        low = np.clip(middle - reach, values.low, values.high)
        high = np.clip(middle + reach, values.low, values.high)
        some = running.n > 0
        low, high = np.where(some, low, values.low), np.where(some, high, values.high)
    else:
        sd, speaks = _sd(running), _speaks(running, values)
        reach = values.mixture.boundary(n.astype(np.float64), alpha=alpha) * sd / n
        middle = np.where(speaks, mean, 0.0)
        low = np.where(speaks, middle - reach, -np.inf)
        high = np.where(speaks, middle + reach, np.inf)
    return ConfidenceSequence(running.n, mean, low, high)


def log_e_values(running: Running, values: ValueModel, *, null: float = 0.0) -> Floats:
    """Return the logarithm of the e-process against "the mean is `null`", float64[k].

    It may be stopped at any look; exp of it is an e-value there. 0, no evidence, if nothing can
    be said yet.
    """
    if isinstance(values, Bounded):
        sums = (running.total - running.n * null) / values.scale
        return values.mixture.log_e(sums, running.squares / values.scale**2)
    sd, speaks = _sd(running), _speaks(running, values)
    sums = np.divide(
        running.total - running.n * null, sd, out=np.zeros_like(running.total), where=speaks
    )
    log_e = values.mixture.log_e(sums, running.n.astype(np.float64))
    return np.where(speaks, log_e, 0.0)


def p_values(log_e: Floats) -> Floats:
    """Return the always-valid p-value at each look, float64[k], which never rises.

    `log_e` holds all looks so far; leaving some out can only make the p-value larger.

    Source: Johari, Koomen, Pekelis & Walsh (2022), "Always valid inference: continuous monitoring
    of A/B tests", Operations Research 70(3).
    """
    if not log_e.size:
        return log_e
    return np.asarray(np.exp(-np.maximum.accumulate(np.maximum(log_e, 0.0))))


def standard_errors(running: Running) -> Floats:
    """Return the standard error of the mean at each look, float64[k]; NaN before two values.

    It is valid at a single look only; `cultures.pool_partially` uses it.
    """
    error = _sd(running) / np.sqrt(np.maximum(running.n, 1))
    return np.where(running.n >= 2, error, np.nan)


def check_alpha(alpha: float) -> None:
    """Raise `ValueError` unless an error rate is between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"an error rate of {alpha}; expected one between 0 and 1")


def _sd(running: Running) -> Floats:
    """Return float64[k], slightly more than the standard deviation of the values so far."""
    return np.asarray(np.sqrt(running.squares / np.maximum(running.n - 1, 1)))


def _speaks(running: Running, values: Unbounded) -> Truths:
    """Return bool[k]: whether sums of this many values, this skewed, are near enough to normal."""
    skewed = SKEW_N * np.square(running.cubes) <= running.squares**3
    return np.asarray((running.n >= values.min_n) & (running.squares > 0.0) & skewed)
