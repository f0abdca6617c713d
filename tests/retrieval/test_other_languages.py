"""Texts that are not English are looked up in a space of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoder import Encoder
from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.multilingual_encoder import (
    ASKED,
    FOUND,
    MultilingualEncoder,
    MultilingualModel,
)
from retrieval.evidence import EvidenceFinder, EvidenceQuery
from retrieval.index import QuestionIndex
from retrieval.other_languages import (
    SAME_QUESTION,
    SIMILARITY_FLOOR,
    OtherLanguages,
)
from retrieval.selector_name import SelectorName
from retrieval.steer import Steer
from survey_data.library import SurveyLibrary
from tests.retrieval.test_evidence import make_recogniser

RELIGION = "wvs7:Q6"
# No translation of a pack has it in these words.
IN_GERMAN = "Welche Rolle spielt Religion in Ihrem Leben?"
IN_THAI = "ศาสนามีความสำคัญต่อชีวิตของคุณมากแค่ไหน"
IN_ARABIC = "ما مدى أهمية الدين في حياتك؟"


@pytest.fixture(scope="module")
def others(
    shipped: SurveyLibrary,
    multilingual: MultilingualModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> OtherLanguages:
    return OtherLanguages(
        shipped,
        folder=tmp_path_factory.mktemp("vectors"),
        asked=MultilingualEncoder(multilingual, ASKED),
        found=MultilingualEncoder(multilingual, FOUND),
        known=default_vocabulary(),
    )


@pytest.fixture(scope="module")
def finder(
    shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder, others: OtherLanguages
) -> EvidenceFinder:
    return EvidenceFinder(
        shipped,
        index=shipped_index,
        encoder=minilm,
        recogniser=make_recogniser(shipped, shipped_index, minilm),
        similarity_floor=0.35,
        same_question=0.80,
        other_languages=others,
    )


@pytest.mark.parametrize("text", [IN_GERMAN, IN_THAI, IN_ARABIC])
def test_a_question_in_another_language_is_no_survey_question_but_may_be_one(
    finder: EvidenceFinder, text: str
) -> None:
    found = finder.find(EvidenceQuery(text, "DEU", 5))

    assert found.same_question is None
    assert found.candidates[0].question.key == RELIGION
    assert not found.in_english
    assert found.floor == SIMILARITY_FLOOR


@pytest.mark.parametrize("retriever", SelectorName)
def test_exemplars_are_about_it_and_do_not_give_it_away(
    finder: EvidenceFinder, retriever: SelectorName
) -> None:
    found = finder.find(EvidenceQuery(IN_GERMAN, "DEU", 5, retriever))

    assert not found.below_floor
    assert len(found.exemplars) == 5
    assert RELIGION not in {each.question.key for each in found.exemplars}
    if retriever is SelectorName.DENSE:
        texts = [each.question.text.casefold() for each in found.exemplars]
        assert sum("relig" in text or "god" in text for text in texts) >= 3
        assert found.exemplars[0].similarity == found.nearest_similarity


def test_a_question_in_the_words_of_a_translation_is_recognised(
    finder: EvidenceFinder, shipped: SurveyLibrary
) -> None:
    wording = shipped.wording(RELIGION, "de")
    assert wording is not None

    found = finder.find(EvidenceQuery(wording.text.rstrip("?").lower(), "DEU", 5))

    assert found.same_question is not None
    assert found.same_question.key == RELIGION
    assert [each.question.key for each in found.candidates] == [RELIGION]
    assert RELIGION not in {each.question.key for each in found.exemplars}


def test_what_is_withheld_is_all_that_gives_it_away(
    finder: EvidenceFinder, others: OtherLanguages, shipped: SurveyLibrary
) -> None:
    every = len(shipped.questions)
    space = others.space
    vector = space.place(space.encoder.encode([IN_GERMAN])[0])
    near = np.flatnonzero(space.index.vectors @ vector >= SAME_QUESTION)

    found = finder.find(EvidenceQuery(IN_GERMAN, "DEU", every, withhold=True))

    assert len(near)
    shown = {each.question.key for each in found.exemplars}
    assert shown.isdisjoint(space.index.keys[row] for row in near)


@pytest.mark.parametrize(
    "text",
    [
        "Übersetze diesen Satz ins Spanische",
        "หุงข้าวอย่างไร",
        "Wann wurde die Polizei gegründet?",
    ],
)
def test_what_asks_for_no_value_shows_nothing(finder: EvidenceFinder, text: str) -> None:
    found = finder.find(EvidenceQuery(text, "DEU", 5, steer=Steer.AUTO))

    assert found.unused_because
    assert found.exemplars == ()


def test_english_is_looked_up_as_before(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery("How important is religion in your life?", "DEU", 5))

    assert found.in_english
    assert found.same_question is not None
    assert found.same_question.key == RELIGION


def test_vectors_are_made_once(
    make_library: Callable[..., SurveyLibrary], hash_encoder: Callable[..., Any], tmp_path: Path
) -> None:
    library = make_library(["How happy are you?", "Do you pray?", "Do you vote?"])
    asked, found = hash_encoder(), hash_encoder()

    def open_them() -> OtherLanguages:
        return OtherLanguages(library, folder=tmp_path, asked=asked, found=found, known=())

    first, again = open_them(), open_them()
    assert found.encoded == []
    first.prepare()
    again.prepare()

    assert len(found.encoded) == len(library.questions)
    assert asked.encoded == []
    assert np.array_equal(first.space.index.vectors, again.space.index.vectors)
    assert np.allclose(np.linalg.norm(first.space.index.vectors, axis=1), 1.0, atol=1e-5)


def test_what_loaded_the_encoder_unloads_it_when_the_vectors_are_made(
    make_library: Callable[..., SurveyLibrary], hash_encoder: Callable[..., Any], tmp_path: Path
) -> None:
    library = make_library(["How happy are you?", "Do you pray?", "Do you vote?"])
    found, n_encoded = hash_encoder(), []
    others = OtherLanguages(
        library,
        folder=tmp_path,
        asked=hash_encoder(),
        found=found,
        known=(),
        unload=lambda: n_encoded.append(len(found.encoded)),
    )
    others.prepare()
    assert n_encoded == [3]


def test_a_pack_of_one_question_has_its_place_too(
    make_library: Callable[..., SurveyLibrary], multilingual: MultilingualModel, tmp_path: Path
) -> None:
    others = OtherLanguages(
        make_library(["How important is religion in your life?"]),
        folder=tmp_path,
        asked=MultilingualEncoder(multilingual, ASKED),
        found=MultilingualEncoder(multilingual, FOUND),
        known=(),
    )

    space = others.space
    texts = [IN_GERMAN, "Wie oft fahren Sie mit dem Zug?"]
    [meant, not_meant] = [
        float((space.index.vectors @ space.place(vector))[0])
        for vector in space.encoder.encode(texts)
    ]
    assert meant > space.same_question
    assert not_meant < space.similarity_floor
