"""How many of people's shares lie in the 90 % intervals of estimates, and how wide they are.

Intervals are learned on half of the questions and tried on the other half, in turn, so that none
is tried on what it was learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from estimation.conformal import Errors, fit_conformal
from evaluation.figures import IntervalFigures
from survey_data.arrays import Floats, Ints, Truths

MIN_QUESTIONS = 10
ROUNDING = 1e-9


def measure_intervals(
    source: str, shares: Floats, people: Floats, *, cultures: Sequence[str], n_options: Ints
) -> IntervalFigures | None:
    """Return how well intervals of the estimates `shares` cover what `people` said.

    Args:
        source: what the estimates are called.
        shares: float64[cultures, questions, most options], 0 beyond a question's last option and
            NaN where there is no estimate.
        people: of the same shape.
        cultures: alpha-3 codes of the rows.
        n_options: of each question, int64[questions].

    None with fewer than `MIN_QUESTIONS` questions: there is too little to learn from.
    """
    if len(n_options) < MIN_QUESTIONS:
        return None
    half = np.random.default_rng(1).permutation(len(n_options)) % 2 == 0
    tried = [
        each
        for side in (half, ~half)
        for each in _try(shares, people, n_options, len(cultures), tried_on=side)
    ]
    if not tried:
        return None
    hits = np.array([each.is_covered for each in tried])
    who = np.array([each.culture for each in tried])
    return IntervalFigures(
        source=source,
        coverage=float(hits.mean()),
        width=float(np.mean([each.width for each in tried])),
        by_culture={cultures[i]: float(hits[who == i].mean()) for i in np.unique(who).tolist()},
    )


class _Tried(NamedTuple):
    culture: int
    is_covered: bool
    width: float


def _try(
    shares: Floats, people: Floats, n_options: Ints, n_cultures: int, *, tried_on: Truths
) -> Iterator[_Tried]:
    """Yield how intervals of the questions `tried_on` turn out, learned on all others."""
    is_option = np.arange(shares.shape[2]) < n_options[:, None]
    known = is_option & ~np.isnan(shares) & ~np.isnan(people)
    errors = _list_errors(shares, people, known & ~tried_on[:, None], n_options)
    fitted = fit_conformal(errors, n_cultures=n_cultures, n_evidence=1)
    for culture, j in np.argwhere((known & tried_on[:, None]).any(axis=2)).tolist():
        n = int(n_options[j])
        intervals = fitted.intervals(shares[culture, j, :n], culture)
        for interval, share in zip(intervals, people[culture, j, :n].tolist(), strict=True):
            is_covered = interval.low - ROUNDING <= share <= interval.high + ROUNDING
            yield _Tried(culture, is_covered, interval.width)


def _list_errors(shares: Floats, people: Floats, chosen: Truths, n_options: Ints) -> Errors:
    culture, question, _ = np.nonzero(chosen)
    evidence = np.zeros(len(culture), dtype=np.int64)
    return Errors(shares[chosen], people[chosen], n_options[question], culture, evidence)
