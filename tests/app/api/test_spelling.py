"""A slash too many and HEAD are read as other servers read them."""

from __future__ import annotations

import httpx
import pytest

from tests.app.service import RELIGION, opened
from tests.fakes.vllm import MODEL, FakeVllm
from tests.fixtures.service import MakeSettings

MESSAGES = [{"role": "user", "content": RELIGION}]


def test_a_slash_at_the_end_changes_nothing(client: httpx.Client) -> None:
    body = {"model": f"{MODEL}@DE", "messages": MESSAGES, "max_tokens": 2}

    chat = client.post("/v1/chat/completions/", json=body)
    answer = client.get("/answer/", params={"culture": "DE", "question": RELIGION})

    assert chat.status_code == 200
    assert answer.json()["source"] == "survey"
    assert client.get("/v1/nothing/").status_code == 404


async def test_a_slash_at_the_end_opens_nothing(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys=("mine",))) as client:
        for path in ("/v1/adapters/", "/v1/cultures/", "/v1/adapters//", "/metrics/"):
            assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/cultures/DE", "/livez", "/metrics"])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)

    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    # The connection is as good as before.
    assert client.get("/livez").status_code == 200


def test_head_of_what_is_not_there_says_so(client: httpx.Client, fake: FakeVllm) -> None:
    assert client.head("/nothing").status_code == 404
    assert client.head("/answer").status_code == 405
    assert not fake.chats
