"""Questions are found by their words in any language, best first, and by what they mean."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from retrieval.encoder import Encoder
from retrieval.evidence import EvidenceFinder
from retrieval.index_files import library_index
from retrieval.question_search import QuestionSearch
from retrieval.question_words import WordMatcher
from retrieval.recognition import Candidate, Recognition
from survey_data.library import SurveyLibrary
from survey_data.model import Question

TEXTS = ("Do you trust the police?", "Is the trusty dog yours?", "Must the poor trust in luck?")
MakeLibrary = Callable[..., SurveyLibrary]
MakeEncoder = Callable[..., Encoder]


@pytest.fixture(scope="module")
def matcher(make_library: MakeLibrary) -> WordMatcher:
    return WordMatcher(make_library(TEXTS, topics=["Order", "Dogs", "Police and luck"]))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # In the text before in the topic.
        ("police", [0, 2]),
        # Whole words before beginnings.
        ("trust", [0, 2, 1]),
        ("TRUST, pol", [0, 2]),
        ("rust", []),
        # An option, and a key.
        ("yes", [0, 1, 2]),
        ("q1", [1]),
        ("trust cats", []),
        (" ?! ", []),
    ],
)
def test_every_word_has_to_be_there(matcher: WordMatcher, text: str, rows: list[int]) -> None:
    assert matcher.match(text) == rows


@pytest.mark.parametrize("text", ["vertrauen polizei", "警察", "доверяете полиции"])
def test_words_of_translations_are_found(shipped: SurveyLibrary, text: str) -> None:
    found = WordMatcher(shipped).match(text)

    assert tuple(shipped.questions)[found[0]] == "wvs7:Q69"


class Knows:
    """Recognises one question, by its text alone."""

    def __init__(self, question: Question) -> None:
        self._question = question

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        if text != self._question.text:
            return Recognition(None, ())
        return Recognition(self._question, (Candidate(self._question, 1.0),))


@pytest.fixture
def search(make_library: MakeLibrary, hash_encoder: MakeEncoder) -> QuestionSearch:
    # Cosines with what is searched below: 0.6, 0.1, 0.8.
    vectors = [(0.6, 0.8, 0.0), (0.1, 0.995, 0.0), (0.8, 0.0, 0.6)]
    told = dict(zip(TEXTS, vectors, strict=True))
    told |= dict.fromkeys(("trust", "trusty"), (1.0, 0.0, 0.0))
    library, encoder = make_library(TEXTS), hash_encoder(dim=3, told=told)
    finder = EvidenceFinder(
        library,
        index=library_index(library, encoder),
        encoder=encoder,
        recogniser=Knows(library.questions["p:Q1"]),
        similarity_floor=0.5,
        same_question=0.999,
    )
    return QuestionSearch(library, finder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trust", [("Q2", 0.8, True), ("Q0", 0.6, True), ("Q1", 0.1, True)]),
        # One under the floor is there for its word, and for that before nearer ones.
        ("trusty", [("Q1", 0.1, True), ("Q2", 0.8, False), ("Q0", 0.6, False)]),
        # What is asked comes first. Cosines: 0.1 * 0.6 + 0.995 * 0.8 and 0.1 * 0.8.
        (TEXTS[1], [("Q1", 1.0, True), ("Q0", 0.856, False)]),
    ],
)
def test_a_search_ranks_what_is_asked_then_words_then_what_is_near(
    search: QuestionSearch, text: str, found: list[tuple[str, float, bool]]
) -> None:
    ranked = search.search(text)

    assert [(each.question.id, each.has_words) for each in ranked] == [
        (key, has_words) for key, _, has_words in found
    ]
    assert [each.similarity for each in ranked] == pytest.approx(
        [cosine for _, cosine, _ in found], abs=0.01
    )


def test_a_match_of_words_has_no_similarity(search: QuestionSearch) -> None:
    assert [each.similarity for each in search.match_words("trust")] == [None] * 3
