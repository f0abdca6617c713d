"""Whether an asked question is one of a survey: for certain, perhaps, or not.

No single cosine tells a paraphrase from a question that merely sounds like it, so the cosine to
the nearest question is weighed with its lead over the second and with how many of the asked words,
the rare ones first, the question has. Scales and frames ("from 1, never, to 10, always", "Do you
agree that") are left out on both sides, and what is no word is taken for one of the surveys' that
it looks like. Made for English and for all-MiniLM-L6-v2; the weights are fitted by
`python -m benchmarks.recognition`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retrieval.encoder import Encoder, Vectors
from survey_data.model import Question
from survey_data.wording import fold_text

# Of the cosine, its lead over the second, and the share of the asked words that are found.
WEIGHTS, INTERCEPT = (23.59, 15.83, 2.19), -22.67
# The log-odds from which a question is taken for the survey's, and those for a candidate.
CERTAIN, POSSIBLE = 1.6, -7.5
MAX_LEAD = 0.25
N_CANDIDATES = 3
# A candidate lies no further than this behind the nearest.
CANDIDATE_REACH = 0.1
# One item of a survey in two wordings is at least this alike.
SAME_ITEM = 0.8
_PREFIX, _SPELLED_ALIKE = 5, 0.85

_SCALE = re.compile(
    r"[,:;]?\s*(?:answer |place yourself |rate it )?"
    r"\b(?:from|between|where|if|on a scale (?:from|of))\s+[01]\b"
    r".*?\b10\b(?:,? (?:means )?[^,?.:]+)?,?",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"^(?:(?:do|would) you agree (?:or disagree )?(?:that )?,? ?(?:generally, |in general, )?"
    r"|how far do you agree that |all in all,? |taking everything into account,? "
    r"|all things considered,? |taking all things together,? )",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_ENDINGS = (
    *("ingly", "edly", "ments", "ment", "ness", "ations", "ation", "ings"),
    *("ing", "ies", "ied", "es", "ed", "ly", "s", "e", "y"),
)
_MIN_STEM = 4
# Words that ask rather than say what is asked about.
_ASKING_TEXT = (
    "a an the of to in on at for and or is are do does did be been being you your yours how much "
    "many far often would say that this it its i if as by with from not any can could should will "
    "what which who whom there these those have has had they them their we our us me my mine so "
    "than then when where while during past last twelve months year years nowadays days currently "
    "present overall all things taking considered taken together generally general ever view "
    "opinion eyes think believe feel agree disagree strongly extent degree level place put strong "
    "regularly frequently frequent regular important importance especially great one ones thing "
    "way ways"
)
_ASKING = frozenset(_ASKING_TEXT.split())


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


class Features(NamedTuple):
    """What tells whether the nearest question is the asked one.

    Attributes:
        similarity: the larger of the cosines between the whole texts and between their cores.
        lead: by how much that is above the second question's, `MAX_LEAD` at most.
        found: the share in [0, 1] of what the asked words tell that the question has.
    """

    similarity: float
    lead: float
    found: float


class Described(NamedTuple):
    """An asked question among those of the surveys: the nearest first in `order`, by row."""

    features: Features
    cosines: Vectors
    order: list[int]


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
        cores = [strip_scale(question.text) for question in self._questions]
        self._core_vectors = np.array(
            [core_vectors.get(core, whole) for core, whole in zip(cores, vectors, strict=True)]
        )
        self._words = [find_words(core) for core in cores]
        self._rarity = _Rarity(self._words)
        spelled = {word for core in cores for word in _WORD.findall(core.casefold())}
        self._spelled = sorted(word for word in spelled if len(word) >= _PREFIX)
        self._exact: dict[str, list[int]] = {}
        for row, question in enumerate(self._questions):
            self._exact.setdefault(_fold(question.text), []).append(row)

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        """Return the survey question that `text` asks, or those that it may be asking.

        Where several surveys have it, the first one whose key is in `answered`, else the first.
        """
        rows = self._exact.get(_fold(text))
        if rows is not None:
            return self._choose(rows, 1.0, answered)
        described = self.describe(text)
        odds = weigh(described.features)
        if odds < POSSIBLE:
            return Recognition(None, ())
        cosines, [best, *_] = described.cosines, described.order
        if odds >= CERTAIN:
            return self._choose(self._find_same(best), float(cosines[best]), answered)
        near = [
            Candidate(self._questions[row], float(cosines[row]))
            for row in described.order[:N_CANDIDATES]
            if cosines[row] >= cosines[best] - CANDIDATE_REACH
        ]
        return Recognition(None, tuple(near))

    def describe(self, text: str, *, without: Collection[int] = ()) -> Described:
        """Return what `text` has in common with the questions but those in the rows `without`."""
        text = self._mend(text)
        core = strip_scale(text)
        whole, stripped = self._encoder.encode([text, core])
        cosines = np.maximum(self._vectors @ whole, self._core_vectors @ stripped)
        cosines[list(without)] = -1.0
        order = [int(row) for row in np.argsort(-cosines, kind="stable")]
        best, same = order[0], set(self._find_same(order[0]))
        second = next((float(cosines[row]) for row in order if row not in same), -1.0)
        features = Features(
            float(cosines[best]),
            min(MAX_LEAD, float(cosines[best]) - second),
            self._rarity.share_found(find_words(core), self._words[best]),
        )
        return Described(features, cosines, order)

    def _find_same(self, row: int) -> list[int]:
        """Return the rows of a question that several surveys ask, in their order."""
        text, item = _fold(self._questions[row].text), self._questions[row].source_item
        cosines = self._vectors @ self._vectors[row]
        return [
            other
            for other, question in enumerate(self._questions)
            if _fold(question.text) == text
            or (item and question.source_item == item and cosines[other] >= SAME_ITEM)
        ]

    def _choose(
        self, rows: Sequence[int], similarity: float, answered: Collection[str]
    ) -> Recognition:
        questions = [self._questions[row] for row in rows]
        chosen = next((q for q in questions if q.key in answered), questions[0])
        return Recognition(chosen, (Candidate(chosen, similarity),))

    def _mend(self, text: str) -> str:
        """Return `text` with words that there are not replaced by those that they look like."""

        def mend(match: re.Match[str]) -> str:
            word = match[0].casefold()
            if len(word) < _PREFIX or word in self._vocabulary or word in self._spelled:
                return match[0]
            like = [other for other in self._spelled if other[0] == word[0]]
            return next(
                iter(difflib.get_close_matches(word, like, n=1, cutoff=_SPELLED_ALIKE)), match[0]
            )

        return _WORD.sub(mend, text) if self._vocabulary else text


def weigh(features: Features) -> float:
    """Return the log-odds that the nearest question is the one that is asked."""
    return INTERCEPT + sum(w * x for w, x in zip(WEIGHTS, features, strict=True))


class _Rarity:
    """How much words tell, by how few questions have them."""

    def __init__(self, questions: Sequence[frozenset[str]]) -> None:
        self._counts: Mapping[str, int] = Counter(word for words in questions for word in words)
        self._n_questions = len(questions)

    def share_found(self, asked: Iterable[str], known: frozenset[str]) -> float:
        """Return the share of what `asked` tells that is among `known`, in [0, 1]."""
        told = {word: self._tell(word) for word in asked}
        total = sum(told.values())
        if not total:
            return 0.0
        return sum(tells for word, tells in told.items() if _is_among(word, known)) / total

    def _tell(self, word: str) -> float:
        return math.log((self._n_questions + 1) / (self._counts.get(word, 0) + 1))


def find_cores(questions: Collection[Question]) -> tuple[str, ...]:
    """Return the questions without scale and frame, of those that have one, each once."""
    cores = (strip_scale(question.text) for question in questions)
    whole = {question.text for question in questions}
    return tuple(dict.fromkeys(core for core in cores if core not in whole))


def strip_scale(text: str) -> str:
    """Return a question without what it says of its scale, and without a frame before it."""
    core = " ".join(_SCALE.sub(" ", text).split())
    core = re.sub(r"\s+([?.,])", r"\1", core).strip(" ,:")
    core = _FRAME.sub("", core).strip(" ,:")
    return core[0].upper() + core[1:] if core else text


def find_words(text: str) -> frozenset[str]:
    """Return the stems of the words that say what a question is about."""
    words = frozenset(_WORD.findall(text.casefold()))
    return frozenset(_stem(word) for word in words - _ASKING) - _ASKING


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word


def _is_among(word: str, known: frozenset[str]) -> bool:
    return word in known or any(_is_alike(word, other) for other in known)


def _is_alike(one: str, other: str) -> bool:
    """Return whether two words have one root, or differ by a slip of the pen."""
    shortest = min(len(one), len(other))
    if shortest >= _MIN_STEM and one[:_PREFIX] == other[:_PREFIX]:
        return True
    return (
        shortest >= _PREFIX and difflib.SequenceMatcher(None, one, other).ratio() >= _SPELLED_ALIKE
    )


def _fold(text: str) -> str:
    return fold_text(text).rstrip("?.! ")
