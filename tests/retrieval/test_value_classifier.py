from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder import Encoder
from retrieval.evidence import EvidenceFinder, EvidenceQuery
from retrieval.index import QuestionIndex
from retrieval.steer import Steer
from retrieval.value_classifier import (
    FittedWeights,
    ValueClassifier,
    find_classifier,
    read_classifier_file,
)
from survey_data.library import SurveyLibrary
from tests.retrieval.test_evidence import make_recogniser

ROOT = Path(__file__).parents[2]
FACT = "When was the police founded?"
VALUE = "Would you lend money to your neighbours?"
FAR = "Write a function that sorts a list"
RELIGION = "How important is religion in your life?"


@pytest.fixture(scope="module")
def finder(shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder) -> EvidenceFinder:
    return EvidenceFinder(
        shipped,
        index=shipped_index,
        encoder=minilm,
        recogniser=make_recogniser(shipped, shipped_index, minilm),
        similarity_floor=0.30,
        same_question=0.80,
    )


def test_the_probability_is_the_logistic_function_of_weights_and_intercept() -> None:
    fitted = FittedWeights(
        encoder="e",
        n_values=1,
        n_others=1,
        values_found=1.0,
        others_taken=0.0,
        intercept=-1.0,
        weights=(2.0, -4.0),
    )
    # 0.6 * 2 - 0.8 * 4 - 1 = -3
    found = ValueClassifier(fitted).probability(np.array([0.6, 0.8], dtype=np.float32))

    assert found == pytest.approx(1 / (1 + math.exp(3)), abs=1e-6)


def test_the_shipped_weights_are_those_of_the_shipped_encoders(minilm: Encoder) -> None:
    encoders = [each.encoder for each in read_classifier_file().fitted]

    assert encoders == [minilm.model_id, "multilingual-e5-small@1571fc98-query"]
    assert find_classifier("another") is None


def test_the_shipped_weights_were_made_from_the_requests_that_are_here() -> None:
    made_from = read_classifier_file().training_sha256
    requests = {name: digest for name, digest in made_from.items() if name.startswith("bench")}
    assert len(requests) == 2
    for name, digest in requests.items():
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, name


def test_what_asks_for_no_value_is_not_used_however_near_it_is(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(FACT, "DEU", 5, steer=Steer.AUTO))

    assert not found.below_floor
    assert found.asks_value is not None
    assert found.asks_value < 0.5
    assert f"{found.asks_value:.2f}" in found.unused_because
    assert found.exemplars == ()


def test_what_asks_for_a_value_is_used(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(VALUE, "DEU", 5, steer=Steer.AUTO))

    assert found.unused_because == ""
    assert len(found.exemplars) == 5


@pytest.mark.parametrize("text", [FACT, FAR])
def test_always_uses_evidence_whatever_is_asked(finder: EvidenceFinder, text: str) -> None:
    found = finder.find(EvidenceQuery(text, "DEU", 5, steer=Steer.ALWAYS))

    assert not found.below_floor
    assert found.unused_because == ""
    assert len(found.exemplars) == 5


def test_never_uses_none(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(VALUE, "DEU", 5, steer=Steer.NEVER))

    assert found.unused_because == "steer is 'never'"
    assert found.exemplars == ()


def test_a_survey_question_needs_no_telling(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(RELIGION, "DEU", 5, steer=Steer.AUTO))

    assert found.same_question is not None
    assert found.unused_because == ""


def test_without_a_word_on_it_nearness_alone_decides(finder: EvidenceFinder) -> None:
    found = finder.find(EvidenceQuery(FACT, "DEU", 5))

    assert found.unused_because == ""
    assert len(found.exemplars) == 5
