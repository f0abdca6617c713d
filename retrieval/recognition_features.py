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
    find_start,
    find_words,
    is_among,
    is_opposed,
    is_spelled_among,
    is_swapped,
    names_somebody_else,
)
from survey_data.model import Question

MAX_LEAD = 0.25
MAX_MISSING = 4
# A question is told from so many that are nearest to it.
N_NEIGHBOURS = 10
# What at least so many of these have is said by a whole battery of questions.
N_OF_BATTERY = 5
MAX_OF_NEIGHBOURS = 3
NEAR_VERBATIM = 0.97
_GRAM = 3
Words = Mapping[str, str]

# In the order of `Features.flatten`.
WEIGHTS = (
    *(7.409, 9.495, -3.804, 3.932, 2.061, 4.790, -1.855, -5.474, 0.503, 0.567, -0.009, 0.565),
    *(3.886, 0.323, 0.522, -0.501, -0.501, 3.382),
    *(-0.730, -1.823, -1.596, -4.153, -2.718, -0.602, -0.039, -1.889, -0.643),
)
INTERCEPT = -11.697
# The log-odds from which a question is taken for the survey's, and those for a candidate.
CERTAIN, POSSIBLE = 1.7, -7.5


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
        found_anywhere: as `found`, where the question's scale and options count as its words.
        n_replaced: how many words of the question's may stand replaced by as many asked ones.
        starts_otherwise: whether they ask with different words, such as "how".
        n_of_neighbours: how many asked words neighbours of the question have and it has not.
        n_of_battery: how many of its words most of its neighbours have and the asked one has not.
        is_clean: whether each word of either has one like it in the other.
        is_another: whether they cannot be one: one asks of one's own what the other asks of
            others', names somebody whom the other does not, or compares the sexes the other way
            round. It has no weight: such a question is never certain.
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
    found_anywhere: float
    n_replaced: float
    starts_otherwise: float
    n_of_neighbours: float
    n_of_battery: float
    is_clean: float
    kinds: tuple[float, ...]
    is_another: bool

    @property
    def is_near_verbatim(self) -> bool:
        """Whether nothing differs but endings, spelling and the like."""
        differs = (self.n_foreign, self.n_missing, self.is_another, *self.kinds)
        return self.similarity >= NEAR_VERBATIM and self.found == 1 and not any(differs)

    def flatten(self) -> tuple[float, ...]:
        """Return all values that have a weight, those of the kinds last."""
        return (*self[:-2], *self.kinds)


class AskedText(NamedTuple):
    """An asked question: its text, its core, and the vector of the core."""

    text: str
    core: str
    vector: Vectors


def weigh(features: Features) -> float:
    """Return the log-odds that a question of a survey is the one that is asked."""
    odds = _weigh(features)
    if features.is_another:
        return min(odds, POSSIBLE)
    return max(odds, CERTAIN) if features.is_near_verbatim else odds


def _weigh(features: Features) -> float:
    return INTERCEPT + sum(w * x for w, x in zip(WEIGHTS, features.flatten(), strict=True))


class QuestionComparer:
    """Compares asked questions with those of a library."""

    def __init__(
        self, questions: Sequence[Question], cores: Sequence[str], core_vectors: Vectors
    ) -> None:
        """Take the questions, their cores, and the vectors of these, float32[questions, dim]."""
        texts = [question.text for question in questions]
        self._texts, self._cores, self._core_vectors = texts, cores, core_vectors
        self._words = [find_words(core) for core in cores]
        self._all_words = [find_words(" ".join([q.text, *q.options])) for q in questions]
        self._kinds = [find_kinds(text) for text in texts]
        self._grams = [_find_grams(core) for core in cores]
        self._counts = Counter(stem for words in self._words for stem in words)
        cosines = core_vectors @ core_vectors.T
        np.fill_diagonal(cosines, np.inf)
        near = np.argsort(-cosines, axis=1, kind="stable")[:, 1 : N_NEIGHBOURS + 1]
        self._centres = np.array([core_vectors[rows].sum(axis=0) for rows in near])
        self._centres /= max(1, near.shape[1])
        self._around = [Counter(s for other in rows for s in self._words[other]) for rows in near]

    def compare(self, asked: AskedText, row: int, *, similarity: float, second: float) -> Features:
        """Return what `asked` has in common with the question of a row.

        `similarity` is that between them, `second` the largest of any other question.
        """
        words, known, every = find_words(asked.core), self._words[row], self._all_words[row]
        grams, known_grams = _find_grams(asked.core), self._grams[row]
        off, known_off = (v - self._centres[row] for v in (asked.vector, self._core_vectors[row]))
        size, known_size = float(np.linalg.norm(off)), float(np.linalg.norm(known_off))
        kinds = zip(find_kinds(asked.text), self._kinds[row], strict=True)
        missing = find_missing(known, words)
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
            n_missing=min(MAX_MISSING, len(missing)),
            n_unknown=sum(stem not in self._counts for stem in words),
            found_anywhere=self._share(words, every, is_among),
            n_replaced=min(MAX_MISSING, len(find_missing(words, every)), len(missing)),
            starts_otherwise=float(find_start(asked.core) != find_start(self._cores[row])),
            n_of_neighbours=self._count_of_neighbours(words, row),
            n_of_battery=self._count_of_battery(words, row),
            is_clean=float(_are_all_among(words, every) and _are_all_among(known, words)),
            kinds=tuple(float(one != other) for one, other in kinds),
            is_another=is_opposed(asked.text, self._texts[row])
            or is_swapped(asked.text, self._texts[row])
            or names_somebody_else(words, known, every),
        )

    def _count_of_neighbours(self, words: Words, row: int) -> int:
        around, known, every = self._around[row], self._words[row], self._all_words[row]
        theirs = (s for s in words if s in around and not is_among(s, known))
        return min(MAX_OF_NEIGHBOURS, sum(not is_among(s, every) for s in theirs))

    def _count_of_battery(self, words: Words, row: int) -> int:
        said = (s for s in self._words[row] if self._around[row][s] >= N_OF_BATTERY)
        return min(MAX_OF_NEIGHBOURS, sum(not is_among(s, words) for s in said))

    def _share(self, words: Words, known: Words, is_in: Callable[[str, Words], bool]) -> float:
        """Return the share of what `words` tell, the rare ones most, that is among `known`."""
        told = {stem: self._tell(stem) for stem in words}
        total = sum(told.values())
        return sum(t for stem, t in told.items() if is_in(stem, known)) / total if total else 0.0

    def _tell(self, stem: str) -> float:
        return math.log((len(self._texts) + 2) / (self._counts.get(stem, 0) + 1))


def _are_all_among(words: Words, known: Words) -> bool:
    return all(is_among(stem, known) for stem in words)


def _find_grams(text: str) -> frozenset[str]:
    folded = re.sub(r"\W+", " ", text.casefold())
    return frozenset(folded[i : i + _GRAM] for i in range(len(folded) - _GRAM + 1))
