"""Which exemplars to show: the selectors `dense`, `chrf`, `topic` and `random`.

Every selector ranks questions; what follows is common to all: a question that the culture was not
asked is passed over and the next one taken, and the asked question never shows its own answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Protocol

from retrieval.chrf import ChrfScorer
from retrieval.encoder import Encoder, Vectors
from retrieval.exemplar import Elsewhere, Exemplar
from retrieval.index import Hit, QuestionIndex
from retrieval.selector_name import SelectorName
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.wording import fold_text

NEAR_DUPLICATE = 0.97
CHRF_DECIMALS = 2

Ranked = Iterable[tuple[str, float | None]]


@dataclass(frozen=True, slots=True)
class Query:
    """What exemplars are wanted for.

    Attributes:
        text: the asked question, or what a user wrote.
        key: the survey question that is asked, where it is one.
        topic: its topic, where known; the topic of `key` needs no saying.
        seed: decides the `topic` and `random` selections, together with key or text.
        vector: float32[dim], the encoded text; encoded when needed where it is None.
    """

    text: str
    key: str | None = None
    topic: str | None = None
    seed: int = 0
    vector: Vectors | None = field(default=None, compare=False, repr=False)


class Selector(Protocol):
    """Chooses exemplars."""

    def select(
        self, asked: Query, culture: str, k: int, exclude: Collection[str] = ()
    ) -> tuple[Exemplar, ...]:
        """Return `k` exemplars of `culture` for the asked question, most similar first.

        The question with the asked key, any with the asked text (case and blanks aside) and those
        in `exclude` are never among them. Fewer than `k` only where there are fewer.

        Raises:
            CultureNotCovered: no loaded pack surveyed `culture`.
        """


class ExemplarPool:
    """All questions with their answers, and the rules that every selection keeps."""

    def __init__(
        self,
        library: SurveyLibrary,
        *,
        index: QuestionIndex | None = None,
        near_duplicate: float | None = None,
    ) -> None:
        """Take exemplars from `library`.

        With `near_duplicate`, a cosine in (0, 1], a question at least that near to one already
        taken is passed over; this needs `index`.
        """
        if near_duplicate is not None and index is None:
            raise ValueError("near_duplicate needs an index to compare questions with")
        self.library = library
        self._index = index
        self._near_duplicate = near_duplicate
        self._same_text: dict[str, list[str]] = {}
        for key, question in library.questions.items():
            self._same_text.setdefault(fold_text(question.text), []).append(key)

    def barred(self, asked: Query, exclude: Collection[str]) -> set[str]:
        """Return the keys that may not be shown to the asked question."""
        own = set() if asked.key is None else {asked.key}
        return own.union(exclude, self._same_text.get(fold_text(asked.text), ()))

    def take(
        self, ranked: Ranked, culture: str, k: int, *, barred: set[str]
    ) -> tuple[Exemplar, ...]:
        """Return the first `k` of `ranked` that `culture` answered and that are not `barred`."""
        taken: list[Exemplar] = []
        for key, similarity in ranked:
            if len(taken) >= k:
                break
            distribution = self.library.distribution(key, culture)
            if distribution is None or key in barred or self._repeats(key, taken):
                continue
            taken.append(Exemplar(self.library.questions[key], distribution, similarity))
        return tuple(taken)

    def _repeats(self, key: str, taken: list[Exemplar]) -> bool:
        if self._index is None or self._near_duplicate is None:
            return False
        vector = self._index.vector(key)
        return any(
            float(vector @ self._index.vector(exemplar.question.key)) >= self._near_duplicate
            for exemplar in taken
        )


class DenseSelector:
    """The questions whose vectors have the largest cosine with the asked one's."""

    def __init__(self, pool: ExemplarPool, index: QuestionIndex, encoder: Encoder) -> None:
        self._pool = pool
        self._index = index
        self._encoder = encoder

    def select(
        self, asked: Query, culture: str, k: int, exclude: Collection[str] = ()
    ) -> tuple[Exemplar, ...]:
        """Return `k` exemplars by cosine, in [-1, 1]. See `Selector.select`."""
        self._pool.library.cover(culture)
        barred = self._pool.barred(asked, exclude)
        ranked = self._ranked(_vector(asked, self._encoder), culture, k, barred)
        return self._pool.take(ranked, culture, k, barred=barred)

    def _ranked(self, vector: Vectors, culture: str, k: int, barred: set[str]) -> Iterator[Hit]:
        """Yield hits, nearest first; near duplicates may use up k, so ever more are searched."""
        n_seen, n_wanted = 0, k
        while n_wanted:
            hits = self._index.search(vector, culture, n_wanted, barred)
            yield from hits[n_seen:]
            if len(hits) < n_wanted:
                return
            n_seen, n_wanted = len(hits), 2 * n_wanted


class ChrfSelector:
    """The questions with the largest chrF++ score, in [0, 100], rounded to two decimals.

    Ties are in pack order. Source: Choenni & Shutova, arXiv 2408.16482; CultureSPA's release.
    """

    def __init__(self, pool: ExemplarPool) -> None:
        self._pool = pool
        self._keys = tuple(pool.library.questions)

    @cached_property
    def _scorer(self) -> ChrfScorer:
        """Made when first used: it counts every n-gram of every question, and few ask for it."""
        return ChrfScorer([question.text for question in self._pool.library.questions.values()])

    def select(
        self, asked: Query, culture: str, k: int, exclude: Collection[str] = ()
    ) -> tuple[Exemplar, ...]:
        """Return `k` exemplars by chrF++. See `Selector.select`."""
        self._pool.library.cover(culture)
        barred = self._pool.barred(asked, exclude)
        return self._pool.take(self.ranked(asked.text), culture, k, barred=barred)

    def ranked(self, text: str) -> list[tuple[str, float]]:
        """Return all questions with their score against `text`, the highest first."""
        scores = [round(score, CHRF_DECIMALS) for score in self._scorer.scores(text)]
        return sorted(zip(self._keys, scores, strict=True), key=lambda pair: -pair[1])


class TopicSelector:
    """Questions drawn at random from the topic of the asked question.

    The topic is the query's, or that of its key, or that of the nearest question.
    """

    def __init__(self, pool: ExemplarPool, index: QuestionIndex, encoder: Encoder) -> None:
        self._pool = pool
        self._index = index
        self._encoder = encoder

    def select(
        self, asked: Query, culture: str, k: int, exclude: Collection[str] = ()
    ) -> tuple[Exemplar, ...]:
        """Return `k` exemplars of the topic, without similarity. See `Selector.select`.

        A topic that no pack has gives none.
        """
        self._pool.library.cover(culture)
        barred = self._pool.barred(asked, exclude)
        keys = self._pool.library.topics.get(self._topic(asked), ())
        return self._pool.take(_shuffle(keys, asked), culture, k, barred=barred)

    def _topic(self, asked: Query) -> str:
        if asked.topic is not None:
            return asked.topic
        questions = self._pool.library.questions
        if asked.key is not None and asked.key in questions:
            return questions[asked.key].topic
        nearest = self._index.nearest_question(_vector(asked, self._encoder))
        return questions[nearest.key].topic


class RandomSelector:
    """Questions drawn at random from all that the culture answered."""

    def __init__(self, pool: ExemplarPool) -> None:
        self._pool = pool

    def select(
        self, asked: Query, culture: str, k: int, exclude: Collection[str] = ()
    ) -> tuple[Exemplar, ...]:
        """Return `k` exemplars of any topic, without similarity. See `Selector.select`."""
        self._pool.library.cover(culture)
        barred = self._pool.barred(asked, exclude)
        ranked = _shuffle(self._pool.library.questions, asked)
        return self._pool.take(ranked, culture, k, barred=barred)


def select_elsewhere(
    library: SurveyLibrary, question: Question, weights: Iterable[tuple[str, float]], n: int
) -> tuple[Exemplar, ...]:
    """Return how `n` other cultures answered `question`, the heaviest first.

    `weights` are of cultures by alpha-3 code, the heaviest first; those of 0 or less, where
    likeness means nothing or the opposite, and those who were not asked are passed over. Fewer
    than `n` only where there are fewer.
    """
    answered = (
        (library.distribution(question.key, code), Elsewhere(library.catalogue[code], weight))
        for code, weight in weights
        if weight > 0.0
    )
    found = (Exemplar(question, cell, elsewhere=of) for cell, of in answered if cell is not None)
    return tuple(islice(found, n))


def make_selector(
    name: SelectorName,
    library: SurveyLibrary,
    *,
    index: QuestionIndex,
    encoder: Encoder,
    near_duplicate: float | None = NEAR_DUPLICATE,
) -> Selector:
    """Return the selector `name`; `near_duplicate` is for `dense` only, None turns it off."""
    match name:
        case SelectorName.DENSE:
            pool = ExemplarPool(library, index=index, near_duplicate=near_duplicate)
            return DenseSelector(pool, index, encoder)
        case SelectorName.CHRF:
            return ChrfSelector(ExemplarPool(library))
        case SelectorName.TOPIC:
            return TopicSelector(ExemplarPool(library), index, encoder)
        case SelectorName.RANDOM:
            return RandomSelector(ExemplarPool(library))


def _vector(asked: Query, encoder: Encoder) -> Vectors:
    return encoder.encode([asked.text])[0] if asked.vector is None else asked.vector


def _shuffle(keys: Iterable[str], asked: Query) -> Iterator[tuple[str, None]]:
    """Yield `keys` in an order that only the seed, the asked question and the keys decide."""
    asked_for = asked.key if asked.key is not None else fold_text(asked.text)

    def rank(key: str) -> bytes:
        return hashlib.sha256(f"{asked.seed}|{asked_for}|{key}".encode()).digest()

    for key in sorted(keys, key=rank):
        yield key, None
