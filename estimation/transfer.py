"""Estimates of what a culture would answer to a question that other cultures were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from estimation.donors import Donors, blend, fit_donors
from estimation.residuals import Departures, correct, krige
from estimation.shares import to_shares
from estimation.table import AnswerTable
from survey_data.arrays import Floats, Ints

# Donors have to share this many with the culture's own questions to weigh them by, if they can.
MIN_COMMON = 3
N_CACHED = 2048
# Of the questions that moved an estimate, how many are told.
N_PULLS = 5
NO_ROWS, NO_STRENGTHS = np.zeros(0, dtype=np.int64), np.zeros(0)


class Pull(NamedTuple):
    """A question that the culture answered, and how far it moved an estimate, in log-ratios."""

    row: int
    strength: float


@dataclass(frozen=True, slots=True)
class Transferred:
    """An estimate from other cultures' answers.

    Attributes:
        shares: float64[options], together 1.
        columns, weights: of the cultures, int64[donors] and float64[donors]; together 1.
        rows, strengths: the culture's own questions that moved it, and how far, in log-ratios.
    """

    shares: Floats
    columns: Ints
    weights: Floats
    rows: Ints
    strengths: Floats

    @property
    def donors(self) -> tuple[tuple[int, float], ...]:
        """The columns of the cultures with their weights, the heaviest first."""
        order = np.argsort(-self.weights, kind="stable")
        return tuple(zip(self.columns[order].tolist(), self.weights[order].tolist(), strict=True))

    @property
    def pulls(self) -> tuple[Pull, ...]:
        """The own questions that moved it most, the strongest first."""
        order = np.argsort(-self.strengths, kind="stable")[:N_PULLS]
        pairs = zip(self.rows[order].tolist(), self.strengths[order].tolist(), strict=True)
        return tuple(Pull(*pair) for pair in pairs)


class _Fit(NamedTuple):
    donors: Donors
    departures: dict[int, Departures]


class TransferModel:
    """Estimates answers of any culture to any question of the table that others were asked.

    What is fitted for a culture is kept for its next question. Safe to share between threads: the
    same is fitted twice at worst.
    """

    def __init__(self, table: AnswerTable, vectors: Floats) -> None:
        """Take the answers, and the unit vectors of the questions, float64[rows, dim]."""
        self._table, self._vectors = table, vectors
        self._fits: dict[tuple[int, tuple[int, ...], frozenset[int]], _Fit] = {}

    @property
    def n_fits(self) -> int:
        """How many fits are kept."""
        return len(self._fits)

    def forget(self) -> None:
        """Drop the fits that are kept."""
        self._fits.clear()

    def estimate(
        self, row: int, culture: int, *, barred: frozenset[int] = frozenset()
    ) -> Transferred | None:
        """Return what `culture` would answer to the question in `row`; None where no other did.

        Its own answers to that question and to those in `barred` are taken for unknown.
        """
        found = self.estimate_all((row,), culture, barred=barred | {row})
        return found[0]

    def estimate_all(
        self, rows: Sequence[int], culture: int, *, barred: frozenset[int]
    ) -> list[Transferred | None]:
        """Return the estimate for each question in `rows`; those in `barred` count as unknown."""
        found: list[Transferred | None] = [None] * len(rows)
        for donors, places in self.group_by_donors(rows, culture).items():
            fit = self._fit(culture, donors, barred)
            chosen = [rows[place] for place in places]
            blended = blend(self._table, fit.donors, chosen)
            cosines = self._vectors[chosen] @ self._vectors.T
            for i, place in enumerate(places):
                n = int(self._table.n_options[chosen[i]])
                found[place] = _correct(fit, blended.logits[i, :n], blended.weights[i], cosines[i])
        return found

    def group_by_donors(
        self, rows: Sequence[int], culture: int
    ) -> dict[tuple[int, ...], list[int]]:
        """Return the places in `rows` of the questions that others were asked, by who they are.

        Questions with the same donors share a fit.
        """
        places: dict[tuple[int, ...], list[int]] = {}
        for place, row in enumerate(rows):
            if donors := self._donors_of(row, culture):
                places.setdefault(donors, []).append(place)
        return places

    def _donors_of(self, row: int, culture: int) -> tuple[int, ...]:
        """Return the cultures to ask: of the question's pack, for they share a fit, or its own."""
        asked = self._table.asked[row]
        pack = self._table.questions[row].pack
        surveyed: Ints = np.array(self._table.surveyed[pack], dtype=np.int64)
        others = surveyed[surveyed != culture]
        were_asked = asked[others]
        # Where few of the pack's cultures were asked, the weights are fitted for just those.
        if were_asked.sum() < len(others) / 2:
            others = others[were_asked]
        return tuple(others.tolist())

    def _fit(self, culture: int, donors: tuple[int, ...], barred: frozenset[int]) -> _Fit:
        # What the culture was not asked is no answer to leave out: such questions share a fit.
        barred = frozenset(row for row in barred if self._table.asked[row, culture])
        key = (culture, donors, barred)
        fit = self._fits.get(key)
        if fit is None:
            fit = self._make_fit(culture, donors, barred)
            if len(self._fits) >= N_CACHED:
                self._fits.clear()
            self._fits[key] = fit
        return fit

    def _make_fit(self, culture: int, donors: tuple[int, ...], barred: frozenset[int]) -> _Fit:
        table = self._table
        known = table.asked[:, culture].copy()
        known[list(barred)] = False
        n_common = table.asked[:, list(donors)].sum(axis=1)
        rows = np.flatnonzero(known & (n_common >= len(donors) / 2))
        if not len(rows):
            rows = np.flatnonzero(known & (n_common >= min(MIN_COMMON, len(donors))))
        weights = fit_donors(table, culture, donors, rows.tolist())
        departures: dict[int, Departures] = {}
        if len(rows):
            values = table.logits[rows, culture] - blend(table, weights, rows.tolist()).logits
            for n_options in np.unique(table.n_options[rows]):
                some = table.n_options[rows] == n_options
                departures[int(n_options)] = krige(
                    rows[some], values[some, :n_options], self._vectors
                )
        return _Fit(weights, departures)


def _correct(fit: _Fit, logits: Floats, weights: Floats, cosines: Floats) -> Transferred:
    """Return the blend of other cultures' answers, moved by the culture's own."""
    rows, strengths = NO_ROWS, NO_STRENGTHS
    departures = fit.departures.get(len(logits))
    if departures is not None:
        correction = correct(departures, cosines)
        logits = logits + correction.logits
        rows, strengths = departures.rows, correction.pulls
    return Transferred(to_shares(logits), fit.donors.columns, weights, rows, strengths)
