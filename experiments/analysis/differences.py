"""Two arms, as a confidence sequence of their difference: of means, or of a quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.metrics import Metric
from experiments.statistics.differences import BlockShape, form_blocks
from experiments.statistics.means import (
    ConfidenceSequence,
    EffectInterval,
    ValueModel,
    confidence_sequence,
    log_e_values,
    p_values,
    standard_errors,
)
from experiments.statistics.quantiles import quantile_difference, quantile_sequence
from experiments.statistics.streams import EMPTY
from survey_data.arrays import Floats, Ints, Truths

N_LOOKS = 200
# The least p-value of a quantile that is looked for, and how finely.
_LEAST_LOG_P, _N_HALVINGS = -30.0, 24


@dataclass(frozen=True, slots=True)
class Pair:
    """Settled units of two arms, in the order of settling; one array per column.

    Attributes:
        treated: whether the unit is of the arm, not of control.
        strata: units of different ones are not compared.
    """

    treated: Truths
    values: Floats
    at_s: Floats
    strata: Ints

    def at(self, rows: Truths) -> Pair:
        """Return the units of `rows`."""
        return Pair(self.treated[rows], self.values[rows], self.at_s[rows], self.strata[rows])


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two arms at some looks, the last one being now.

    Attributes:
        at_s: float64[k], when the looks were.
        sequence: the intervals then, none if nothing could be compared.
        now: the interval at the last look; the range, or infinite, if there was none.
        p_value: at the last look.
        error: standard error of the estimate, for description; NaN if there is none.
    """

    at_s: Floats
    sequence: ConfidenceSequence
    now: EffectInterval
    p_value: float
    error: float


def choose_looks(n: int, n_looks: int = N_LOOKS) -> Ints:
    """Return indices from 0 to `n` - 1, evenly and `n_looks` at most, the last one among them."""
    return np.unique(np.linspace(n - 1, 0, min(n, n_looks)).round().astype(np.int64))


def compare_pair(
    pair: Pair,
    metric: Metric,
    known: ValueModel,
    *,
    alpha: float,
    shape: BlockShape,
    n_looks: int = N_LOOKS,
) -> Difference:
    """Return the difference of the arms' quantiles, or if the metric names none, of their means.

    `known` is what is known about differences of blocks of `shape` beforehand.
    """
    if metric.quantile is not None:
        return _compare_quantiles(pair, metric.quantile, alpha=alpha, n_looks=n_looks)
    return _compare_means(pair, known, alpha=alpha, shape=shape, n_looks=n_looks)


def _compare_means(
    pair: Pair, known: ValueModel, *, alpha: float, shape: BlockShape, n_looks: int
) -> Difference:
    """Return the difference of the arms' means, by blocks of their units."""
    found = form_blocks(pair.treated, pair.values, shape=shape, strata=pair.strata)
    history = known.history(found.values)
    looks = choose_looks(found.values.size, n_looks)
    running = history.at(looks)
    sequence = confidence_sequence(running, known, alpha=alpha)
    if not looks.size:
        now = confidence_sequence(EMPTY, known, alpha=alpha).at(-1)
        return Difference(np.empty(0), sequence, now, 1.0, math.nan)
    return Difference(
        at_s=pair.at_s[found.completed[looks]],
        sequence=sequence,
        now=sequence.at(-1),
        p_value=float(p_values(log_e_values(running, known))[-1]),
        error=float(standard_errors(running)[-1]),
    )


def _compare_quantiles(pair: Pair, p: float, *, alpha: float, n_looks: int) -> Difference:
    """Return the difference of the arms' `p`-quantiles, from a sequence of each arm.

    Each arm's own sequence is taken over all strata: its units are alike whatever the weights.
    """
    treatment, control = pair.values[pair.treated], pair.values[~pair.treated]
    looks = choose_looks(pair.values.size, n_looks)
    n_treatment = np.cumsum(pair.treated)[looks]
    # Before both arms have units there is nothing to compare.
    both = (n_treatment > 0) & (looks + 1 > n_treatment)
    looks, n_treatment = looks[both], n_treatment[both]
    n_control = looks + 1 - n_treatment
    sequence = quantile_difference(
        quantile_sequence(treatment, p, alpha=alpha / 2.0, looks=n_treatment),
        quantile_sequence(control, p, alpha=alpha / 2.0, looks=n_control),
    )
    if not looks.size:
        now = EffectInterval(math.nan, -math.inf, math.inf)
        return Difference(np.empty(0), sequence, now, 1.0, math.nan)
    p_value = _find_quantile_p(np.sort(treatment), np.sort(control), p) if n_looks > 1 else math.nan
    return Difference(pair.at_s[looks], sequence, sequence.at(-1), p_value, math.nan)


def _find_quantile_p(treatment: Floats, control: Floats, p: float) -> float:
    """Return the least error rate, found by halving, at which the interval excludes 0."""

    def excludes(log_alpha: float) -> bool:
        half = math.exp(log_alpha) / 2.0
        gap = quantile_difference(
            quantile_sequence(treatment, p, alpha=half), quantile_sequence(control, p, alpha=half)
        ).at(-1)
        return gap.low > 0.0 or gap.high < 0.0

    low, high = _LEAST_LOG_P, -1e-6
    if not excludes(high):
        return 1.0
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return math.exp(high)
