"""Populations that the mini model learns to read: made-up ones and those of real surveys.

A population answers questions. What it would answer must not be known from the question alone,
or the model would learn the questions by heart and never read the exemplars. Made-up populations
come first and make up half of the training throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from survey_data.model import Question, ResponseDistribution, Scale

Floats = npt.NDArray[np.float32]


class Population(Protocol):
    """People who answer questions of a pool with known shares."""

    culture: str
    indexes: npt.NDArray[np.intp]

    def shares(self, index: int) -> npt.NDArray[np.float64]:
        """Return the shares over the options of question `index` of the pool, in option order."""


@dataclass(frozen=True)
class QuestionPool:
    """Questions with the encoder's vectors of their texts and of their options.

    `vectors` is float32[n, dim] with one unit row per question; `option_vectors[i]` is
    float32[n_options, dim].
    """

    questions: tuple[Question, ...]
    vectors: Floats
    option_vectors: tuple[Floats, ...]

    def find_short(self, n_options: int, *, max_chars: int) -> npt.NDArray[np.intp]:
        """Return the indexes of the short questions with exactly `n_options` options."""
        return np.flatnonzero(
            [
                len(q.options) == n_options and len(q.text) + sum(map(len, q.options)) < max_chars
                for q in self.questions
            ]
        )


class StylePopulation:
    """Answers by position alone, the same way at every question of one scale length."""

    culture = ""

    def __init__(
        self,
        pool: QuestionPool,
        rng: np.random.Generator,
        *,
        groups: Sequence[npt.NDArray[np.intp]],
    ) -> None:
        self.indexes = groups[int(rng.integers(len(groups)))]
        n_options = len(pool.questions[int(self.indexes[0])].options)
        self._shares = rng.dirichlet(np.full(n_options, 0.3))

    def shares(self, index: int) -> npt.NDArray[np.float64]:
        """Return the population's one response style."""
        return self._shares


class SmoothPopulation:
    """Answers that vary smoothly with the meaning of question and option, over a response style.

    logit(option) = style(position) + taste . option + (attitude . question)(pole . option), with
    `taste`, `attitude` and `pole` drawn once per population: Gaussian random functions of the
    encoder's vectors.
    """

    culture = ""

    def __init__(self, pool: QuestionPool, rng: np.random.Generator) -> None:
        self.indexes = np.arange(len(pool.questions))
        self._pool = pool
        dim = pool.vectors.shape[1]
        self._slope, self._extremity = rng.normal(0, 1.2), rng.normal(0.3, 1.2)
        self._taste = rng.normal(0, 1.0, dim)
        self._attitude = rng.normal(0, 1.0, (3, dim))
        self._pole = rng.normal(0, 1.0, (3, dim))
        self._content = rng.uniform(0.0, 1.0)
        self._sharpness = rng.uniform(0.6, 1.6)

    def shares(self, index: int) -> npt.NDArray[np.float64]:
        """Return the shares of question `index`."""
        options = self._pool.option_vectors[index].astype(np.float64)
        question = self._pool.vectors[index].astype(np.float64)
        position = np.linspace(-1.0, 1.0, len(options))
        style = self._slope * position + self._extremity * (np.abs(position) - 0.5)
        # What all options of a question have in common says nothing about which one is chosen.
        options = options - options.mean(axis=0)
        attitudes = self._attitude @ question
        content = options @ self._taste + (options @ self._pole.T) @ attitudes
        if self._pool.questions[index].scale is Scale.ORDINAL:
            # On an ordered scale the neighbours of a liked option are liked too.
            fit = np.polynomial.polynomial.polyfit(position, content, min(2, len(options) - 1))
            content = np.polynomial.polynomial.polyval(position, fit)
            content = content + (attitudes @ np.ones(3)) * position * 0.8
        logits = self._sharpness * (style + self._content * content)
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())


class SurveyPopulation:
    """The people of one country, as a survey found them."""

    def __init__(self, culture: str, cells: dict[int, ResponseDistribution]) -> None:
        self.culture = culture
        self.indexes = np.array(sorted(cells), dtype=np.intp)
        self._cells = cells

    def shares(self, index: int) -> npt.NDArray[np.float64]:
        """Return the surveyed shares of question `index`."""
        return np.array(self._cells[index].shares)


class TiltedPopulation:
    """A surveyed people with a response style of its own on top, drawn once.

    What it answers to a question can be learnt by heart only in part; how it leans has to be read
    from its other answers.
    """

    culture = ""

    def __init__(self, people: SurveyPopulation, rng: np.random.Generator) -> None:
        self.indexes = people.indexes
        self._people = people
        self._slope, self._extremity = rng.normal(0.0, 0.7), rng.normal(0.0, 0.7)
        self._sharpness = rng.uniform(0.7, 1.2)

    def shares(self, index: int) -> npt.NDArray[np.float64]:
        """Return the surveyed shares of question `index`, tilted."""
        shares = self._people.shares(index)
        position = np.linspace(-1.0, 1.0, len(shares))
        tilt = self._slope * position + self._extremity * (np.abs(position) - 0.5)
        weights = np.maximum(shares, 1e-3) ** self._sharpness * np.exp(tilt)
        return np.asarray(weights / weights.sum())
