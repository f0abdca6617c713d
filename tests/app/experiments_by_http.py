"""An experiment as its clients see it: defined, started, asked, given feedback to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from tests.app.service import RELIGION

KEY = "of-the-tests"
ADMIN = {"Authorization": f"Bearer {KEY}"}
NAME = "ways"
PATH = f"/v1/experiments/{NAME}"
METHODS = ("plain", "persona", "icl", "persona+icl")
DEFINITION: dict[str, Any] = {
    "name": NAME,
    "hypothesis": "Evidence helps.",
    "primary": {
        "metric": "helpful",
        "kind": "proportion",
        "direction": "higher",
        "smallest_effect": 0.05,
    },
    "arms": {method: {"method": method} for method in METHODS},
    "control": "plain",
}
PATIENCE_S = 30.0


async def administer(
    client: httpx.AsyncClient, method: str, path: str, **body: Any
) -> dict[str, Any]:
    """Return what an admin route says, which must not refuse."""
    reply = await client.request(method, path, json=body, headers=ADMIN)
    assert reply.is_success, reply.text
    said: dict[str, Any] = reply.json()
    return said


async def start(client: httpx.AsyncClient, *others: httpx.AsyncClient) -> None:
    """Define the experiment and let it run; return when the other gateways follow."""
    await administer(client, "POST", "/v1/experiments", **DEFINITION)
    await administer(client, "POST", f"{PATH}/start", allow_unsent=True)
    for other in others:
        await until(partial(is_running, other))


async def is_running(client: httpx.AsyncClient) -> bool:
    """Return whether the experiment decides there, by an answer to nobody in particular."""
    return (await ask(client, ""))["experiment"] is not None


async def ask(client: httpx.AsyncClient, user: str) -> dict[str, Any]:
    """Return an answer to `user`."""
    body = {"question": RELIGION, "culture": "DE", "user": user}
    reply = await client.post("/answer", json=body)
    assert reply.status_code == 200, reply.text
    said: dict[str, Any] = reply.json()
    return said


async def arm_of(client: httpx.AsyncClient, user: str) -> str:
    """Return the arm that answers `user`."""
    arm: str = (await ask(client, user))["experiment"]["arm"]
    return arm


async def give_feedback(client: httpx.AsyncClient, answer: dict[str, Any]) -> httpx.Response:
    """Say that an answer helped."""
    body = {"answer_id": answer["id"], "metric": "helpful", "value": True}
    return await client.post("/v1/feedback", json=body)


async def report(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the experiment's report, but for when it was made."""
    said = await administer(client, "GET", f"{PATH}/report")
    del said["at_ms"]
    return said


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110  # there is nothing to wait on
            await asyncio.sleep(0.05)
