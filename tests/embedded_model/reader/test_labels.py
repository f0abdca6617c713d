from __future__ import annotations

import numpy as np
import pytest

from embedded_model.reader.labels import draw_labels, list_elsewhere, request_label
from embedded_model.reader.material import Material
from prompting.messages import Steering
from prompting.recipe import Method
from survey_data.cultures import read_catalogue
from survey_data.model import Question, Scale

PLAIN = Steering(Method.PLAIN)


def make_question(n_options: int) -> Question:
    options = tuple(f"option {i}" for i in range(n_options))
    return Question("made:1", "Tea", "Is tea good?", options, Scale.ORDINAL)


def test_options_in_another_order_take_their_shares_along() -> None:
    request = request_label(make_question(3), PLAIN, (0.2, 0.5, 0.3), order=(2, 1, 0))

    assert request.shares == (0.3, 0.5, 0.2)
    assert request.labels == ("1", "2", "3")
    assert "1. option 2\n2. option 1\n3. option 0" in request.messages[-1].content


@pytest.mark.parametrize(("n_options", "first"), [(9, "1"), (10, "A")])
def test_ten_options_have_letters(n_options: int, first: str) -> None:
    shares = (1.0 / n_options,) * n_options

    assert request_label(make_question(n_options), PLAIN, shares).labels[0] == first


def test_there_is_a_share_for_every_label(taught: Material) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        request = draw_labels(rng, taught)
        assert len(request.labels) == len(request.shares)
        assert sum(request.shares) == pytest.approx(1.0)
        assert "Answer: " in request.messages[-1].content


def test_the_peoples_most_like_another_come_first(taught: Material) -> None:
    question = next(q for q in taught.questions if q.pack == "wvs7")
    found = list_elsewhere(taught, question, read_catalogue()["AUS"], 3)
    places = [e.elsewhere for e in found]

    # The three other countries of the survey where English is most people's first language.
    assert {e.culture.code for e in places if e} <= {"NZL", "GBR", "CAN", "USA"}
    weights = [e.weight for e in places if e]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) <= 1.0
    assert all(e.question == question for e in found)
