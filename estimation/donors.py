"""How other cultures' answers to a question are weighted to stand for those of one culture.

Two regressions are averaged. One stacks shares with weights of at least 0, drawn to equal ones;
the other explains in log-ratios by how much the culture departs from the others' mean, with a
ridge penalty, and may give a culture a negative weight.

Source: ESTIMATION, 'transfer'; L. Breiman, Stacked Regressions (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from estimation.shares import log_ratios
from estimation.table import AnswerTable, Flags
from survey_data.arrays import Floats, Ints

# Pulls stacking weights to equal ones: as many questions of a difference of 1 as its square.
STACK_PENALTY = 0.5
RIDGE_PENALTY = 20.0


class Donors(NamedTuple):
    """What is known of a culture's likeness to others: the weights of these columns.

    `stacked` are at least 0; `tilts` are by how much a culture's departure from the mean counts.
    """

    columns: Ints
    stacked: Floats
    tilts: Floats


@dataclass(frozen=True, slots=True)
class Blend:
    """Other cultures' answers to some questions, weighted.

    Attributes:
        logits: centred log-ratios, float64[questions, most options]; 0 behind the last option.
        weights: what each donor counts, float64[questions, donors]; together 1, a negative one
            where likeness means the opposite.
    """

    logits: Floats
    weights: Floats


def fit_donors(
    table: AnswerTable, culture: int, columns: Sequence[int], rows: Sequence[int]
) -> Donors:
    """Return how to weight the cultures in `columns` to stand for `culture`.

    Fitted on the questions in `rows`, which `culture` has answered; where a donor was not asked,
    the mean of those who were stands in. Without rows all count the same.
    """
    donors, chosen = np.asarray(columns, dtype=np.int64), np.asarray(rows, dtype=np.int64)
    n = len(donors)
    asked = table.asked[np.ix_(chosen, donors)]
    shares = _fill(table.shares[np.ix_(chosen, donors)], asked)
    logits = _fill(table.logits[np.ix_(chosen, donors)], asked)
    centre = logits.mean(axis=1)
    departures = (logits - centre[:, None]).transpose(0, 2, 1).reshape(-1, n)
    own = (table.logits[chosen, culture] - centre).reshape(-1)
    tilts = np.linalg.solve(
        departures.T @ departures + RIDGE_PENALTY * np.eye(n), departures.T @ own
    )
    stacked = _stack(shares.transpose(0, 2, 1).reshape(-1, n), table.shares[chosen, culture])
    return Donors(donors, stacked, tilts)


def blend(table: AnswerTable, donors: Donors, rows: Sequence[int]) -> Blend:
    """Return the donors' answers to the questions in `rows`, weighted among those who were asked.

    Raises:
        ValueError: none of the donors was asked one of them.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    asked = table.asked[np.ix_(chosen, donors.columns)]
    if not asked.any(axis=1).all():
        raise ValueError("a question was asked of none of the donors")
    stacked = _normalise(np.where(asked, donors.stacked, 0.0), asked)
    equal = _normalise(asked.astype(np.float64), asked)
    tilts = np.where(asked, donors.tilts, 0.0)
    tilted = equal + tilts - tilts.sum(axis=1, keepdims=True) * equal
    shares = np.einsum("td,tdo->to", stacked, table.shares[np.ix_(chosen, donors.columns)])
    ridge = np.einsum("td,tdo->to", tilted, table.logits[np.ix_(chosen, donors.columns)])
    logits = np.zeros_like(ridge)
    for n_options in np.unique(table.n_options[chosen]):
        some = table.n_options[chosen] == n_options
        part = np.s_[some, :n_options]
        logits[part] = (ridge[part] + log_ratios(shares[part])) / 2.0
    return Blend(logits, (stacked + tilted) / 2.0)


def stack(table: AnswerTable, donors: Donors, row: int) -> Floats:
    """Return the shares, float64[options], that stacking alone tells for the question in `row`.

    At least one of the donors was asked it.
    """
    asked = table.asked[[row], donors.columns][None, :]
    weights = _normalise(np.where(asked, donors.stacked, 0.0), asked)[0]
    shares: Floats = weights @ table.shares[row, donors.columns, : table.n_options[row]]
    return shares


def _fill(values: Floats, asked: Flags) -> Floats:
    """Return values[rows, donors, options] with the mean of those asked where one was not."""
    n_asked = np.maximum(asked.sum(axis=1), 1)
    mean = np.where(asked[..., None], values, 0.0).sum(axis=1) / n_asked[:, None]
    filled: Floats = np.where(asked[..., None], values, mean[:, None])
    return filled


def _stack(shares: Floats, own: Floats) -> Floats:
    """Return the weights of at least 0 that minimise squared errors and the pull to equal ones."""
    # Here, not above: it takes 20 MiB, and a service that only passes chats through never needs it.
    from scipy.optimize import nnls

    n = shares.shape[1]
    pull = STACK_PENALTY**2
    upper = cholesky(shares.T @ shares + pull * np.eye(n))
    aim = solve_triangular(upper, shares.T @ own.reshape(-1) + pull / n, trans="T")
    weights: Floats = nnls(upper, aim)[0]
    return weights


def _normalise(weights: Floats, asked: Flags) -> Floats:
    """Return rows that sum to 1; where all weights are 0, those asked count the same."""
    totals = weights.sum(axis=1, keepdims=True)
    usable = np.where(totals > 0.0, weights, asked)
    normalised: Floats = usable / usable.sum(axis=1, keepdims=True)
    return normalised
