"""The wordings of one language, and which of them an asked question is.

Two questions that only sound alike differ in a word or two, so words are compared beside vectors.
The weights are fitted by `python -m benchmarks.translations --fit` on five languages. They hold for
those that `retrieval.foreign_words` knows; in others only slips of the pen are seen through.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from retrieval.encoder import Vectors
from retrieval.foreign_text import (
    WordIndex,
    find_grams,
    find_kinds,
    find_roles,
    find_words,
    is_among,
    is_known,
    is_mistyped,
    strip_scale,
)
from retrieval.question_space import shift
from retrieval.recognition import group_same
from survey_data.model import Question
from survey_data.wording import fold_text

# So many of the nearest are compared, each with so many that are nearest to it.
N_COMPARED, N_NEIGHBOURS = 4, 10
MAX_LEAD = 0.25
# In the order of `Features.flatten`.
WEIGHTS = (1.570, 3.506, 12.860, 7.602, 1.851, -1.502, 5.756, -5.279, 5.480)
INTERCEPT = -8.245
# The log-odds from which an asked question is taken for the survey's, and those of what cannot be.
CERTAIN, IMPOSSIBLE = 4.0, -10.0


class Features(NamedTuple):
    """What tells whether a wording is of the question that is asked.

    Attributes:
        similarity: the larger of the cosines of the asked text with the wording and with its core.
        english: cosine of the asked text with the question in its own language, mostly English.
        english_lead: by how much that is above any other question's, at most MAX_LEAD either way.
        apart: cosine of how both depart from the wordings that are near to this one.
        further: by how much the asked one departs further.
        found: the share of what the asked words tell, the rare ones most, that the core has.
        found_anywhere: the same, where scale and options count too.
        alike: the share of groups of letters that both have.
        is_clean: whether each word of either has one like it in the other.
        is_another: whether they cannot be one: somebody is named in one alone, or in another order
            ("a wife who beats her husband"), or one is of a kind that the other is not of. It has
            no weight: such a question is never certain.
        is_mistyped: whether nothing differs but slips of the pen. Such a one is certain.
    """

    similarity: float
    english: float
    english_lead: float
    apart: float
    further: float
    found: float
    found_anywhere: float
    alike: float
    is_clean: float
    is_another: bool
    is_mistyped: bool

    def flatten(self) -> tuple[float, ...]:
        """Return all values that have a weight."""
        return self[:-2]


class Compared(NamedTuple):
    """A wording, by its row, what an asked question has in common with it, and the log-odds."""

    row: int
    features: Features
    odds: float


class Translation:
    """The wordings of a language. Safe to share.

    Attributes:
        questions: the questions in this language.
        rows: of each its row among the questions in their own languages.
    """

    def __init__(
        self,
        language: str,
        questions: Sequence[Question],
        *,
        vectors: Vectors,
        core_vectors: Vectors,
        rows: Sequence[int],
    ) -> None:
        """Take questions in a language, and the vectors of their texts and cores, as asked.

        `rows` are those of the questions in the vectors of their own language.
        """
        self.questions = tuple(questions)
        self._language, self.rows = language, np.array(rows, dtype=np.intp)
        self._centre: Vectors = vectors.mean(axis=0)
        self._vectors = shift(vectors, self._centre)
        self._core_vectors = shift(core_vectors, self._centre)
        self._texts = [question.text for question in questions]
        cores = [strip_scale(text) for text in self._texts]
        self._cores = cores
        self._words = [find_words(core, language) for core in cores]
        every = [" ".join([q.text, *q.options]) for q in questions]
        self._all_words = [find_words(text, language) for text in every]
        self._core_roles = [find_roles(core, language) for core in cores]
        self._roles = [frozenset(find_roles(text, language)) for text in every]
        self._kinds = [find_kinds(core, language) for core in cores]
        self._grams = [find_grams(core) for core in cores]
        self._vocabulary = frozenset(word for words in self._all_words for word in words)
        self._index = WordIndex(self._words, language)
        self._tell = lru_cache(maxsize=65_536)(self._weigh_word)
        cosines = self._core_vectors @ self._core_vectors.T
        np.fill_diagonal(cosines, np.inf)
        near = np.argsort(-cosines, axis=1, kind="stable")[:, 1 : N_NEIGHBOURS + 1]
        self._centres = np.array([self._core_vectors[each].sum(axis=0) for each in near])
        self._centres /= max(1, near.shape[1])
        folded = [fold_text(text) for text in self._texts]
        self._same = group_same(self.questions, folded, self._vectors)

    def same_as(self, row: int) -> list[Question]:
        """Return the questions that ask the same as that of a row, its own among them."""
        return [self.questions[other] for other in self._same[row]]

    def measure(self, vector: Vectors) -> Vectors:
        """Return the cosine of an encoded text with each question."""
        [placed] = shift(vector[None], self._centre)
        cosines: Vectors = np.maximum(self._vectors @ placed, self._core_vectors @ placed)
        return cosines

    def compare(
        self, text: str, vector: Vectors, own: Vectors, *, without: Collection[int] = ()
    ) -> list[Compared]:
        """Return the wordings nearest to `text`, nearest first.

        `vector` is that of the encoder, and `own` the cosines with the questions in their own
        languages. Wordings in the rows `without` are passed over.
        """
        cosines, own = self.measure(vector), own.copy()
        cosines[list(without)] = -1.0
        own[self.rows[list(without)]] = -1.0
        order = np.argsort(-cosines, kind="stable").tolist()
        asked = _Asked(text, self._language, shift(vector[None], self._centre)[0])
        compared = []
        for row in order[: min(N_COMPARED, len(order) - len(without))]:
            features = self._describe(asked, row, similarity=float(cosines[row]), own=own)
            compared.append(Compared(row, features, weigh(features)))
        return compared

    def _describe(self, asked: _Asked, row: int, *, similarity: float, own: Vectors) -> Features:
        language, known, every = self._language, self._words[row], self._all_words[row]
        others = own.copy()
        others[self.rows[list(self._same[row])]] = -1.0
        english = float(own[self.rows[row]])
        off, known_off = (
            asked.vector - self._centres[row],
            self._core_vectors[row] - self._centres[row],
        )
        length, known_length = (float(np.linalg.norm(each)) or 1.0 for each in (off, known_off))
        foreign = [word for word in asked.words if not is_among(word, every, language)]
        elsewhere = [word for word in asked.words if not is_among(word, known, language)]
        missing = [word for word in known if not is_among(word, asked.words, language)]
        grams = self._grams[row]
        return Features(
            similarity=similarity,
            english=english,
            english_lead=float(np.clip(english - others.max(), -MAX_LEAD, MAX_LEAD)),
            apart=float(off @ known_off) / (length * known_length),
            further=length - known_length,
            found=1 - self._share(elsewhere, asked.words),
            found_anywhere=1 - self._share(foreign, asked.words),
            alike=len(asked.grams & grams) / max(1, len(asked.grams | grams)),
            is_clean=float(not foreign and not missing),
            is_another=self._is_another(asked, row),
            is_mistyped=is_mistyped(asked.text, self._texts[row], self._vocabulary)
            or is_mistyped(asked.core, self._cores[row], self._vocabulary),
        )

    def _is_another(self, asked: _Asked, row: int) -> bool:
        known = self._core_roles[row]
        return (
            not is_known(self._language)
            or not self._roles[row].issuperset(asked.roles)
            or [role for role in asked.roles if role in known] != list(known)
            or asked.kinds != self._kinds[row]
        )

    def _share(self, some: Sequence[str], words: Sequence[str]) -> float:
        total = sum(map(self._tell, words))
        return sum(map(self._tell, some)) / total if total else 0.0

    def _weigh_word(self, word: str) -> float:
        n = self._index.count_with(word)
        return math.log((len(self._words) + 2) / (n + 1))


def weigh(features: Features) -> float:
    """Return the log-odds that a wording is of the question that is asked."""
    if features.is_mistyped:
        return math.inf
    if features.is_another:
        return IMPOSSIBLE
    return INTERCEPT + sum(w * x for w, x in zip(WEIGHTS, features.flatten(), strict=True))


class _Asked:
    """An asked question, taken apart once."""

    def __init__(self, text: str, language: str, vector: Vectors) -> None:
        self.text, self.core, self.vector = text, strip_scale(text), vector
        self.words = find_words(self.core, language)
        self.roles, self.kinds = find_roles(self.core, language), find_kinds(self.core, language)
        self.grams = find_grams(self.core)
