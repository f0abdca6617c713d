"""Intervals of estimates, from how far estimates of known shares were off.

Errors are taken on square roots of shares, on which their spread depends little on the share
itself, per kind of evidence, number of options and level of share. They are then scaled by the
culture's own errors, so that the interval of a culture unlike the others is wider.

Source: ESTIMATION, 'Intervals'; A. Angelopoulos & S. Bates (2023), split-conformal prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from estimation.sampling import LEVEL, Interval
from survey_data.arrays import Floats, Ints

# Where the classes of the number of options, and of an option's estimated share, begin.
OPTION_CLASSES = (2, 3, 4, 6)
SHARE_CLASSES = (0.0, 0.05, 0.15, 0.3, 0.5)
# A class of fewer errors than this takes the next coarser one's quantile.
MIN_ERRORS = 60
# A culture's own errors count in full from about this many on.
CULTURE_PRIOR = 100.0
# An interval this near to what would be said without any evidence tells nothing.
VOID_RATIO = 0.9


class Errors(NamedTuple):
    """Estimated and known shares, an option each.

    Attributes:
        estimated: float64[n].
        known: float64[n].
        n_options: of the question, int64[n].
        culture: column, int64[n].
        evidence: what the estimate stands on, a class from 0 on, int64[n].
    """

    estimated: Floats
    known: Floats
    n_options: Ints
    culture: Ints
    evidence: Ints


class Conformal(NamedTuple):
    """How wide the intervals of one source are.

    Attributes:
        widths: half-widths on square roots, float64[evidence, option classes, share classes].
        scales: by which a culture's are multiplied, float64[cultures].
    """

    widths: Floats
    scales: Floats

    def intervals(self, shares: Floats, culture: int, evidence: int = 0) -> tuple[Interval, ...]:
        """Return the interval of each of these estimated shares of a question."""
        classes = _classes(shares, np.full(len(shares), len(shares)))
        halves = self.widths[evidence][classes] * self.scales[culture]
        return tuple(
            Interval(max(0.0, math.sqrt(share) - half) ** 2, min(1.0, math.sqrt(share) + half) ** 2)
            for share, half in zip(shares.tolist(), halves.tolist(), strict=True)
        )


def fit_conformal(errors: Errors, *, n_cultures: int, n_evidence: int) -> Conformal:
    """Return the widths that cover 90 % of `errors`, in each class and about in each culture.

    Without any error an interval is everything there is.
    """
    scales = np.ones(n_cultures)
    if not len(errors.known):
        return Conformal(np.ones((n_evidence, len(OPTION_CLASSES), len(SHARE_CLASSES))), scales)
    off = np.abs(np.sqrt(errors.estimated) - np.sqrt(errors.known))
    classes = (errors.evidence, *_classes(errors.estimated, errors.n_options))
    widths = _fit_widths(off, classes, n_evidence)
    # Twice: the widths of errors that are scaled are others, and so are then the scales.
    for _ in range(2):
        scales = _fit_scales(off / np.maximum(widths[classes], 1e-9), errors.culture, n_cultures)
        widths = _fit_widths(off / scales[errors.culture], classes, n_evidence)
    return Conformal(widths, scales)


def is_void(intervals: tuple[Interval, ...], void: Mapping[int, float]) -> bool:
    """Return whether intervals are about as wide as what shares are without any evidence.

    `void` is the mean width of the latter, by number of options.
    """
    mean = sum(interval.width for interval in intervals) / len(intervals)
    return mean >= VOID_RATIO * void.get(len(intervals), 1.0)


def measure_void(shares: Floats, n_options: Ints) -> dict[int, float]:
    """Return, per number of options, the width of what holds 90 % of known `shares`."""
    tails = (1.0 - LEVEL) / 2.0
    return {
        int(n): float(np.diff(np.quantile(shares[n_options == n], [tails, 1.0 - tails]))[0])
        for n in np.unique(n_options)
    }


def _classes(shares: Floats, n_options: Ints) -> tuple[Ints, Ints]:
    of_options = np.searchsorted(OPTION_CLASSES, n_options, side="right") - 1
    of_share = np.searchsorted(SHARE_CLASSES, shares, side="right") - 1
    return np.maximum(of_options, 0), np.maximum(of_share, 0)


def _fit_widths(off: Floats, classes: tuple[Ints, Ints, Ints], n_evidence: int) -> Floats:
    evidence, of_options, of_share = classes
    widths = np.full((n_evidence, len(OPTION_CLASSES), len(SHARE_CLASSES)), _quantile(off))
    for place in np.ndindex(widths.shape):
        alike = evidence == place[0]
        for finer in (True, of_share == place[2], of_options == place[1]):
            alike = alike & finer
            if alike.sum() >= MIN_ERRORS:
                widths[place] = _quantile(off[alike])
    return widths


def _fit_scales(ratios: Floats, culture: Ints, n_cultures: int) -> Floats:
    scales = np.ones(n_cultures)
    for column in np.unique(culture):
        own = ratios[culture == column]
        scales[column] = (len(own) * _quantile(own) + CULTURE_PRIOR) / (len(own) + CULTURE_PRIOR)
    return scales


def _quantile(values: Floats) -> float:
    """Return the value that the next one exceeds in one case of ten, at most."""
    n = len(values)
    level = min(1.0, math.ceil((n + 1) * LEVEL) / n)
    return float(np.quantile(values, level, method="inverted_cdf"))
