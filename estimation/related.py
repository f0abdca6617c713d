"""Estimates of what a culture would answer to a question that nobody was asked.

A Gaussian process over all (question, option) pairs of the table: one for the world's log-ratios,
and one for by how much a culture departs from them. Two pairs are alike where the questions are
and the options are, by their wording or by their place on the scale.

Source: ESTIMATION, 'related'; C. E. Rasmussen & C. K. I. Williams, Gaussian Processes for Machine
Learning (2006), algorithm 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, qr

from estimation.shares import log_ratios, to_shares
from estimation.table import AnswerTable, Flags
from survey_data.arrays import Floats, Ints

QUESTION_SCALE, WORDING_SCALE, PLACE_SCALE = 0.7, 0.15, 0.15
# What likeness counts: question and wording, question and place, wording alone, place alone.
BOTH_WORDING, BOTH_PLACE, WORDING, PLACE = 1.0, 0.5, 0.3, 0.3
PRIOR = BOTH_WORDING + BOTH_PLACE + WORDING + PLACE
WORLD_NOISE, CULTURE_NOISE = 0.05, 0.2
# With few options their wording and place say little of how many choose them, so from the first
# variance on an estimate is drawn to equal shares, and from the second on it is just those.
FEW_OPTIONS = 3
TRUSTED_VARIANCE, VOID_VARIANCE = 0.9, 1.3
# The variance is told by the kernel's largest eigenvalues; the others are next to nothing.
N_EIGENVALUES = 300


class Scales(NamedTuple):
    """The options of questions, one after the other.

    Attributes:
        places: where an option stands on its scale, from 0 to 1.
        n_options: how many options its question has.
    """

    places: Floats
    n_options: Ints


@dataclass(frozen=True, slots=True)
class Related:
    """An estimate from answers to other questions.

    Attributes:
        shares: float64[options], together 1.
        variance: what is left unknown of its log-ratios, of `PRIOR` at most; lower is surer.
        nearest: the row of the question nearest to it, and its cosine.
    """

    shares: Floats
    variance: float
    nearest: tuple[int, float]


class HeldOut(NamedTuple):
    """A question estimated from others: shares float64[cultures, options], NaN where not asked."""

    row: int
    shares: Floats
    variance: float


class _Solved(NamedTuple):
    """What a culture's known answers come to: the pairs, and the weights of their kernels."""

    pairs: Ints
    weights: Floats


class RelatedModel:
    """Estimates the answers of any culture to any question with options. Safe to share."""

    def __init__(
        self,
        table: AnswerTable,
        vectors: Floats,
        wordings: Floats,
        *,
        barred: frozenset[int] = frozenset(),
    ) -> None:
        """Fit on the questions that are not in `barred`.

        Args:
            table: the answers.
            vectors: the unit vectors of its questions, float64[rows, dim].
            wordings: those of `table.wordings`, float64[wordings, dim].
            barred: rows that are left out.
        """
        usable: Flags = np.array(table.asked.any(axis=1))
        usable[list(barred)] = False
        of_row = np.repeat(np.arange(len(table.questions)), table.n_options)
        place = np.concatenate([np.arange(n) for n in table.n_options])
        chosen = usable[of_row]
        self._table, self._vectors, self._wordings = table, vectors, wordings
        self._of_row, place = of_row[chosen], place[chosen]
        self._of_wording = table.wording_of[self._of_row, place]
        self._scales = _scales(place, table.n_options[self._of_row])
        kernel = self._compare_pairs()
        self._usable = np.flatnonzero(usable)
        self._training = training = _train(table, self._of_row, place)
        self._world = cho_solve(cho_factor(_add_noise(kernel, WORLD_NOISE)), training.world)
        values, axes = _decompose(kernel)
        self._axes = (axes / np.sqrt(np.maximum(values, 0.0) + WORLD_NOISE)).astype(np.float32)
        self._solved = _solve_cultures(training, kernel)

    def estimate(self, question: Floats, options: Floats, culture: int) -> Related:
        """Return what `culture` would answer to a question.

        Args:
            question: its unit vector, float64[dim].
            options: the unit vectors of its options in scale order, float64[options, dim].
            culture: column of the table.
        """
        n = len(options)
        cosines = self._vectors @ question
        scales = _scales(np.arange(n), np.full(n, n))
        kernel = self._kernel(cosines[None, :], options @ self._wordings.T, scales)
        solved = self._solved[culture]
        logits = kernel @ self._world + kernel[:, solved.pairs] @ solved.weights
        told = ((kernel.astype(np.float32) @ self._axes) ** 2).sum(axis=1)
        variance = float(np.clip(PRIOR - told, 0.0, PRIOR).mean())
        best = int(self._usable[np.argmax(cosines[self._usable])])
        shares = to_shares((logits - logits.mean()) * _trust(n, variance))
        return Related(shares, variance, (best, float(cosines[best])))

    @property
    def rows(self) -> Ints:
        """The rows of the questions that it was fitted on."""
        return self._usable

    def find_vectors(self, row: int) -> tuple[Floats, Floats]:
        """Return the vector of a question of the table, and those of its options."""
        wordings = self._table.wording_of[row, : self._table.n_options[row]]
        return self._vectors[row], self._wordings[wordings]

    def find_far(self, question: Floats, n: int) -> frozenset[int]:
        """Return the rows of the table's questions other than the `n` nearest to a question."""
        return frozenset(np.argsort(-(self._vectors @ question), kind="stable")[n:].tolist())

    def find_near(self, question: Floats, cosine: float) -> frozenset[int]:
        """Return the rows of the table's questions that are at least so near to a question."""
        return frozenset(np.flatnonzero(self._vectors @ question >= cosine).tolist())

    def hold_out(self, groups: Sequence[tuple[int, frozenset[int]]]) -> list[HeldOut]:
        """Estimate questions from the others, for the cultures that answered them.

        Each group is the row of a question, and the rows that count as unknown with it. Exact,
        and without a fit for each: what a Gaussian process says without some of its points
        follows from the inverse with all of them (Rasmussen & Williams, 5.4.2).
        """
        # Made again, since an estimate does not need it: it is the largest there is here.
        training, kernel = self._training, self._compare_pairs()
        world = _LeftOut(kernel, training.world[:, None], WORLD_NOISE)
        by_survey = [
            (
                cultures,
                pairs,
                _LeftOut(*_restrict(training, kernel, pairs, cultures), CULTURE_NOISE),
            )
            for cultures, pairs in _by_surveys(training)
        ]
        held = []
        for row, unknown in groups:
            hidden = np.flatnonzero(np.isin(self._of_row, [*unknown, row]))
            own = self._of_row[hidden] == row
            means, covariance = world.predict(hidden)
            shares = np.full((self._table.asked.shape[1], int(own.sum())), np.nan)
            variance = float(np.clip(np.diag(covariance)[own], 0.0, PRIOR).mean())
            for cultures, pairs, departures in by_survey:
                places = np.flatnonzero(np.isin(pairs, hidden))
                mine = self._of_row[pairs[places]] == row
                if mine.any():
                    logits = (means[own] + departures.predict(places)[0][mine]).T
                    logits -= logits.mean(axis=1, keepdims=True)
                    shares[cultures] = to_shares(logits * _trust(logits.shape[1], variance))
            held.append(HeldOut(row, shares, variance))
        return held

    def _compare_pairs(self) -> Floats:
        """Return how alike the pairs are that it was fitted on, float64[pairs, pairs]."""
        return self._kernel(
            (self._vectors @ self._vectors.T)[self._of_row],
            (self._wordings @ self._wordings.T)[self._of_wording],
            self._scales,
        )

    def _kernel(self, questions: Floats, wordings: Floats, scales: Scales) -> Floats:
        """Return how alike options are to those that were fitted on, float64[options, pairs].

        Args:
            questions: cosines to the questions of the table, a row per option, or one for all.
            wordings: cosines to the wordings of the table, a row per option.
            scales: where the options stand.
        """
        question = np.exp((questions - 1.0) / QUESTION_SCALE)[:, self._of_row]
        kernel = np.exp((wordings - 1.0) / WORDING_SCALE)[:, self._of_wording]
        kernel *= WORDING + BOTH_WORDING * question
        apart = (scales.places[:, None] - self._scales.places) ** 2
        place = np.exp(-apart / PLACE_SCALE) * (scales.n_options[:, None] == self._scales.n_options)
        total: Floats = kernel + place * (PLACE + BOTH_PLACE * question)
        return total


def _decompose(kernel: Floats) -> tuple[Floats, Floats]:
    """Return about the largest eigenvalues of a kernel with their eigenvectors.

    Source: N. Halko, P. G. Martinsson & J. A. Tropp (2011), SIAM Review 53, algorithm 4.4.
    """
    if len(kernel) <= N_EIGENVALUES:
        values, axes = eigh(kernel)
        return values, axes
    probe = np.random.default_rng(0).normal(size=(len(kernel), N_EIGENVALUES))
    span = qr(kernel @ (kernel @ probe), mode="economic")[0]
    values, turned = eigh(span.T @ kernel @ span)
    return values, span @ turned


def _trust(n_options: int, variance: float) -> float:
    """Return the share in [0, 1] of an estimate's log-ratios that is kept."""
    if n_options > FEW_OPTIONS:
        return 1.0
    left = (VOID_VARIANCE - variance) / (VOID_VARIANCE - TRUSTED_VARIANCE)
    return float(np.clip(left, 0.0, 1.0))


def _scales(place: Ints, n_options: Ints) -> Scales:
    places: Floats = place / np.maximum(n_options - 1, 1)
    return Scales(places, n_options)


def _world_logits(table: AnswerTable) -> Floats:
    """Return the log-ratios of the mean shares of those who were asked, float64[rows, options]."""
    n_asked = np.maximum(table.asked.sum(axis=1), 1)
    mean: Floats = table.shares.sum(axis=1) / n_asked[:, None]
    logits = np.zeros_like(mean)
    for n_options in np.unique(table.n_options):
        some = table.n_options == n_options
        logits[some, :n_options] = log_ratios(mean[some, :n_options])
    return logits


class _Training(NamedTuple):
    """What is fitted on, a row per pair.

    Attributes:
        world: log-ratios of the mean shares.
        departures: of the cultures from them, float64[pairs, cultures]; 0 where not asked.
        packs: the number of each pair's pack.
        surveyed: which culture each pack has, bool[packs, cultures].
    """

    world: Floats
    departures: Floats
    packs: Ints
    surveyed: Flags


def _train(table: AnswerTable, of_row: Ints, place: Ints) -> _Training:
    numbers = {pack: number for number, pack in enumerate(table.surveyed)}
    packs = np.array([numbers[table.questions[row].pack] for row in of_row], dtype=np.int64)
    known = table.asked[of_row]
    surveyed = np.array([known[packs == pack].any(axis=0) for pack in range(len(numbers))])
    world = _world_logits(table)[of_row, place]
    departures = table.logits[of_row, :, place] - world[:, None]
    return _Training(world, np.where(known, departures, 0.0), packs, surveyed)


def _by_surveys(training: _Training) -> Iterator[tuple[Ints, Ints]]:
    """Yield the cultures of the same packs, with the pairs that these packs have.

    A question that a pack left out in one culture counts there as no departure.
    """
    for signature in np.unique(training.surveyed, axis=1).T:
        pairs = np.flatnonzero(signature[training.packs])
        if len(pairs):
            same = (training.surveyed == signature[:, None]).all(axis=0)
            yield np.flatnonzero(same), pairs


def _restrict(
    training: _Training, kernel: Floats, pairs: Ints, cultures: Ints
) -> tuple[Floats, Floats]:
    return kernel[np.ix_(pairs, pairs)], training.departures[np.ix_(pairs, cultures)]


def _solve_cultures(training: _Training, kernel: Floats) -> list[_Solved]:
    """Return each culture's departures, solved together for those of the same packs."""
    solved = [_Solved(np.zeros(0, dtype=np.int64), np.zeros(0))] * training.departures.shape[1]
    for cultures, pairs in _by_surveys(training):
        own, departures = _restrict(training, kernel, pairs, cultures)
        weights = cho_solve(cho_factor(_add_noise(own, CULTURE_NOISE)), departures)
        for i, culture in enumerate(cultures):
            solved[culture] = _Solved(pairs, weights[:, i])
    return solved


class _LeftOut:
    """Predicts some points of a Gaussian process from the others."""

    def __init__(self, kernel: Floats, values: Floats, noise: float) -> None:
        factor = cho_factor(_add_noise(kernel, noise))
        self._values, self._noise = values, noise
        self._inverse = cho_solve(factor, np.eye(len(kernel)))
        self._solved = self._inverse @ values

    def predict(self, points: Ints) -> tuple[Floats, Floats]:
        """Return the mean of these points, and their covariance without noise."""
        covariance = np.linalg.inv(self._inverse[np.ix_(points, points)])
        means = self._values[points] - covariance @ self._solved[points]
        return means, covariance - self._noise * np.eye(len(points))


def _add_noise(kernel: Floats, noise: float) -> Floats:
    noisy: Floats = kernel + noise * np.eye(len(kernel))
    return noisy
