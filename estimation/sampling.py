"""By how much a survey's shares may be off because only some of the people were asked.

Source: E. B. Wilson (1927), JASA 22; L. Kish, Survey Sampling (1965), for the design effect.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from survey_data.model import ResponseDistribution

# What intervals cover, and the normal quantile that goes with it.
LEVEL = 0.90
_Z = 1.6448536269514722
# How much clustering and weighting inflate the variance, where the pack does not tell.
DESIGN_EFFECT = 2.0


class Interval(NamedTuple):
    """Where a share lies in 90 % of cases, both ends in [0, 1]."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How far apart its ends are."""
        return self.high - self.low


def sampling_intervals(cell: ResponseDistribution) -> tuple[Interval, ...] | None:
    """Return Wilson's interval of each share; None where the source tells no number of people.

    The number that counts is the effective one where the pack has it, else that of those who gave
    an option over a design effect of 2.
    """
    n = count_effective(cell)
    return None if n is None else tuple(_wilson(share, n) for share in cell.shares)


def count_effective(cell: ResponseDistribution) -> float | None:
    """Return the effective number of people behind a cell's shares, None where it is unknown."""
    if cell.n_effective is not None:
        return cell.n_effective
    if cell.n_respondents is None:
        return None
    return cell.n_respondents * (1.0 - (cell.non_response or 0.0)) / DESIGN_EFFECT


def _wilson(share: float, n: float) -> Interval:
    if n <= 0.0:
        return Interval(0.0, 1.0)
    spread = _Z * _Z / n
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = _Z * math.sqrt(share * (1.0 - share) / n + spread / (4.0 * n)) / (1.0 + spread)
    # Rounding takes it beside the share where that is 0 or 1.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))
