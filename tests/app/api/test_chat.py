"""`/v1/chat/completions` serves OpenAI's own client, with a culture where one is named."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.app.service import FAR, NEIGHBOURS, RELIGION, counted, keys, opened, settings_for
from tests.fakes.vllm import FakeVllm, Scripted, serve

PATH = "/v1/chat/completions"
ASKED: Any = [{"role": "user", "content": NEIGHBOURS}]
SCHEMA: Any = {"type": "json_schema"}
EVIDENCE = {
    "culture", "experiment", "method", "requested_method", "exemplar_style", "retriever",
    "adapter", "steered", "prompt_language",
    "not_steered_because", "fallbacks", "nearest_similarity", "asks_value", "exemplars", "warnings",
}  # fmt: skip


@pytest.fixture
def chat(milieu_url: str, fake: FakeVllm) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{milieu_url}/v1", api_key="none", max_retries=0) as chat:
        yield chat


def body_of(**fields: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": ASKED, "max_tokens": 4} | fields


def sent_messages(fake: FakeVllm) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in fake.chats[-1].body["messages"]]


def chunks_of(text: str) -> list[dict[str, Any]]:
    *data, last, rest = text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in data]


def test_openais_client_chats(chat: OpenAI) -> None:
    reply = chat.chat.completions.create(model="fake@DE", messages=ASKED, max_tokens=4)

    assert reply.object == "chat.completion"
    assert reply.model == "fake@DE"
    [choice] = reply.choices
    assert choice.message.role == "assistant"
    assert len((choice.message.content or "").split()) == 4
    assert choice.finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 4
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 4
    assert (reply.model_extra or {})["milieu"]["culture"]["code"] == "DEU"


def test_openais_client_streams_what_it_would_get_whole(chat: OpenAI) -> None:
    whole = chat.chat.completions.create(model="fake@DE", messages=ASKED, max_tokens=4)
    stream = chat.chat.completions.create(
        model="fake@DE",
        messages=ASKED,
        max_tokens=4,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4
    assert chunks[-2].choices[0].finish_reason == "length"
    assert {chunk.model for chunk in chunks} == {"fake@DE"}


def test_openais_client_lists_the_model_as_every_culture(chat: OpenAI) -> None:
    ids = [model.id for model in chat.models.list()]

    assert ids[0] == "fake"
    assert "fake@DE" in ids
    assert len(ids) == len(set(ids)) > 30


def test_openais_client_knows_the_errors(chat: OpenAI, fake: FakeVllm) -> None:
    with pytest.raises(openai.NotFoundError, match="No model 'gpt'"):
        chat.chat.completions.create(model="gpt", messages=ASKED)
    with pytest.raises(openai.NotFoundError, match="no ISO 3166-1 code"):
        chat.chat.completions.create(model="fake@Nowhere", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        chat.chat.completions.create(model="fake", messages=ASKED, temperature=3.0)
    fake.script(Scripted(status=500))
    with pytest.raises(openai.InternalServerError) as caught:
        chat.chat.completions.create(model="fake", messages=ASKED)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["Retry-After"]


def test_a_stream_that_breaks_is_an_error_to_openais_client(chat: OpenAI, fake: FakeVllm) -> None:
    fake.script(Scripted(error_after=2))
    stream = chat.chat.completions.create(model="fake", messages=ASKED, stream=True)

    with pytest.raises(openai.APIError, match="currently busy"):
        list(stream)


def test_a_stream_that_cannot_start_has_a_status(client: httpx.Client, fake: FakeVllm) -> None:
    fake.script(Scripted(status=500))
    reply = client.post(PATH, json=body_of(stream=True))

    assert reply.status_code == 503
    assert reply.json()["error"]["type"] == "server_error"


class EmptyStreams:
    """The fake, but what it streams is over at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["path"] == PATH:
            app = Response("data: [DONE]\n\n", media_type="text/event-stream")
        await app(scope, receive, send)


async def test_an_empty_stream_is_an_invalid_reply(cache_folder: Path) -> None:
    with serve(EmptyStreams(FakeVllm().app)) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            reply = await client.post(PATH, json=body_of(stream=True))

    assert reply.status_code == 502
    assert "an empty stream" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"model": "fake@DE"}, {}),
        ({"model": "fake@Germany"}, {}),
        ({"culture": "de-DE"}, {}),
        ({}, {"X-Culture": "DEU"}),
        ({"model": "fake@DE", "culture": "Germany"}, {"X-Culture": "deu"}),
    ],
)
def test_the_culture_comes_from_model_field_or_header(
    client: httpx.Client, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    reply = client.post(PATH, json=body_of(**fields), headers=headers).json()

    assert reply["milieu"]["culture"]["code"] == "DEU"
    assert reply["milieu"]["steered"]
    assert len(reply["milieu"]["exemplars"]) == 5
    assert set(reply["milieu"]) == EVIDENCE | {"id", "recognised", "known"}


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"model": "fake@DE", "culture": "KE"}, {}),
        ({"culture": "KE"}, {"X-Culture": "DE"}),
        ({"model": "fake@KE"}, {"X-Culture": "Germany"}),
    ],
)
def test_different_cultures_conflict(
    client: httpx.Client, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    reply = client.post(PATH, json=body_of(**fields), headers=headers)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "culture-conflict"


def test_without_a_culture_the_messages_pass_through(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": RELIGION},
        {"role": "assistant", "content": "Very."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    reply = client.post(PATH, json=body_of(messages=messages)).json()

    assert sent_messages(fake) == [
        ("system", "Be brief."),
        ("user", RELIGION),
        ("assistant", "Very."),
        ("user", "a\nb"),
    ]
    assert reply["milieu"]["culture"] is None
    assert not reply["milieu"]["steered"]


def test_the_callers_system_prompt_stands_after_ours(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Rhyme."},
        *ASKED,
    ]
    fields = {"messages": messages, "culture": "DE", "method": "persona+icl", "k": 2}
    reply = client.post(PATH, json=body_of(**fields)).json()

    (role, system), *rest = sent_messages(fake)
    assert role == "system"
    assert system.startswith("Speak as a person with a German cultural background.")
    assert system.endswith("\n\nBe brief.\n\nRhyme.")
    assert all(e["question"] in system for e in reply["milieu"]["exemplars"])
    assert len(reply["milieu"]["exemplars"]) == 2
    assert rest == [("user", NEIGHBOURS)]


def test_all_turns_are_kept_and_the_last_of_the_user_is_looked_up(
    client: httpx.Client, fake: FakeVllm
) -> None:
    messages = [
        {"role": "user", "content": FAR},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": RELIGION},
    ]
    reply = client.post(PATH, json=body_of(messages=messages, culture="DE")).json()
    alone = client.post(PATH, json=body_of(messages=messages[-1:], culture="DE")).json()

    assert sent_messages(fake)[0][0] == "system"
    assert [
        [(m["role"], m["content"]) for m in chat.body["messages"]][1:] for chat in fake.chats
    ] == [
        [("user", FAR), ("assistant", "No."), ("user", RELIGION)],
        [("user", RELIGION)],
    ]
    assert keys(reply["milieu"]["exemplars"]) == keys(alone["milieu"]["exemplars"])


def test_a_chat_about_nothing_near_is_not_steered(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [{"role": "user", "content": FAR}]
    reply = client.post(PATH, json=body_of(messages=messages, culture="DE")).json()

    assert sent_messages(fake) == [("user", FAR)]
    assert not reply["milieu"]["steered"]
    assert "near enough" in reply["milieu"]["not_steered_because"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("evidence", [False, True])
def test_the_evidence_can_be_switched_off(
    client: httpx.Client, stream: bool, evidence: bool
) -> None:
    fields = {"culture": "DE", "stream": stream, "evidence": evidence}
    reply = client.post(PATH, json=body_of(**fields))

    replies = chunks_of(reply.text) if stream else [reply.json()]
    assert ["milieu" in chunk for chunk in replies] == [evidence] + [False] * (len(replies) - 1)


def test_a_stream_is_of_openais_chunks_and_ends_in_done(client: httpx.Client) -> None:
    reply = client.post(PATH, json=body_of(stream=True))

    assert reply.headers["content-type"].startswith("text/event-stream")
    chunks = chunks_of(reply.text)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all(chunk["choices"] for chunk in chunks)


def test_usage_comes_with_a_stream_where_it_is_asked_for(client: httpx.Client) -> None:
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    last = chunks_of(client.post(PATH, json=body_of(**fields)).text)[-1]

    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("wanted", [True, False])
def test_counts_that_come_with_the_last_words_get_a_chunk_of_their_own(
    client: httpx.Client, fake: FakeVllm, wanted: bool
) -> None:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    words = [
        head | {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}
        for text, reason in (("Yes", None), (" it is", "stop"))
    ]
    words[-1]["usage"] = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    lines = [*map(json.dumps, words), "[DONE]"]
    fake.script(Scripted(raw="".join(f"data: {line}\n\n" for line in lines).encode()))
    fields = {"stream": True, "stream_options": {"include_usage": wanted}}

    *said, last = chunks_of(client.post(PATH, json=body_of(**fields)).text)

    assert not any(chunk.get("usage") for chunk in said)
    assert bool(last["choices"]) != wanted
    assert last.get("usage", {}).get("completion_tokens") == (2 if wanted else None)


def test_values_that_are_null_count_as_left_out(client: httpx.Client, fake: FakeVllm) -> None:
    names = ("max_tokens", "temperature", "top_p", "n", "seed", "stop", "stream", "user")
    reply = client.post(PATH, json={"model": "fake", "messages": ASKED} | dict.fromkeys(names))

    assert reply.status_code == 200, reply.text
    assert set(fake.chats[-1].body) == {"model", "messages", "n", "stream"}


def test_only_fields_of_the_allow_list_reach_vllm(client: httpx.Client, fake: FakeVllm) -> None:
    every = {
        "max_completion_tokens": 3,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["\n", "###"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 2,
        "n": 2,
        "response_format": {"type": "json_object", "secret": 1},
    }
    ours = {"culture": "DE", "method": "icl", "k": 1, "exemplar_style": "mode"}
    ignored = {
        "user": "someone",
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "auto",
        "parallel_tool_calls": True,
        "reasoning_effort": "low",
        "tools": [],
        "tool_choice": "none",
        "logit_bias": None,
    }
    reply = client.post(PATH, json=body_of(**every, **ours, **ignored))

    assert reply.status_code == 200, reply.text
    sent = fake.chats[-1].body
    assert sent.pop("messages")
    assert sent == {
        "model": "fake",
        "max_tokens": 3,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["\n", "###"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 2,
        "n": 2,
        "response_format": {"type": "json_object"},
        "stream": False,
    }


def test_a_bare_request_sends_no_more_than_it_must(client: httpx.Client, fake: FakeVllm) -> None:
    client.post(PATH, json={"model": "fake", "messages": ASKED, "stop": "###"})

    sent = fake.chats[-1].body
    assert set(sent) == {"model", "messages", "n", "stop", "stream"}
    assert sent["stop"] == ["###"]
    assert "authorization" not in fake.chats[-1].headers


def test_n_choices_come_back(client: httpx.Client) -> None:
    reply = client.post(PATH, json=body_of(n=3, logprobs=True)).json()

    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert all(choice["logprobs"]["content"] for choice in reply["choices"])
    assert reply["usage"]["completion_tokens"] == 12


def nested(n_levels: int) -> Any:
    """Return lists and objects in one another, so many."""
    value: Any = 1
    for level in range(n_levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_a_schema_may_be_deep(client: httpx.Client, fake: FakeVllm) -> None:
    given = SCHEMA | {"json_schema": nested(99)}
    reply = client.post(PATH, json=body_of(response_format=given))

    assert reply.status_code == 200, reply.text
    assert fake.chats[-1].body["response_format"] == given


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"chat_template": "{{ messages }}"}, "chat_template"),
        ({"extra_body": {"top_k": 1}}, "extra_body"),
        ({"chat_template_kwargs": {}}, "chat_template_kwargs"),
        ({"top_k": 5}, "top_k"),
        ({"cache_salt": "x"}, "cache_salt"),
        ({"structured_outputs": {"choice": ["a"]}}, "structured_outputs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logit_bias": {"1": 100}}, "logit_bias"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"nonsense": 1}, "nonsense"),
        ({"x" * 5000: 1}, "xxx"),
        ({"response_format": {"type": "xml"}}, "xml"),
        ({"response_format": {"type": "\ud800"}}, "response_format"),
        ({"response_format": SCHEMA | {"json_schema": {"const": "\ud800"}}}, "surrogate"),
        ({"response_format": SCHEMA | {"json_schema": {"\ud800": 1}}}, "surrogate"),
        ({"response_format": SCHEMA | {"json_schema": [math.inf]}}, "Infinity"),
        ({"response_format": SCHEMA | {"json_schema": math.nan}}, "NaN"),
        ({"response_format": SCHEMA | {"json_schema": nested(100)}}, "100 levels"),
        ({"response_format": SCHEMA | {"json_schema": nested(850)}}, "100 levels"),
        ({"stop": ["a", "\ud800"]}, "surrogate"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "x"}]}, "assistant"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"n": 9}, "body.n"),
        ({"n": 0}, "body.n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "5 stops"),
        ({"k": 0}, "body.k"),
        ({"method": "tarot"}, "persona"),
        ({"model": 1}, "model"),
    ],
)
def test_what_is_not_served_is_refused_in_openais_form(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any], said: str
) -> None:
    data = json.dumps(body_of(**fields))
    reply = client.post(PATH, content=data, headers={"Content-Type": "application/json"})

    assert reply.status_code == 400
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]
    assert len(error["message"]) < 1000
    assert fake.chats == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "GET", "url": PATH}, 405),
        ({"method": "POST", "url": PATH, "content": b"{"}, 400),
        ({"method": "POST", "url": PATH, "content": b"model=fake"}, 415),
        ({"method": "POST", "url": PATH, "content": b"x" * 300_000}, 413),
        ({"method": "GET", "url": "/v1/models/none"}, 404),
    ],
)
def test_every_error_on_openais_paths_has_openais_form(
    client: httpx.Client, request_: dict[str, Any], status: int
) -> None:
    headers = {} if status == 415 else {"Content-Type": "application/json"}
    reply = client.request(**request_, headers=headers)

    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_a_prompt_that_vllm_refuses_is_a_bad_request(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "word " * 4000}]
    reply = client.post(PATH, json=body_of(messages=messages))

    assert reply.status_code == 400
    assert "maximum context length is 16384" in reply.json()["error"]["message"]


def test_a_steered_prompt_that_cannot_fit_is_a_bad_request(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": f"{RELIGION} " * 450}]
    body = body_of(messages=messages, culture="DE", method="persona", steer="always")
    reply = client.post(PATH, json=body)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "context_length_exceeded"


def test_a_follow_up_is_looked_up_with_what_was_said_before(client: httpx.Client) -> None:
    messages = [
        {"role": "user", "content": "How much do you trust the police?"},
        {"role": "assistant", "content": "Quite a lot."},
        {"role": "user", "content": "Why?"},
    ]

    alone = client.post(PATH, json=body_of(culture="DE", messages=messages[-1:])).json()["milieu"]
    after = client.post(PATH, json=body_of(culture="DE", messages=messages)).json()["milieu"]

    assert not alone["steered"]
    assert after["steered"]
    assert "police" in after["exemplars"][0]["question"]


def test_a_chat_is_timed_step_by_step(client: httpx.Client) -> None:
    def n_timed(step: str) -> float:
        return counted(client.get("/metrics").text, "milieu_step_seconds_count", step=step)

    before = n_timed("evidence"), n_timed("answer")
    client.post(PATH, json=body_of(culture="DE"))

    assert (n_timed("evidence"), n_timed("answer")) == (before[0] + 1, before[1] + 1)
