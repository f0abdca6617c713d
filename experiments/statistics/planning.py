"""How long an experiment will take, simulated before it starts.

Block differences are simulated with normal noise, of the baseline's standard deviation in both arms
(a rate's moves with it), and looked at 200 times per fixed horizon. Waiting for windows to close
is not included: add one window to the days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from experiments.statistics.differences import BlockShape, bound_difference, fit_block_shape
from experiments.statistics.means import (
    MIN_N,
    Bounded,
    Unbounded,
    ValueModel,
    check_alpha,
    confidence_sequence,
)
from experiments.statistics.streams import Running
from survey_data.arrays import Floats

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
LOOKS_PER_FIXED_HORIZON = 200
LONGEST = 8
"""Fixed horizons, at a power of 90 % or more, that are simulated: practically every run has ended
by then."""
LEAST_POWER = 0.9


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known about a unit's value under control.

    Attributes:
        mean: its expectation; for shares, the rate.
        sd: its standard deviation, above 0.
        low, high: the least and the greatest possible value, None without a known range.
        yes_or_no: whether only the ends of the range occur, so that the mean fixes the deviation.

    Raises:
        ValueError: `sd` is not above 0, or one end of the range is missing.
    """

    mean: float
    sd: float
    low: float | None = None
    high: float | None = None
    yes_or_no: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sd) and self.sd > 0.0):
            raise ValueError(f"a standard deviation of {self.sd}; expected above 0")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"a range from {self.low} to {self.high}; expected both ends or none")

    @classmethod
    def rate(cls, rate: float) -> Baseline:
        """Return the baseline of a yes-or-no outcome.

        Raises:
            ValueError: `rate` is not strictly between 0 and 1.
        """
        if not 0.0 < rate < 1.0:
            raise ValueError(f"a rate of {rate}; expected between 0 and 1")
        return cls(rate, math.sqrt(rate * (1.0 - rate)), 0.0, 1.0, yes_or_no=True)

    def sd_after(self, effect: float) -> float:
        """Return the standard deviation with the mean moved by `effect`; the same but for rates."""
        if not self.yes_or_no:
            return self.sd
        after = self.mean + effect
        return math.sqrt(max(0.0, after * (1.0 - after)))


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What an experiment needs. Units are those of the two compared arms together.

    Attributes:
        n_units: units until the interval excludes 0 with the requested power.
        days: from the first unit to the last.
        quantiles: share of experiments → units after which that many of them have ended.
        n_units_fixed: units of a fixed-horizon test of equal error rate and power.
        values: how the analysis has to be set up, fixed from here on.
        shape: units per block.
    """

    n_units: int
    days: float
    quantiles: tuple[tuple[float, int], ...]
    n_units_fixed: int
    values: ValueModel
    shape: BlockShape


def plan_sample(
    baseline: Baseline,
    smallest_effect: float,
    *,
    units_per_day: float,
    weights: tuple[float, float] = (0.5, 0.5),
    alpha: float = 0.05,
    power: float = 0.8,
    n_runs: int = 2000,
    seed: int = 0,
) -> SamplePlan:
    """Return the units and days that an experiment needs to see its smallest effect of interest.

    `smallest_effect` is treatment's mean less control's, not 0; `units_per_day` are of all arms,
    above 0; `weights` are treatment's and control's share of those, above 0, together at most 1.
    `alpha` is the error rate of this comparison (see `decision.split_alpha`), and `power` the
    probability of excluding 0 that is wanted, both between 0 and 1.

    Raises:
        ValueError: an argument is out of its range, or the range of values excludes the effect.
    """
    _check(baseline, smallest_effect, units_per_day, weights, power)
    check_alpha(alpha)
    shape, effect = fit_block_shape(*weights), abs(smallest_effect)
    variances = baseline.sd_after(smallest_effect) ** 2, baseline.sd**2
    sd = math.sqrt(variances[0] / shape.n_treatment + variances[1] / shape.n_control)
    horizons = _find_horizons(effect, sd, alpha=alpha, power=power)
    values = _model_values(baseline, n_blocks=horizons[0], sd=sd)
    stops = _simulate_stops(values, effect, sd, horizons, alpha=alpha, n_runs=n_runs, seed=seed)
    # Blocks fill at the rate of the arm that is slower to fill its side.
    shares = np.array(weights) / sum(weights)
    per_block = float((np.array(shape) / shares).max())
    ended = np.quantile(stops, (power, *QUANTILES), method="higher") * per_block
    n_units, *by_quantile = np.ceil(ended).astype(np.int64).tolist()
    # The variance of the difference of two arms' means, times the units of both.
    variance = float((np.array(variances) / shares).sum())
    fixed = math.ceil((_distance(alpha, power) / effect) ** 2 * variance)
    quantiles = tuple(zip(QUANTILES, by_quantile, strict=True))
    days = n_units / (units_per_day * sum(weights))
    return SamplePlan(n_units, days, quantiles, fixed, values, shape)


def _find_horizons(effect: float, sd: float, *, alpha: float, power: float) -> tuple[int, int]:
    """Return the blocks of a fixed-horizon test, and those to simulate."""
    z, most_z = (_distance(alpha, at) for at in (power, max(power, LEAST_POWER)))
    fixed = max(2, math.ceil((z * sd / effect) ** 2))
    return fixed, math.ceil(max(LONGEST * (most_z * sd / effect) ** 2, 2 * MIN_N))


def _model_values(baseline: Baseline, *, n_blocks: int, sd: float) -> ValueModel:
    if baseline.low is None or baseline.high is None:
        return Unbounded(expected_n=n_blocks, min_n=MIN_N)
    return bound_difference(baseline.low, baseline.high, expected_n=n_blocks, expected_sd=sd)


def _simulate_stops(
    values: ValueModel,
    effect: float,
    sd: float,
    horizons: tuple[int, int],
    *,
    alpha: float,
    n_runs: int,
    seed: int,
) -> Floats:
    """Return float64[n_runs], blocks until 0 is outside; for never, all that are simulated."""
    rng = np.random.default_rng(seed)
    fixed, longest = horizons
    step = max(1, fixed // LOOKS_PER_FIXED_HORIZON)
    n_looks = math.ceil(longest / step)
    n = step * np.arange(1, n_looks + 1, dtype=np.int64)
    # Bounded differences are measured from 0, so that the effect counts as noise too.
    squares = n * (sd**2 + (effect**2 if isinstance(values, Bounded) else 0.0))
    totals = np.asarray(n * effect, dtype=np.float64)
    expected = Running(n, totals, np.asarray(squares, dtype=np.float64), np.zeros(n_looks))
    whole = confidence_sequence(expected, values, alpha=alpha)
    # An end that is cut at the range, or endless, is a reach that no sum goes beyond.
    reach = (effect - whole.low) * n
    stops = np.full(n_runs, float(n[-1]))
    for run in range(n_runs):
        noise = np.cumsum(rng.standard_normal(n_looks)) * sd * math.sqrt(step)
        ended = np.abs(n * effect + noise) > reach
        if ended.any():
            stops[run] = n[int(ended.argmax())]
    return stops


def _distance(alpha: float, power: float) -> float:
    """Return how many standard errors an effect is from 0 at the fixed horizon."""
    normal = NormalDist()
    return normal.inv_cdf(1.0 - alpha / 2.0) + normal.inv_cdf(power)


def _check(
    baseline: Baseline,
    smallest_effect: float,
    units_per_day: float,
    weights: tuple[float, float],
    power: float,
) -> None:
    if not (math.isfinite(smallest_effect) and smallest_effect != 0.0):
        raise ValueError(f"a smallest effect of {smallest_effect}; expected a number other than 0")
    if not units_per_day > 0.0:
        raise ValueError(f"{units_per_day} units per day; expected above 0")
    if not (min(weights) > 0.0 and sum(weights) <= 1.0 + 1e-9):
        raise ValueError(f"weights {weights}; expected above 0, together 1 at most")
    if not 0.0 < power < 1.0:
        raise ValueError(f"a power of {power}; expected between 0 and 1")
    if baseline.low is not None and baseline.high is not None:
        after = baseline.mean + smallest_effect
        if not baseline.low <= after <= baseline.high:
            raise ValueError(
                f"a mean of {after:.4g} after the effect; expected one from {baseline.low} to "
                f"{baseline.high}"
            )
