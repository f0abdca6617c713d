"""`/answer` says what an answer stands on, and asks no model where the surveys know."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from retrieval.likeness import SAME_QUESTION, find_alike
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from tests.app.service import (
    FAR,
    NEIGHBOURS,
    RELIGION,
    RELIGION_KEY,
    events,
    share_library,
    share_retrieval,
)
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings

# Asked of 21 countries, but not of Kenya.
AI_QUESTION = "How much knowledge do you have of artificial intelligence (AI)?"
ABROAD = ["Not at all", "A little", "Very much"]


@pytest.fixture
def library(make_settings: MakeSettings) -> SurveyLibrary:
    return share_library(make_settings(), read_catalogue())


def ask(client: httpx.Client, question: str = RELIGION, **fields: Any) -> dict[str, Any]:
    reply = client.post("/answer", json={"culture": "DE", "question": question} | fields)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def shares_of(answer: dict[str, Any]) -> list[float]:
    return [share["share"] for share in answer["shares"]]


def test_what_the_people_said_is_the_answer(
    client: httpx.Client, fake: FakeVllm, library: SurveyLibrary
) -> None:
    answer = ask(client)
    people = library.distribution(RELIGION_KEY, "DEU")

    assert people is not None
    assert answer["source"] == "survey"
    assert answer["confident"]
    assert answer["option"] == {"number": 3, "label": "Not that important"}
    assert answer["answer"] == "Not that important"
    assert shares_of(answer) == pytest.approx(people.shares, abs=1e-3)
    assert answer["people"]["question_key"] == RELIGION_KEY
    assert answer["people"]["n_respondents"] == people.n_respondents
    assert answer["people"]["years"] == "2017-2018"
    assert "World Values Survey" in answer["people"]["survey"]
    assert "Haerpfer" in answer["people"]["citation"]
    assert answer["recognised"]["certain"]
    assert answer["transferred_from"] is None
    assert answer["model"] is None
    assert answer["usage"]["prompt_tokens"] == 0
    assert not fake.chats


def test_every_share_lies_in_its_interval(client: httpx.Client) -> None:
    for fields in ({}, {"withhold": True}, {"question": NEIGHBOURS, "options": ABROAD}):
        answer = ask(client, **fields)
        assert sum(shares_of(answer)) == pytest.approx(1.0, abs=1e-3)
        for share in answer["shares"]:
            interval = share["interval"]
            assert 0.0 <= interval["low"] <= share["share"] <= interval["high"] <= 1.0


def test_what_is_withheld_is_estimated_from_others_and_not_told(
    client: httpx.Client, fake: FakeVllm, library: SurveyLibrary
) -> None:
    answer = ask(client, withhold=True)
    known = library.distribution(RELIGION_KEY, "DEU")

    assert known is not None
    assert answer["source"] == "transfer"
    assert answer["people"] is None
    assert shares_of(answer) != pytest.approx(known.shares, abs=1e-2)
    cultures = answer["transferred_from"]["cultures"]
    weights = [donor["weight"] for donor in cultures]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0, abs=0.1)
    assert "DEU" not in {donor["culture"]["code"] for donor in cultures}
    assert RELIGION_KEY not in {
        own["question_key"] for own in answer["transferred_from"]["own_questions"]
    }
    assert not fake.chats


def test_what_was_asked_elsewhere_is_transferred(client: httpx.Client, fake: FakeVllm) -> None:
    answer = ask(client, AI_QUESTION, culture="KE")

    assert answer["source"] == "transfer"
    assert answer["people"] is None
    assert answer["options_from"].startswith("undp-ai-2025:")
    assert answer["transferred_from"]["cultures"]
    assert not fake.chats


def test_what_was_asked_nowhere_is_estimated_from_like_questions(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client, NEIGHBOURS, options=["Yes", "No"])

    assert answer["source"] == "related"
    assert answer["transferred_from"]["cultures"] == []
    assert len(answer["transferred_from"]["own_questions"]) == 1
    assert not fake.chats


def test_an_estimate_that_says_nothing_says_that_it_is_not_known(client: httpx.Client) -> None:
    answer = ask(client, NEIGHBOURS, options=["Yes", "No"])

    assert answer["source"] == "related"
    assert not answer["confident"]
    assert answer["option"] is None
    assert answer["answer"] == "It is not known what people in Germany would answer."


def test_far_from_every_survey_the_model_answers_for_nobody(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client, FAR, options=["Yes", "No"])

    assert answer["source"] == "model"
    assert answer["confident"] is None
    assert not answer["steered"]
    assert answer["recognised"] is None
    assert answer["model"]["name"] == "fake"
    assert answer["shares"] == answer["model"]["shares"]
    assert fake.chats


def test_a_named_method_is_asked_and_shown_beside_the_people(
    client: httpx.Client, fake: FakeVllm
) -> None:
    alone, answer = ask(client), ask(client, method="icl", k=3)

    assert answer["source"] == "survey"
    assert answer["shares"] == alone["shares"]
    assert answer["option"] == alone["option"]
    assert answer["model"]["method"] == answer["method"] == "icl"
    assert answer["model"]["calibration"] is None
    assert shares_of(answer["model"]) != shares_of(answer)
    assert len(answer["model"]["exemplars"]) == 3
    assert RELIGION_KEY not in answer["model"]["exemplars"]
    assert len(fake.chats) == 1


def test_the_model_alone_can_be_asked_for(client: httpx.Client) -> None:
    answer = ask(client, answer_from="model")

    assert answer["source"] == "model"
    assert answer["shares"] == answer["model"]["shares"]
    assert answer["people"]["question_key"] == RELIGION_KEY
    assert answer["transferred_from"] is None


def test_options_in_another_order_are_the_same_question(client: httpx.Client) -> None:
    own = ask(client)
    turned = [share["label"] for share in reversed(own["shares"])]
    answer = ask(client, options=turned)

    assert answer["source"] == "survey"
    assert shares_of(answer) == list(reversed(shares_of(own)))
    assert answer["option"]["number"] == 2
    assert answer["answer"] == own["answer"]


def test_other_options_are_another_question(client: httpx.Client) -> None:
    answer = ask(client, options=["Yes", "No"])

    assert answer["source"] == "related"
    assert answer["people"] is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"answer_from": "survey", "question": AI_QUESTION, "culture": "KE"}, "not asked in Kenya"),
        ({"answer_from": "survey", "question": AI_QUESTION, "culture": "KE"}, "DEU"),
        ({"answer_from": "survey", "question": AI_QUESTION, "culture": "KE"}, "transfer, model"),
        ({"answer_from": "survey", "withhold": True}, "withheld"),
        ({"answer_from": "survey", "question": NEIGHBOURS}, "no options"),
        ({"answer_from": "tables", "question": FAR, "options": ["Yes", "No"]}, "none is near"),
    ],
)
def test_a_source_that_is_not_there_is_a_clear_404(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any], said: str
) -> None:
    reply = client.post("/answer", json={"culture": "DE", "question": RELIGION} | fields)

    assert reply.status_code == 404
    assert reply.json()["type"] == "urn:milieu:problem:source-unavailable"
    assert said in reply.json()["detail"]
    assert not fake.chats


def test_a_stream_needs_no_model_either(client: httpx.Client, fake: FakeVllm) -> None:
    body = {"culture": "DE", "question": RELIGION, "stream": True}
    first, last = events(client.post("/answer", json=body).text)

    assert (first.name, last.name) == ("evidence", "answer")
    assert last.data["source"] == "survey"
    assert not fake.chats


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("how important is religon in your life", RELIGION_KEY),
        ("What importance does religion have in your life?", RELIGION_KEY),
        ("How important is music in your life?", None),
        ("How important is religion in politics?", None),
    ],
)
def test_a_slip_of_the_pen_is_the_same_question_and_another_word_is_not(
    client: httpx.Client, question: str, key: str | None
) -> None:
    answer = ask(client, question, answer_from="auto")
    found = answer["recognised"]
    certain = found["questions"][0]["question_key"] if found and found["certain"] else None

    assert certain == key
    assert answer["source"] == ("survey" if key else "model")


def test_what_is_withheld_is_not_given_away_by_an_exemplar(
    client: httpx.Client, library: SurveyLibrary, make_settings: MakeSettings
) -> None:
    index = share_retrieval(make_settings(), library).index
    answered = set(library.keys_of("DEU"))
    alike = find_alike(library.questions, index)
    key = next(key for key in library.keys_of("DEU") if len(alike[key] & answered) > 1)
    fields = {"method": "icl", "k": 20, "withhold": True}
    answer = ask(client, library.questions[key].text, **fields)

    assert len(answer["model"]["exemplars"]) == 20
    near = {k for k in alike[key] if float(index.vector(k) @ index.vector(key)) >= SAME_QUESTION}
    assert len(near) > 1
    assert near.isdisjoint(answer["model"]["exemplars"])
