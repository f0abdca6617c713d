"""Who answers where the model has a reader: it does what tells of a people, the model the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.service import RELIGION, opened, settings_for
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer

READER = "fake-reader"
CHAT = "/v1/chat/completions"


@pytest.fixture
async def client(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path
) -> AsyncIterator[httpx.AsyncClient]:
    fake.adapters[READER] = "/reader"
    vllm = {"urls": (fake_server.url,), "model": fake.model, "reader": READER}
    async with opened(settings_for(fake_server.url, cache_folder, vllm=vllm)) as client:
        yield client
    fake.adapters.clear()


def asked_models(fake: FakeVllm) -> set[str]:
    return {chat.body["model"] for chat in fake.chats}


@pytest.mark.parametrize(
    ("said", "culture", "method", "model"),
    [
        (RELIGION, "DE", "icl", READER),
        (RELIGION, "DE", "persona+icl", READER),
        (RELIGION, "DE", "plain", "fake"),
        (RELIGION, None, "icl", "fake"),
        ("What is the capital of France?", "DE", "icl", "fake"),
    ],
    ids=["told", "told in a role", "plain", "of no people", "not about values"],
)
async def test_a_chat_that_is_told_of_a_people_is_the_readers(
    client: httpx.AsyncClient,
    fake: FakeVllm,
    said: str,
    culture: str | None,
    method: str,
    model: str,
) -> None:
    body: dict[str, Any] = {"model": fake.model, "messages": [{"role": "user", "content": said}]}
    body |= {} if culture is None else {"culture": culture, "method": method}

    reply = await client.post(CHAT, json=body)

    assert reply.status_code == 200, reply.text
    assert asked_models(fake) == {model}
    assert reply.json()["model"].partition("@")[0] == fake.model


@pytest.mark.parametrize(("method", "model"), [("icl", READER), ("persona", "fake")])
async def test_shares_are_read_by_who_answers(
    client: httpx.AsyncClient, fake: FakeVllm, method: str, model: str
) -> None:
    asked = {"question": RELIGION, "culture": "DE", "method": method, "answer_from": "model"}

    answer = (await client.post("/answer", json=asked)).json()

    assert asked_models(fake) == {model}
    assert answer["model"]["name"] == model
