"""`/v1/answers/{id}` has what was answered, in whatever way, for the key that asked alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.app.api.test_bad_input import check_problem
from tests.app.service import RELIGION, RELIGION_KEY, events, opened
from tests.fakes.vllm import MODEL
from tests.fixtures.service import MakeSettings

CHAT = {"model": f"{MODEL}@DE", "messages": [{"role": "user", "content": RELIGION}]}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_there_as_it_was_given(client: httpx.Client, stream: bool) -> None:
    body = {"question": RELIGION, "culture": "DE", "stream": stream}
    reply = client.post("/answer", json=body)
    answer = events(reply.text)[-1].data if stream else reply.json()

    assert client.get(f"/v1/answers/{answer['id']}").json() == answer


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_has_its_evidence_there(client: httpx.Client, stream: bool) -> None:
    # As for a client that drops extra fields.
    reply = client.post("/v1/chat/completions", json=CHAT | {"stream": stream, "evidence": False})
    first = reply.text.split("\n\n")[0].removeprefix("data: ") if stream else reply.text
    chat: dict[str, Any] = json.loads(first)
    assert "milieu" not in chat

    evidence = client.get(f"/v1/answers/{chat['id']}").json()

    shown = client.post("/v1/chat/completions", json=CHAT).json()["milieu"]
    assert evidence == shown | {"id": chat["id"]}
    assert evidence["known"]["question_key"] == RELIGION_KEY


def test_the_id_that_openais_client_keeps_is_enough(client: httpx.Client) -> None:
    openai = OpenAI(base_url=f"{client.base_url}/v1", api_key="unused")
    messages: Any = CHAT["messages"]
    with openai:
        chat = openai.chat.completions.create(model=f"{MODEL}@DE", messages=messages)

    assert client.get(f"/v1/answers/{chat.id}").json()["culture"]["code"] == "DEU"


@pytest.mark.parametrize("answer_id", ["ans_0", "x", "%00", "ans_" + "0" * 32])
def test_what_nobody_was_given_is_not_there(client: httpx.Client, answer_id: str) -> None:
    problem = check_problem(client.get(f"/v1/answers/{answer_id}"), 404, "MILIEU_ANSWER__N_RECENT")

    assert problem["type"] == "urn:milieu:problem:answer-not-kept"


async def test_another_key_finds_no_more_than_an_unknown_id_does(
    make_settings: MakeSettings,
) -> None:
    body = {"question": RELIGION, "culture": "DE"}
    own, other, admin = ({"X-API-Key": key} for key in ("first", "second", "root"))
    async with opened(make_settings(api_keys="first,second", admin_keys="root")) as client:
        answer_id = (await client.post("/answer", json=body, headers=own)).json()["id"]
        path = f"/v1/answers/{answer_id}"

        bearer = {"Authorization": "Bearer first", "X-API-Key": "second-hand"}
        for headers in (own, bearer):
            assert (await client.get(path, headers=headers)).json()["id"] == answer_id
        unknown = await client.get("/v1/answers/ans_x", headers=other)
        for headers in (other, admin, other | {"Authorization": "Bearer third"}):
            refused = await client.get(path, headers=headers)
            assert refused.status_code == 404
            detail = refused.json()["detail"].replace(answer_id, "ans_x")
            assert detail == unknown.json()["detail"]
        assert (await client.get(path)).status_code == 401


async def test_where_none_is_kept_the_reply_says_how_many(make_settings: MakeSettings) -> None:
    async with opened(make_settings(answer={"n_recent": 0})) as client:
        reply = await client.post("/answer", json={"question": RELIGION, "culture": "DE"})
        answer_id = reply.json()["id"]

        check_problem(await client.get(f"/v1/answers/{answer_id}"), 404, "The last 0 answers")
