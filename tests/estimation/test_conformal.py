"""Intervals cover what they promise, in every class and culture."""

from __future__ import annotations

import numpy as np

from estimation.conformal import Errors, fit_conformal, is_void, measure_void
from estimation.sampling import Interval


def made_errors(n: int, *, spread: float = 0.05, seed: int = 0, n_cultures: int = 4) -> Errors:
    """Estimates of two options each; those of culture 1 are off by twice as much."""
    random = np.random.default_rng(seed)
    known = random.uniform(0.02, 0.98, n)
    culture = random.integers(n_cultures, size=n)
    noise = random.normal(0.0, spread, n) * np.where(culture == 1, 2.0, 1.0)
    estimated = np.clip(np.sqrt(known) + noise, 0.0, 1.0) ** 2
    return Errors(estimated, known, np.full(n, 2), culture, np.zeros(n, dtype=np.int64))


def coverage(seed: int, culture: int | None = None) -> float:
    fitted = fit_conformal(made_errors(3000, seed=seed), n_cultures=4, n_evidence=1)
    new = made_errors(3000, seed=seed + 100)
    covered = []
    for estimated, known, _, of, _ in zip(*new, strict=True):
        if culture in (None, of):
            [interval, _] = fitted.intervals(np.array([estimated, 1.0 - estimated]), int(of))
            covered.append(interval.low <= known <= interval.high)
    return float(np.mean(covered))


def test_nine_of_ten_are_covered() -> None:
    assert 0.88 <= coverage(1) <= 0.92


def test_a_culture_unlike_the_others_is_covered_too() -> None:
    assert all(coverage(2, culture) >= 0.85 for culture in range(4))


def test_weaker_evidence_makes_wider_intervals() -> None:
    sure, unsure = made_errors(500), made_errors(500, spread=0.15, seed=5)
    both = Errors(*(np.concatenate(parts) for parts in zip(sure, unsure, strict=True)))
    both = both._replace(evidence=np.repeat([0, 1], 500))
    fitted = fit_conformal(both, n_cultures=4, n_evidence=2)
    shares = np.array([0.4, 0.6])

    widths = [fitted.intervals(shares, 0, evidence)[0].width for evidence in (0, 1)]
    assert widths[1] > 1.5 * widths[0]


def test_without_errors_to_learn_from_anything_may_be() -> None:
    empty = Errors(*(np.zeros(0, dtype=kind) for kind in (float, float, int, int, int)))
    fitted = fit_conformal(empty, n_cultures=1, n_evidence=1)

    assert fitted.intervals(np.array([0.3, 0.7]), 0) == (Interval(0.0, 1.0), Interval(0.0, 1.0))


def test_an_interval_as_wide_as_without_evidence_is_void() -> None:
    random = np.random.default_rng(4)
    void = measure_void(random.uniform(0.0, 1.0, 1000), np.full(1000, 2))

    assert 0.85 <= void[2] <= 0.95
    assert is_void((Interval(0.05, 0.95), Interval(0.05, 0.95)), void)
    assert not is_void((Interval(0.3, 0.5), Interval(0.5, 0.7)), void)
