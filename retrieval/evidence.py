"""From a question to evidence: the survey item that it is, if any, and exemplars of a culture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from retrieval.encoder import Encoder, Vectors
from retrieval.exemplar import Exemplar
from retrieval.index import QuestionIndex
from retrieval.last_used import LastUsed
from retrieval.likeness import find_alike
from retrieval.other_languages import OtherLanguages
from retrieval.question_space import QuestionSpace, Recogniser
from retrieval.recognition import Candidate
from retrieval.selector import NEAR_DUPLICATE, Query, Selector, make_selector
from retrieval.selector_name import SelectorName
from retrieval.steer import Steer
from retrieval.value_classifier import VALUE_FROM, find_classifier
from survey_data.library import SurveyLibrary
from survey_data.model import Question

NEVER_STEERED = "steer is 'never'"


@dataclass(frozen=True, slots=True)
class EvidenceQuery:
    """What evidence is wanted for.

    Attributes:
        text: the asked question, or what a user wrote last.
        culture: alpha-3 code of a covered culture.
        k: exemplars to return, 0 where only the matching survey item is wanted.
        withhold: whether nothing may be shown that counts as the same question.
        barred: keys of further questions that may not be shown.
        steer: when evidence is used; None for wherever something is near.
    """

    text: str
    culture: str
    k: int
    retriever: SelectorName = SelectorName.DENSE
    seed: int = 0
    withhold: bool = False
    barred: frozenset[str] = frozenset()
    steer: Steer | None = None


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
        floor: the similarity that is needed.
        in_english: whether the asked question is taken for English.
        asks_value: probability, in [0, 1], that it asks for a value; None where nothing tells.
        unused_because: why nothing of this is used, empty where it is.
    """

    exemplars: tuple[Exemplar, ...]
    nearest_similarity: float | None
    same_question: Question | None
    below_floor: bool
    candidates: tuple[Candidate, ...] = ()
    floor: float = 0.0
    in_english: bool = True
    asks_value: float | None = None
    unused_because: str = ""

    @property
    def similarity(self) -> float | None:
        """Cosine of `same_question`; without one of the nearest, None where there is none."""
        if self.same_question is None:
            return self.nearest_similarity
        same = self.same_question.key
        cosines = (each.similarity for each in self.candidates if each.question.key == same)
        return next(cosines, None)


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a text is to every question, whoever answered it.

    Attributes:
        similarities: float32[questions], cosines in [-1, 1], in the order of the library.
        floor: the similarity from which answers are steered.
        candidates: the questions that the text may be asking, most similar first.
        is_certain: whether it asks the first of them.
    """

    similarities: Vectors
    floor: float
    candidates: tuple[Candidate, ...]
    is_certain: bool


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
        recogniser: Recogniser,
        similarity_floor: float,
        same_question: float,
        near_duplicate: float = NEAR_DUPLICATE,
        cache_entries: int = 0,
        other_languages: OtherLanguages | None = None,
    ) -> None:
        """Search `library`; what was found last is kept, `cache_entries` of it.

        `similarity_floor` is the cosine under which nothing is steered, `same_question` the one
        from which a survey question gives away the asked one, so that it is never shown. Without
        `other_languages` every text is taken for English.
        """
        self._library, self._others = library, other_languages
        self.alike: Mapping[str, frozenset[str]] = find_alike(
            library.questions, index, threshold=same_question
        )
        self._found = LastUsed[EvidenceQuery, Evidence](cache_entries)
        self._answered = {c: frozenset(library.keys_of(c)) for c in library.cultures}
        self._near_duplicate = near_duplicate
        english = QuestionSpace(
            *(index, encoder, recogniser, similarity_floor, same_question),
            classifier=find_classifier(encoder.model_id),
        )
        self._english = _Searched(library, english, near_duplicate)

    def prepare(self) -> None:
        """Make the vectors for other languages that are not there yet; blocks.

        Raises:
            RetrievalError: they cannot be had.
        """
        if self._others is not None:
            self._others.prepare()

    def find(self, wanted: EvidenceQuery) -> Evidence:
        """Return the evidence for `wanted`.

        Raises:
            CultureNotCovered: no loaded pack surveyed the culture.
            EncoderUnavailable: the encoder of other languages cannot be loaded.
        """
        self._library.cover(wanted.culture)
        found = self.recall(wanted)
        if found is None:
            found = self._find(wanted)
            self._found.keep(wanted, found)
        return found

    def recall(self, wanted: EvidenceQuery) -> Evidence | None:
        """Return what was found for `wanted`, if that is still known; does not block."""
        return self._found.find(wanted)

    def measure(self, text: str) -> Nearness:
        """Return how near `text` is to every question.

        Raises:
            EncoderUnavailable: the encoder of other languages cannot be loaded.
        """
        space = (self._english if self._is_english(text) else self._searched_otherwise).space
        vector = space.place(space.encoder.encode([text])[0])
        recognised = space.recogniser.recognise(text)
        return Nearness(
            space.index.vectors @ vector,
            floor=space.similarity_floor,
            candidates=recognised.candidates,
            is_certain=recognised.question is not None,
        )

    def _is_english(self, text: str) -> bool:
        return self._others is None or not self._others.takes(text)

    def _find(self, wanted: EvidenceQuery) -> Evidence:
        in_english = self._is_english(wanted.text)
        searched = self._english if in_english else self._searched_otherwise
        space = searched.space
        encoded = space.encoder.encode([wanted.text])[0]
        vector = space.place(encoded)
        nearest = space.index.nearest_question(vector)
        recognised = space.recogniser.recognise(
            wanted.text, answered=self._answered[wanted.culture]
        )
        same = recognised.question
        barred_key = None if same is None else same.key
        if same is None and nearest.similarity >= space.same_question:
            barred_key = nearest.key
        asked = Query(wanted.text, key=barred_key, seed=wanted.seed, vector=vector)
        barred = frozenset() if barred_key is None else frozenset({barred_key})
        hits = space.index.search(vector, wanted.culture, 1, barred)
        similarity = hits[0].similarity if hits else None
        floor = -1.0 if wanted.steer is Steer.ALWAYS else space.similarity_floor
        below = similarity is None or similarity < floor
        asks_value = None if space.classifier is None else space.classifier.probability(encoded)
        unused_because = _judge(wanted.steer, asks_value, is_certain=below or same is not None)
        exemplars: tuple[Exemplar, ...] = ()
        if wanted.k and not below and not unused_because:
            selector = searched.selectors[wanted.retriever]
            alike = self._find_alike(space, vector, barred_key) if wanted.withhold else frozenset()
            exemplars = selector.select(asked, wanted.culture, wanted.k, alike | wanted.barred)
        return Evidence(
            *(exemplars, similarity, same, below, recognised.candidates),
            floor=floor,
            in_english=in_english,
            asks_value=asks_value,
            unused_because=unused_because,
        )

    @cached_property
    def _searched_otherwise(self) -> _Searched:
        assert self._others is not None  # a text was taken for theirs
        return _Searched(self._library, self._others.space, self._near_duplicate)

    def _find_alike(self, space: QuestionSpace, vector: Vectors, key: str | None) -> frozenset[str]:
        """Return the keys of what gives away the asked question, or the survey's with `key`."""
        near = space.index.vectors @ vector >= space.same_question
        found = (other for other, is_near in zip(space.index.keys, near, strict=True) if is_near)
        return (frozenset() if key is None else self.alike[key]).union(found)


def _judge(steer: Steer | None, asks_value: float | None, *, is_certain: bool) -> str:
    """Return why evidence is not used, empty where it is, or where something else decides."""
    if steer is Steer.NEVER:
        return NEVER_STEERED
    if steer is not Steer.AUTO or asks_value is None or is_certain or asks_value >= VALUE_FROM:
        return ""
    return (
        f"it does not seem to ask for a value: the probability that it does is {asks_value:.2f}, "
        f"at least {VALUE_FROM:.2f} is needed"
    )


class _Searched:
    """A space of questions, and what selects exemplars in it."""

    def __init__(self, library: SurveyLibrary, space: QuestionSpace, near_duplicate: float) -> None:
        self.space = space
        self.selectors: dict[SelectorName, Selector] = {
            name: make_selector(
                name,
                library,
                index=space.index,
                encoder=space.encoder,
                near_duplicate=near_duplicate,
            )
            for name in SelectorName
        }
