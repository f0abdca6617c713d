"""How a model's shares are put right, and pooled with an estimate from the tables.

The log-ratios of the shares that people gave are told from those of the model, of the estimate,
and from the place of an option: weights and offsets are those of a multinomial logistic regression
on questions whose answers are known. A weight below 1 is a temperature, an offset takes back a
liking for a place.

Source: ESTIMATION, 'Pool and calibration per model'; C. Zheng et al. (2023), arXiv 2309.03882, for
the bias of places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from estimation.shares import log_ratios, to_shares
from survey_data.arrays import Floats, Ints
from survey_data.distances import distribution_similarity

# Draws offsets to 0: as much as this many questions that show none.
OFFSET_PENALTY = 2.0
N_FOLDS = 5
# By how much a fit has to be nearer to people than what is simpler to be taken.
MIN_GAIN = 0.001


class Sample(NamedTuple):
    """What is known of one question in one culture, float64[options] each.

    Attributes:
        question: which one it is; samples of a question are learned from or left out together.
        people: the shares that people gave.
        model: those that the model gave.
        table: those that were estimated without these people's answer, None without an estimate.
    """

    question: int
    people: Floats
    model: Floats
    table: Floats | None = None


@dataclass(frozen=True)
class Calibration:
    """What the log-ratios of model and table count.

    Attributes:
        model: the weight of the model's.
        table: the weight of the estimate's, 0 where none is pooled.
        offsets: what is added to each option's place, by number of options, float64[options].
    """

    model: float
    table: float = 0.0
    offsets: Mapping[int, Floats] = field(default_factory=dict)

    def apply(self, model: Floats, table: Floats | None = None) -> Floats:
        """Return the shares, float64[options], for those of the model and of the estimate.

        Raises:
            ValueError: an estimate counts, and there is none.
        """
        if self == MODEL_AS_IS:
            return model
        if self == TABLE_ALONE and table is not None:
            return table
        logits = self.model * log_ratios(model) + self.offsets.get(len(model), 0.0)
        if self.table:
            if table is None:
                raise ValueError("found no estimate, expected one to pool the model's shares with")
            logits = logits + self.table * log_ratios(table)
        return to_shares(logits)


MODEL_AS_IS, TABLE_ALONE = Calibration(1.0), Calibration(0.0, 1.0)
Fit = Callable[[Sequence[Sample]], Calibration]


def fit_model(samples: Sequence[Sample]) -> Calibration:
    """Return what puts the model's shares right, by questions whose answers are known.

    They are left as they are unless the fit does better on questions that it was not made on.
    """
    return _choose(samples, [MODEL_AS_IS], [_fit_alone])


def fit_pool(samples: Sequence[Sample]) -> Calibration:
    """Return the best of the estimate alone, the model put right, and the two pooled.

    Which one is best is decided on questions that it was not fitted on. Each sample has an
    estimate.
    """
    return _choose(samples, [TABLE_ALONE, MODEL_AS_IS], [_fit_alone, _fit_both])


def _choose(
    samples: Sequence[Sample], simple: Sequence[Calibration], fits: Sequence[Fit]
) -> Calibration:
    """Return the best of `simple`, or the best fit if that is nearer to people by `MIN_GAIN`."""
    reached = [
        measure_similarity(samples, [of.apply(s.model, s.table) for s in samples]) for of in simple
    ]
    best, found = max(reached), simple[int(np.argmax(reached))]
    chosen: Fit | None = None
    for fit in fits:
        measured = measure_similarity(samples, cross_fit(samples, fit))
        if measured > best + MIN_GAIN:
            best, chosen = measured, fit
    return found if chosen is None else chosen(samples)


def cross_fit(samples: Sequence[Sample], fit: Fit, *, n_folds: int = N_FOLDS) -> list[Floats]:
    """Return the shares for each sample by a calibration that never saw its question."""
    questions = list(dict.fromkeys(sample.question for sample in samples))
    shuffled = np.random.default_rng(0).permutation(len(questions))
    fold_of = {questions[place]: i % n_folds for i, place in enumerate(shuffled.tolist())}
    shares: list[Floats] = [np.zeros(0)] * len(samples)
    for fold in range(min(n_folds, len(questions))):
        calibration = fit([s for s in samples if fold_of[s.question] != fold])
        for place, sample in enumerate(samples):
            if fold_of[sample.question] == fold:
                shares[place] = calibration.apply(sample.model, sample.table)
    return shares


def _fit_alone(samples: Sequence[Sample]) -> Calibration:
    return _Regression(samples, n_sources=1).fit()


def _fit_both(samples: Sequence[Sample]) -> Calibration:
    return _Regression(samples, n_sources=2).fit()


def measure_similarity(samples: Sequence[Sample], shares: Sequence[Floats | None]) -> float:
    """Return the mean similarity to what people said, over the samples that have shares."""
    similarities = [
        distribution_similarity(found.tolist(), sample.people.tolist())
        for sample, found in zip(samples, shares, strict=True)
        if found is not None
    ]
    return float(np.mean(similarities)) if similarities else 0.0


class _Regression:
    """A multinomial logistic regression; every question counts the same, however often asked.

    Parameters are the weights of the sources and then an offset per place and number of options.
    """

    def __init__(self, samples: Sequence[Sample], *, n_sources: int) -> None:
        self._n_sources = n_sources
        self._n_options: Ints = np.array([len(s.people) for s in samples], dtype=np.int64)
        self._sizes = np.unique(self._n_options).tolist()
        most = max(self._sizes, default=0)
        self._people = np.zeros((len(samples), most))
        self._logits = np.zeros((n_sources, len(samples), most))
        for i, sample in enumerate(samples):
            n = len(sample.people)
            self._people[i, :n] = sample.people
            for source, shares in enumerate((sample.model, sample.table)[:n_sources]):
                if shares is None:
                    raise ValueError(f"sample {i} has no estimate, expected one to pool")
                self._logits[source, i, :n] = log_ratios(shares)
        self._is_option = np.arange(most) < self._n_options[:, None]
        starts = np.cumsum([n_sources, *self._sizes])
        self._starts = dict(zip(self._sizes, starts.tolist(), strict=False))
        first = np.array([self._starts[n] for n in self._n_options.tolist()], dtype=np.int64)
        self._places = np.where(self._is_option, first[:, None] + np.arange(most), 0)
        self._n_parameters = int(starts[-1])
        questions, which = np.unique([s.question for s in samples], return_inverse=True)
        self._weights = (1.0 / np.bincount(which))[which] if len(questions) else np.zeros(0)

    def fit(self) -> Calibration:
        """Return the calibration of the largest penalised likelihood; a weight is never below 0."""
        # Here, not above: it takes 20 MiB, and who uses a calibration fits none.
        from scipy.optimize import Bounds, minimize

        start = np.zeros(self._n_parameters)
        start[: self._n_sources] = 1.0 / self._n_sources
        lowest = np.full(self._n_parameters, -np.inf)
        lowest[: self._n_sources] = 0.0
        bounds = Bounds(lowest, np.inf)
        found = minimize(self._loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        model, table = float(found[0]), float(found[1]) if self._n_sources > 1 else 0.0
        offsets = {n: found[start : start + n] for n, start in self._starts.items()}
        return Calibration(model, table, offsets)

    def _loss(self, parameters: Floats) -> tuple[float, Floats]:
        offsets = np.where(self._is_option, parameters[self._places], -np.inf)
        logits = np.tensordot(parameters[: self._n_sources], self._logits, axes=1) + offsets
        shares = to_shares(logits) if len(logits) else logits
        known = self._weights[:, None] * self._people
        logs = np.log(np.where(self._is_option, np.maximum(shares, 1e-300), 1.0))
        off = self._weights[:, None] * shares - known
        gradient = np.zeros(self._n_parameters)
        gradient[: self._n_sources] = np.tensordot(self._logits, off, axes=((1, 2), (0, 1)))
        of_offsets = parameters[self._n_sources :]
        added = np.bincount(
            self._places[self._is_option], off[self._is_option], self._n_parameters
        )[self._n_sources :]
        gradient[self._n_sources :] = added + OFFSET_PENALTY * of_offsets
        penalty = OFFSET_PENALTY / 2.0 * float(of_offsets @ of_offsets)
        return penalty - float((known * logs).sum()), gradient
