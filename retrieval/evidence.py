"""From a question to evidence: the survey item that it is, if any, and exemplars of a culture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from retrieval.encoder import Encoder, Vectors
from retrieval.exemplar import Exemplar
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from retrieval.recognition import Candidate, QuestionRecogniser
from retrieval.selector import NEAR_DUPLICATE, Query, Selector, make_selector
from retrieval.selector_name import SelectorName
from survey_data.library import SurveyLibrary
from survey_data.model import Question


@dataclass(frozen=True, slots=True)
class EvidenceQuery:
    """What evidence is wanted for.

    Attributes:
        text: the asked question, or what a user wrote last.
        culture: alpha-3 code of a covered culture.
        k: exemplars to return, 0 where only the matching survey item is wanted.
        withhold: whether nothing may be shown that counts as the same question.
        barred: keys of further questions that may not be shown.
    """

    text: str
    culture: str
    k: int
    retriever: SelectorName = SelectorName.DENSE
    seed: int = 0
    withhold: bool = False
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found.

    Attributes:
        exemplars: most similar first; empty below the floor.
        nearest_similarity: cosine in [-1, 1] of the nearest question that the culture answered
            and that is not the asked one, whatever the retriever; None where there is none.
        same_question: the survey question that the asked one is, where that is certain.
        below_floor: whether even the nearest question is too far away to steer by.
        candidates: the survey questions that the asked one may be, most similar first.
    """

    exemplars: tuple[Exemplar, ...]
    nearest_similarity: float | None
    same_question: Question | None
    below_floor: bool
    candidates: tuple[Candidate, ...] = ()

    @property
    def similarity(self) -> float | None:
        """Cosine of `same_question`; without one of the nearest, None where there is none."""
        if self.same_question is None:
            return self.nearest_similarity
        same = self.same_question.key
        cosines = (each.similarity for each in self.candidates if each.question.key == same)
        return next(cosines, None)


class EvidenceFinder:
    """Finds evidence. Blocks; call it from a thread.

    Attributes:
        alike: the key of each question → the keys that count as the same, its own among them.
    """

    def __init__(
        self,
        library: SurveyLibrary,
        *,
        index: QuestionIndex,
        encoder: Encoder,
        recogniser: QuestionRecogniser,
        similarity_floor: float,
        same_question: float,
        near_duplicate: float = NEAR_DUPLICATE,
        cache_entries: int = 0,
    ) -> None:
        """Search `library`; what was found last is kept, `cache_entries` of it.

        `similarity_floor` is the cosine under which nothing is steered, `same_question` the one
        from which a survey question gives away the asked one, so that it is never shown.
        """
        self._library, self._index, self._encoder = library, index, encoder
        self._floor, self._gives_away = similarity_floor, same_question
        self._recogniser = recogniser
        self.alike: Mapping[str, frozenset[str]] = find_alike(
            library.questions, index, threshold=same_question
        )
        self._search = lru_cache(maxsize=cache_entries)(self._find)
        self._answered = {c: frozenset(library.keys_of(c)) for c in library.cultures}
        self._selectors: dict[SelectorName, Selector] = {
            name: make_selector(
                name, library, index=index, encoder=encoder, near_duplicate=near_duplicate
            )
            for name in SelectorName
        }

    def find(self, wanted: EvidenceQuery) -> Evidence:
        """Return the evidence for `wanted`.

        Raises:
            CultureNotCovered: no loaded pack surveyed the culture.
        """
        self._library.cover(wanted.culture)
        found: Evidence = self._search(wanted)
        return found

    def _find(self, wanted: EvidenceQuery) -> Evidence:
        vector = self._encoder.encode([wanted.text])[0]
        nearest = self._index.nearest_question(vector)
        recognised = self._recogniser.recognise(
            wanted.text, answered=self._answered[wanted.culture]
        )
        same = recognised.question
        barred_key = None if same is None else same.key
        if same is None and nearest.similarity >= self._gives_away:
            barred_key = nearest.key
        asked = Query(wanted.text, key=barred_key, seed=wanted.seed, vector=vector)
        barred = frozenset() if barred_key is None else frozenset({barred_key})
        hits = self._index.search(vector, wanted.culture, 1, barred)
        similarity = hits[0].similarity if hits else None
        below = similarity is None or similarity < self._floor
        exemplars: tuple[Exemplar, ...] = ()
        if wanted.k and not below:
            selector = self._selectors[wanted.retriever]
            withheld = self._find_alike(vector, barred_key) if wanted.withhold else frozenset()
            exemplars = selector.select(asked, wanted.culture, wanted.k, withheld | wanted.barred)
        return Evidence(exemplars, similarity, same, below, recognised.candidates)

    def _find_alike(self, vector: Vectors, key: str | None) -> frozenset[str]:
        """Return the keys of what gives away the asked question, or the survey's with `key`."""
        near = self._index.vectors @ vector >= self._gives_away
        found = (other for other, is_near in zip(self._index.keys, near, strict=True) if is_near)
        return (frozenset() if key is None else self.alike[key]).union(found)
