"""Simulated experiments with many cultures, and with broken assignment, and what is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from benchmarks.simulated_looks import ALPHA
from benchmarks.simulated_units import SHARE, assigned
from experiments.statistics.differences import bound_difference, form_blocks
from experiments.statistics.means import ValueModel, log_e_values
from experiments.statistics.sample_ratio import SRM_ALPHA, sample_ratio_log_e
from survey_data.arrays import Floats

ALARM_ALPHAS = (ALPHA, SRM_ALPHA)
MIN_CHI_SQUARE = 100
"""Units before the chi-square test looks, which is kind to it."""


@dataclass(frozen=True)
class Findings:
    """What was found in one run.

    Attributes:
        any_false: whether a culture without an effect is ever found, the error rate split.
        each_false: the same with each culture at the whole error rate.
        false_shares: of e-BH's findings at the first look with one, with five, and at the end.
        true_found: share of the true effects that e-BH finds at the end.
    """

    any_false: bool
    each_false: bool
    false_shares: tuple[float, ...]
    true_found: float


@dataclass(frozen=True)
class Alarms:
    """When one run was alarmed.

    Attributes:
        units: alpha -> units until the alarm, infinite for none.
        naive: whether a chi-square test at every unit ever is.
    """

    units: dict[float, float]
    naive: bool


def findings(rng: np.random.Generator, effects: Floats, n_each: int) -> Findings:
    """Return what is found in cultures of `n_each` units each."""
    values = bound_difference(*SHARE, expected_n=n_each / 4)
    log_e, null = _culture_evidence(rng, effects, n_each, values), effects == 0.0
    needed = math.log(effects.size / ALPHA)
    ranked = np.sort(log_e, axis=1)[:, ::-1] + np.log(np.arange(1, effects.size + 1))
    passes = ranked >= needed
    n_found = np.where(passes.any(axis=1), effects.size - passes[:, ::-1].argmax(axis=1), 0)
    shares, true_found = [], 0.0
    for least in (1, 5, effects.size + 1):
        enough = n_found >= least
        at = int(enough.argmax()) if enough.any() else -1
        # e-BH finds all that have at least the evidence of the last one that passes.
        weakest = np.sort(log_e[at])[::-1][n_found[at] - 1] if n_found[at] else math.inf
        found = log_e[at] >= weakest
        shares.append(float((found & null).sum() / max(1, found.sum())))
        true_found = float((found & ~null).sum() / max(1, (~null).sum()))
    return Findings(
        any_false=bool((log_e[:, null] >= needed).any()),
        each_false=bool((log_e[:, null] >= -math.log(ALPHA)).any()),
        false_shares=tuple(shares),
        true_found=true_found,
    )


def _culture_evidence(
    rng: np.random.Generator, effects: Floats, n_each: int, values: ValueModel
) -> Floats:
    """Return float64[events, cultures], each culture's evidence after each event."""
    n = effects.size * n_each
    culture = rng.permutation(np.repeat(np.arange(effects.size), n_each))
    treated = assigned(rng, n, (0.5, 0.5))
    drawn = (rng.random(n) < 0.4 + effects[culture] * treated).astype(np.float64)
    log_e = np.zeros((n, effects.size))
    for c in range(effects.size):
        mine = np.flatnonzero(culture == c)
        pairs = form_blocks(treated[mine], drawn[mine])
        evidence = log_e_values(values.history(pairs.values), values)
        steps = np.searchsorted(mine[pairs.completed], np.arange(n), side="right")
        log_e[:, c] = np.r_[0.0, evidence][steps]
    return log_e


def first_alarms(rng: np.random.Generator, weights: Floats, shares: Floats, n_units: int) -> Alarms:
    """Return when units that fall on arms by `shares` alarm those who expect `weights`."""
    n = np.arange(1, n_units + 1)[:, None]
    arms = np.searchsorted(np.cumsum(shares)[:-1], rng.random(n_units), side="right")
    counts = np.cumsum(arms[:, None] == np.arange(shares.size), axis=0)
    log_e = sample_ratio_log_e(counts, weights)
    units = {}
    for alpha in ALARM_ALPHAS:
        alarmed = log_e >= -math.log(alpha)
        units[alpha] = float(alarmed.argmax() + 1) if alarmed.any() else math.inf
    distance = (np.square(counts - n * weights) / (n * weights)).sum(axis=1)
    late = distance[MIN_CHI_SQUARE:] > chi2.isf(ALPHA, shares.size - 1)
    return Alarms(units, bool(late.any()))
