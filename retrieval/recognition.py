"""Whether an asked question is one of a survey: for certain, perhaps, or not.

No single cosine tells a paraphrase from a question that merely sounds like it, so those nearest
are compared in more ways, see `Features`. Scales and frames ("from 1, never, to 10, always", "Do
you agree that") are left out on both sides, and what is no word is taken for one of the surveys'
that it looks like.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retrieval.encoder import Encoder, Vectors
from retrieval.english import PREFIX, SPELLED_ALIKE, WORD, strip_scale
from retrieval.english_words import SHORT_FORMS
from retrieval.recognition_features import (
    CERTAIN,
    POSSIBLE,
    AskedText,
    Features,
    QuestionComparer,
    weigh,
)
from survey_data.model import Question
from survey_data.wording import fold_text

N_CANDIDATES = 3
# So many of the nearest are compared.
N_COMPARED = 4
# A candidate lies no further than this behind the nearest.
CANDIDATE_REACH = 0.1
# What is further than this from all questions is none of them, and its core is not encoded.
FAR = 0.4
# One item of a survey in two wordings is at least this alike.
SAME_ITEM = 0.8
# A word as it is typed, one of a single letter too.
_TYPED = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A survey question that an asked one may be, and the cosine between them."""

    question: Question
    similarity: float


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an asked question was recognised as.

    Attributes:
        question: the survey question that it is; None where that is not certain.
        candidates: those that it may be, most similar first; with the recognised one alone where
            there is one, empty where none comes near.
    """

    question: Question | None
    candidates: tuple[Candidate, ...]


class Compared(NamedTuple):
    """A question of the library, by its row, and what the asked one has in common with it."""

    row: int
    features: Features

    @property
    def odds(self) -> float:
        """The log-odds that it is the asked one."""
        return weigh(self.features)


class QuestionRecogniser:
    """Recognises questions of a library. Blocks; safe to share between threads."""

    def __init__(
        self,
        questions: Sequence[Question],
        vectors: Vectors,
        *,
        encoder: Encoder,
        core_vectors: Mapping[str, Vectors],
        vocabulary: Collection[str] = (),
    ) -> None:
        """Take the questions and their vectors, float32[questions, dim], by `encoder`.

        `core_vectors` are those of `find_cores`, by text. A word that is not in `vocabulary` may
        be a slip of the pen; without one none is.
        """
        self._vocabulary = vocabulary
        self._questions, self._vectors, self._encoder = tuple(questions), vectors, encoder
        texts = [question.text for question in self._questions]
        cores = [strip_scale(text) for text in texts]
        self._core_vectors = np.array(
            [core_vectors.get(core, whole) for core, whole in zip(cores, vectors, strict=True)]
        )
        self._comparer = QuestionComparer(self._questions, cores, self._core_vectors)
        spelled = {word for core in cores for word in WORD.findall(core.casefold())}
        self._spelled = sorted(word for word in spelled if len(word) >= PREFIX)
        self._exact: dict[str, list[int]] = {}
        for row, question in enumerate(self._questions):
            self._exact.setdefault(_fold(question.text), []).append(row)
        self._same = group_same(self._questions, [_fold(text) for text in texts], self._vectors)

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        """Return the survey question that `text` asks, or those that it may be asking.

        Where several surveys have it, the first one whose key is in `answered`, else the first.
        """
        rows = self._exact.get(_fold(text))
        if rows is not None:
            return self._choose(rows, 1.0, answered)
        compared = self.compare(text)
        if not compared:
            return Recognition(None, ())
        best = max(compared, key=lambda each: each.odds)
        odds = best.odds
        if odds >= CERTAIN:
            return self._choose(self._same[best.row], best.features.similarity, answered)
        if odds < POSSIBLE:
            return Recognition(None, ())
        nearest = compared[0].features.similarity
        near = [
            Candidate(self._questions[row], features.similarity)
            for row, features in compared[:N_CANDIDATES]
            if features.similarity >= nearest - CANDIDATE_REACH
        ]
        return Recognition(None, tuple(near))

    def compare(self, text: str, *, without: Collection[int] = ()) -> list[Compared]:
        """Return the questions nearest to `text`, nearest first; none where all are far.

        Those in the rows `without` are passed over.
        """
        text = self._mend(text)
        core = strip_scale(text)
        cosines: Vectors = self._vectors @ self._encoder.encode([text])[0]
        cosines[list(without)] = -1.0
        if cosines.max() < FAR:
            return []
        [stripped] = self._encoder.encode([core])
        cosines = np.maximum(cosines, self._core_vectors @ stripped)
        cosines[list(without)] = -1.0
        order = np.argsort(-cosines, kind="stable").tolist()
        asked = AskedText(text, core, stripped)
        compared = []
        for row in order[: min(N_COMPARED, len(order) - len(without))]:
            same = self._same[row]
            second = next((float(cosines[other]) for other in order if other not in same), -1.0)
            features = self._comparer.compare(
                asked, row, similarity=float(cosines[row]), second=second
            )
            compared.append(Compared(row, features))
        return compared

    def _choose(
        self, rows: Sequence[int], similarity: float, answered: Collection[str]
    ) -> Recognition:
        return choose([self._questions[row] for row in rows], similarity, answered)

    def _mend(self, text: str) -> str:
        """Return `text` with words that there are not replaced by those that they look like."""

        def mend(match: re.Match[str]) -> str:
            word = match[0].casefold()
            if word in SHORT_FORMS:
                return SHORT_FORMS[word]
            if len(word) < PREFIX or word in self._vocabulary or word in self._spelled:
                return match[0]
            return self._find_spelled_alike(word) or match[0]

        return _TYPED.sub(mend, text) if self._vocabulary else text

    def _find_spelled_alike(self, word: str) -> str | None:
        """Return the word of the surveys that a mistyped one is most like, if any."""
        like = [other for other in self._spelled if other[0] == word[0]]
        letters = sorted(word)
        turned = (o for o in like if len(o) == len(word) and sorted(o) == letters)
        close = difflib.get_close_matches(word, like, n=1, cutoff=SPELLED_ALIKE)
        return next(turned, None) or next(iter(close), None)


def choose(
    questions: Sequence[Question], similarity: float, answered: Collection[str]
) -> Recognition:
    """Return as recognised the first of `questions` whose key is in `answered`, else the first."""
    chosen = next((each for each in questions if each.key in answered), questions[0])
    return Recognition(chosen, (Candidate(chosen, similarity),))


def group_same(
    questions: Sequence[Question], folded: Sequence[str], vectors: Vectors
) -> list[tuple[int, ...]]:
    """Return for each question the rows of those that ask the same, its own among them.

    They have the same text in `folded`, or are one item of a survey and near by `vectors`.
    """
    items = [question.source_item for question in questions]
    near = vectors @ vectors.T >= SAME_ITEM
    rows = range(len(folded))
    return [
        tuple(
            other
            for other in rows
            if folded[row] == folded[other]
            or (items[row] and items[row] == items[other] and near[row, other])
        )
        for row in rows
    ]


def find_cores(questions: Collection[Question]) -> tuple[str, ...]:
    """Return the questions without scale and frame, of those that have one, each once."""
    cores = (strip_scale(question.text) for question in questions)
    whole = {question.text for question in questions}
    return tuple(dict.fromkeys(core for core in cores if core not in whole))


def _fold(text: str) -> str:
    return fold_text(text).rstrip("?.! ")
