"""A culture answers what asks for a value, and every reply says whether it did and why not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.app.service import NEIGHBOURS, RELIGION, events, opened
from tests.fakes.vllm import MODEL, FakeVllm, Scripted
from tests.fixtures.service import MakeSettings

FACT = "When was the police founded?"
TASK = "Write a cover letter for a job at a bank"


def ask(client: httpx.Client, question: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/answer", json={"question": question, "culture": "DE", **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def chat(client: httpx.Client, *said: str, **fields: Any) -> dict[str, Any]:
    messages: list[dict[str, str]] = []
    for text in said:
        messages += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": "I see."},
        ]
    body = {"model": f"{MODEL}@DE", "messages": messages[:-1], **fields}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["milieu"]
    return found


@pytest.mark.parametrize("text", [FACT, TASK])
def test_what_asks_for_no_value_is_answered_by_the_model_as_it_is(
    client: httpx.Client, fake: FakeVllm, text: str
) -> None:
    answer = ask(client, text)

    assert not answer["steered"]
    assert (answer["requested_method"], answer["method"]) == ("icl", "plain")
    assert "does not seem to ask for a value" in answer["not_steered_because"]
    assert answer["fallbacks"][0]["because"] == answer["not_steered_because"]
    assert answer["asks_value"] < 0.5
    assert "German" not in str(fake.received[-1])


def test_options_of_its_own_make_no_value_of_a_fact(client: httpx.Client) -> None:
    answer = ask(client, FACT, options=["1850", "1900", "1950"])

    assert answer["source"] == "model"
    assert not answer["steered"]


def test_tables_have_no_answer_to_a_fact_and_say_why(client: httpx.Client) -> None:
    body = {"question": FACT, "culture": "DE", "options": ["1850", "1900"]}
    response = client.post("/answer", json={**body, "answer_from": "tables"})

    assert response.status_code == 404
    assert "does not seem to ask for a value" in response.json()["detail"]


def test_what_asks_for_a_value_is_steered(client: httpx.Client) -> None:
    answer = ask(client, NEIGHBOURS)

    assert answer["steered"]
    assert answer["asks_value"] >= 0.5


def test_always_steers_a_fact(client: httpx.Client) -> None:
    answer = ask(client, FACT, steer="always")

    assert answer["steered"]
    assert len(answer["exemplars"]) == 5


@pytest.mark.parametrize("question", [NEIGHBOURS, RELIGION])
def test_never_leaves_the_model_as_it_is_and_is_no_fallback(
    client: httpx.Client, fake: FakeVllm, question: str
) -> None:
    answer = ask(client, question, steer="never")

    assert not answer["steered"]
    assert answer["source"] == "model"
    assert answer["not_steered_because"] == "steer is 'never'"
    assert answer["fallbacks"] == []
    assert "German" not in str(fake.received[-1])


def test_another_word_is_refused(client: httpx.Client) -> None:
    body = {"question": FACT, "culture": "DE", "steer": "sometimes"}

    assert client.post("/answer", json=body).status_code == 422


def test_a_survey_question_is_always_steered(client: httpx.Client) -> None:
    assert ask(client, RELIGION)["steered"]
    assert chat(client, RELIGION)["steered"]


@pytest.mark.parametrize(
    ("said", "fields", "is_steered"),
    [
        ((FACT,), {}, False),
        ((NEIGHBOURS,), {}, True),
        ((FACT,), {"steer": "always"}, True),
        ((NEIGHBOURS,), {"steer": "never"}, False),
        # A short one is told by what came before it.
        ((NEIGHBOURS, "And your friends?"), {}, True),
        ((NEIGHBOURS, TASK), {}, False),
    ],
)
def test_a_chat_is_steered_by_its_last_message(
    client: httpx.Client, said: tuple[str, ...], fields: dict[str, Any], is_steered: bool
) -> None:
    found = chat(client, *said, **fields)

    assert found["steered"] is is_steered
    assert (found["not_steered_because"] is None) is is_steered


async def test_the_settings_say_when_to_steer(make_settings: MakeSettings) -> None:
    body = {"question": FACT, "culture": "DE"}
    async with opened(make_settings(answer={"steer": "always"})) as client:
        steered = (await client.post("/answer", json=body)).json()["steered"]
        asked = (await client.post("/answer", json={**body, "steer": "auto"})).json()["steered"]

    assert steered
    assert not asked


def refuse(fake: FakeVllm, *, stream: bool = False) -> None:
    """Let the next chat be declined by the model."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    head = {"id": "x", "created": 1, "model": MODEL}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    said = {"role": "assistant", "content": "I'm sorry, but as an AI I cannot answer that."}
    if not stream:
        reply = head | {"object": "chat.completion", "usage": usage}
        reply["choices"] = [choice | {"message": said}]
        fake.script(Scripted(raw=json.dumps(reply).encode()))
        return
    chunk = head | {"object": "chat.completion.chunk", "choices": [choice | {"delta": said}]}
    counts = head | {"object": "chat.completion.chunk", "choices": [], "usage": usage}
    lines = [*map(json.dumps, (chunk, counts)), "[DONE]"]
    fake.script(Scripted(raw="".join(f"data: {line}\n\n" for line in lines).encode()))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_the_model_declines_is_not_steered(
    client: httpx.Client, fake: FakeVllm, stream: bool
) -> None:
    refuse(fake, stream=stream)
    body = {"question": NEIGHBOURS, "culture": "DE", "stream": stream}
    reply = client.post("/answer", json=body)
    answer = events(reply.text)[-1].data if stream else reply.json()

    assert "cannot answer" in answer["answer"]
    assert answer["exemplars"]
    assert not answer["steered"]
    assert answer["not_steered_because"] == "the model declined to answer"
    assert client.get(f"/v1/answers/{answer['id']}").json()["steered"] is False


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_that_the_model_declines_is_not_steered(
    client: httpx.Client, fake: FakeVllm, stream: bool
) -> None:
    refuse(fake, stream=stream)
    messages = [{"role": "user", "content": NEIGHBOURS}]
    body = {"model": f"{MODEL}@DE", "messages": messages, "stream": stream}
    reply = client.post("/v1/chat/completions", json=body)
    if stream:
        lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n")[:-2]]
        told = [chunk["milieu"] for chunk in map(json.loads, lines) if "milieu" in chunk]
        assert told[0]["steered"]
        late = told[-1]
    else:
        late = reply.json()["milieu"]

    assert not late["steered"]
    assert late["not_steered_because"] == "the model declined to answer"


def test_beside_the_peoples_figures_a_model_that_declines_changes_nothing(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client, RELIGION, method="icl")

    assert answer["source"] == "survey"
    assert answer["steered"]


async def test_where_a_question_is_recognised_it_is_others_that_are_not_near(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(answer={"similarity_floor": 0.99})
    body = {"question": RELIGION, "culture": "DE"}
    async with opened(settings) as client:
        model = await client.post("/answer", json={**body, "answer_from": "model"})
        own = {**body, "options": ["Yes", "No"], "answer_from": "tables"}
        tables = await client.post("/answer", json=own)
    answer = model.json()

    assert answer["options_from"] == "wvs7:Q6"
    assert "no other survey question of Germany is near enough" in answer["not_steered_because"]
    assert tables.status_code == 404
    assert "wvs7:Q6 with other options" in tables.json()["detail"]
    assert "no survey question" not in tables.json()["detail"]
