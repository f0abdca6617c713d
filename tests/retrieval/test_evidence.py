from __future__ import annotations

from collections.abc import Sequence

import pytest

from retrieval.encoder import Encoder, Vectors
from retrieval.evidence import EvidenceFinder, EvidenceQuery
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from retrieval.recognition import QuestionRecogniser, find_cores
from retrieval.selector_name import SelectorName
from survey_data.errors import CultureNotCovered
from survey_data.library import SurveyLibrary

RELIGION = "How important is religion in your life?"
FLOOR, SAME = 0.35, 0.80


def make_recogniser(
    library: SurveyLibrary, index: QuestionIndex, encoder: Encoder
) -> QuestionRecogniser:
    questions = tuple(library.questions.values())
    cores = find_cores(questions)
    vectors = dict(zip(cores, encoder.encode(cores), strict=True))
    return QuestionRecogniser(questions, index.vectors, encoder=encoder, core_vectors=vectors)


@pytest.fixture(scope="module")
def finder(shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder) -> EvidenceFinder:
    return EvidenceFinder(
        shipped,
        index=shipped_index,
        encoder=minilm,
        recogniser=make_recogniser(shipped, shipped_index, minilm),
        similarity_floor=FLOOR,
        same_question=SAME,
    )


def test_a_reworded_survey_question_is_recognised(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(RELIGION, "DEU", 5))

    assert found.same_question is not None
    assert found.same_question.key == "wvs7:Q6"


@pytest.mark.parametrize("retriever", SelectorName)
def test_the_question_that_is_asked_is_no_exemplar_of_its_own(
    finder: EvidenceFinder, retriever: SelectorName
) -> None:
    found = finder.find(EvidenceQuery(RELIGION, "DEU", 20, retriever))

    keys = [exemplar.question.key for exemplar in found.exemplars]
    assert keys
    assert "wvs7:Q6" not in keys


def test_the_nearest_similarity_is_that_of_the_best_dense_exemplar(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(RELIGION, "DEU", 3))

    assert found.nearest_similarity is not None
    assert found.nearest_similarity == found.exemplars[0].similarity
    assert found.nearest_similarity > FLOOR
    assert not found.below_floor


@pytest.mark.parametrize("retriever", SelectorName)
def test_nothing_is_shown_below_the_floor(finder: EvidenceFinder, retriever: SelectorName) -> None:
    found = finder.find(EvidenceQuery("Write a function that sorts a list", "DEU", 5, retriever))

    assert found.below_floor
    assert found.exemplars == ()
    assert found.same_question is None
    assert found.nearest_similarity is not None
    assert found.nearest_similarity < FLOOR


def test_without_k_only_the_survey_question_is_looked_up(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(RELIGION, "DEU", 0))

    assert found.same_question is not None
    assert found.exemplars == ()


def test_a_country_that_nobody_surveyed_is_refused(finder: EvidenceFinder) -> None:
    with pytest.raises(CultureNotCovered):
        finder.find(EvidenceQuery(RELIGION, "VAT", 5))


@pytest.mark.parametrize("retriever", SelectorName)
def test_a_withheld_question_is_not_shown_in_another_surveys_words(
    finder: EvidenceFinder,
    shipped: SurveyLibrary,
    shipped_index: QuestionIndex,
    retriever: SelectorName,
) -> None:
    # Without its scale it is further than `SAME` from the other survey's questions.
    asked = "How much free choice and control do you feel you have over how your life turns out?"
    alike = find_alike(shipped.questions, shipped_index, threshold=SAME)["wvs7:Q48"]
    every = len(shipped.questions)

    found = finder.find(EvidenceQuery(asked, "DEU", every, retriever, withhold=True))

    assert found.same_question is not None
    assert found.same_question.key == "wvs7:Q48"
    assert len(alike) == 3
    assert found.exemplars
    assert alike.isdisjoint(exemplar.question.key for exemplar in found.exemplars)


def test_what_was_found_is_kept_for_the_next_request(
    shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder
) -> None:
    class Counting:
        model_id, dim, n_encoded = minilm.model_id, minilm.dim, 0

        def encode(self, texts: Sequence[str]) -> Vectors:
            self.n_encoded += 1
            return minilm.encode(texts)

    encoder = Counting()
    finder = EvidenceFinder(
        shipped,
        index=shipped_index,
        encoder=encoder,
        recogniser=make_recogniser(shipped, shipped_index, encoder),
        similarity_floor=FLOOR,
        same_question=SAME,
        cache_entries=8,
    )

    first = finder.find(EvidenceQuery(RELIGION, "DEU", 5))
    n_before = encoder.n_encoded
    again = finder.find(EvidenceQuery(RELIGION, "DEU", 5))
    elsewhere = finder.find(EvidenceQuery(RELIGION, "KEN", 5))

    assert again is first
    assert encoder.n_encoded > n_before
    assert elsewhere != first
