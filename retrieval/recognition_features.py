"""What an asked question and one of a survey have in common, and how much that counts.

The weights are fitted by `python -m benchmarks.recognition --fit`. They and the thresholds belong
to the English encoder: one for other languages needs its own.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from retrieval.encoder import Vectors
from retrieval.english import (
    find_kinds,
    find_missing,
    find_words,
    is_among,
    is_opposed,
    is_spelled_among,
    is_swapped,
)

MAX_LEAD = 0.25
MAX_MISSING = 4
# A question is told from so many that are nearest to it.
N_NEIGHBOURS = 10
NEAR_VERBATIM = 0.97
_GRAM = 3
Words = Mapping[str, str]

# In the order of `Features.flatten`.
WEIGHTS = (
    *(4.670, 10.826, -3.820, 5.657, 2.498, 6.038, -2.899, -6.345, -0.861, 0.443, -0.181, 0.577),
    *(-6.537, -6.150),
    *(-0.245, -1.649, -1.355, -3.841, -3.293, -0.621, -0.105),
)
INTERCEPT = -7.723
# The log-odds from which a question is taken for the survey's, and those for a candidate.
CERTAIN, POSSIBLE = 1.6, -7.5


class Features(NamedTuple):
    """What tells whether a question of a survey is the asked one.

    Attributes:
        similarity: the larger of the cosines between the whole texts and between their cores.
        lead: by how much that is above that of any other, at most MAX_LEAD either way.
        spelled: the share in [0, 1] of what the asked words tell that the question has.
        found: the same, where words that mean alike are one.
        covered: the share of what the question's words tell that the asked ones have, likewise.
        apart: cosine of how both depart from the questions that are near to the survey's.
        further: by how much the asked one departs further.
        alike: the share of groups of three letters that both have.
        longer: how unequal the numbers of words are, as a log-ratio of 0 or more.
        n_foreign: how many asked words the question has none like.
        n_missing: how many of its words the asked one has none like.
        n_unknown: how many asked words no question of the surveys has.
        is_opposed: whether they cannot be one, such as where one asks of one's own what the other
            asks of others'.
        is_swapped: whether both compare the sexes, the other way round.
        kinds: for each of KINDS, whether one is of it and the other not.
    """

    similarity: float
    lead: float
    spelled: float
    found: float
    covered: float
    apart: float
    further: float
    alike: float
    longer: float
    n_foreign: float
    n_missing: float
    n_unknown: float
    is_opposed: float
    is_swapped: float
    kinds: tuple[float, ...]

    @property
    def is_near_verbatim(self) -> bool:
        """Whether nothing differs but endings, spelling and the like."""
        differs = (self.n_foreign, self.n_missing, self.is_opposed, self.is_swapped, *self.kinds)
        return self.similarity >= NEAR_VERBATIM and self.found == 1 and not any(differs)

    def flatten(self) -> tuple[float, ...]:
        """Return all values, those of the kinds last."""
        return (*self[:-1], *self.kinds)


class AskedText(NamedTuple):
    """An asked question: its text, its core, and the vector of the core."""

    text: str
    core: str
    vector: Vectors


def weigh(features: Features) -> float:
    """Return the log-odds that a question of a survey is the one that is asked."""
    odds = _weigh(features)
    return max(odds, CERTAIN) if features.is_near_verbatim else odds


def _weigh(features: Features) -> float:
    return INTERCEPT + sum(w * x for w, x in zip(WEIGHTS, features.flatten(), strict=True))


class QuestionComparer:
    """Compares asked questions with those of a library."""

    def __init__(self, texts: Sequence[str], cores: Sequence[str], core_vectors: Vectors) -> None:
        """Take the questions, their cores, and the vectors of these, float32[questions, dim]."""
        self._texts, self._core_vectors = texts, core_vectors
        self._words = [find_words(core) for core in cores]
        self._kinds = [find_kinds(text) for text in texts]
        self._grams = [_find_grams(core) for core in cores]
        self._counts = Counter(stem for words in self._words for stem in words)
        cosines = core_vectors @ core_vectors.T
        np.fill_diagonal(cosines, np.inf)
        near = np.argsort(-cosines, axis=1, kind="stable")[:, 1 : N_NEIGHBOURS + 1]
        self._centres = np.array([core_vectors[rows].sum(axis=0) for rows in near])
        self._centres /= max(1, near.shape[1])

    def compare(self, asked: AskedText, row: int, *, similarity: float, second: float) -> Features:
        """Return what `asked` has in common with the question of a row.

        `similarity` is that between them, `second` the largest of any other question.
        """
        words, known = find_words(asked.core), self._words[row]
        grams, known_grams = _find_grams(asked.core), self._grams[row]
        off, known_off = (v - self._centres[row] for v in (asked.vector, self._core_vectors[row]))
        size, known_size = float(np.linalg.norm(off)), float(np.linalg.norm(known_off))
        kinds = zip(find_kinds(asked.text), self._kinds[row], strict=True)
        return Features(
            similarity=similarity,
            lead=min(MAX_LEAD, max(-MAX_LEAD, similarity - second)),
            spelled=self._share(words, known, is_spelled_among),
            found=self._share(words, known, is_among),
            covered=self._share(known, words, is_among),
            apart=float(off @ known_off) / max(size * known_size, 1e-9),
            further=size - known_size,
            alike=2 * len(grams & known_grams) / max(1, len(grams) + len(known_grams)),
            longer=abs(math.log((1 + len(words)) / (1 + len(known)))),
            n_foreign=min(MAX_MISSING, len(find_missing(words, known))),
            n_missing=min(MAX_MISSING, len(find_missing(known, words))),
            n_unknown=sum(stem not in self._counts for stem in words),
            is_opposed=float(is_opposed(asked.text, self._texts[row])),
            is_swapped=float(is_swapped(asked.text, self._texts[row])),
            kinds=tuple(float(one != other) for one, other in kinds),
        )

    def _share(self, words: Words, known: Words, is_in: Callable[[str, Words], bool]) -> float:
        """Return the share of what `words` tell, the rare ones most, that is among `known`."""
        told = {stem: self._tell(stem) for stem in words}
        total = sum(told.values())
        return sum(t for stem, t in told.items() if is_in(stem, known)) / total if total else 0.0

    def _tell(self, stem: str) -> float:
        return math.log((len(self._texts) + 2) / (self._counts.get(stem, 0) + 1))


def _find_grams(text: str) -> frozenset[str]:
    folded = re.sub(r"\W+", " ", text.casefold())
    return frozenset(folded[i : i + _GRAM] for i in range(len(folded) - _GRAM + 1))
