"""A service with experiments on the fake vLLM, and a definition to start with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings
from experiments.events import Exposure
from experiments.stores.event_store import EventStore, open_sqlite
from experiments.stores.schema import TABLES
from tests.app.adapters import adapter_settings
from tests.app.service import RELIGION, opened

ADMIN = {"X-API-Key": "root-of-the-tests"}
NAME = "religion"
DEFINITION: dict[str, Any] = {
    "name": NAME,
    "hypothesis": "Showing how people answered makes answers more helpful.",
    "primary": {
        "metric": "helpful",
        "kind": "proportion",
        "direction": "higher",
        "smallest_effect": 0.05,
    },
    "guardrails": [{"metric": "unreadable", "kind": "proportion", "direction": "lower",
                    "margin": 0.02}],
    "arms": {
        "plain": {"method": "plain"},
        "icl": {"method": "icl", "k": 3},
        "adapter": {"method": "adapter"},
        "both": {"method": "adapter+icl"},
    },
    "control": "plain",
    "testers": ["user:qa"],
}  # fmt: skip


def experiment_settings(url: str, cache_folder: Path, folder: Path, **overrides: Any) -> Settings:
    """Return settings for a vLLM at `url` that takes adapters, with a store in `folder`."""
    folder.mkdir(exist_ok=True)
    of = {"wait_s": 20.0, "refresh_s": 0.05} | overrides.pop("experiments", {})
    admin_keys = ADMIN["X-API-Key"]
    return adapter_settings(
        url, cache_folder, folder, experiments=of, admin_keys=admin_keys, **overrides
    )


class Service:
    """A service, and what its clients and admins ask of it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ask(self, user: str = "", **fields: Any) -> dict[str, Any]:
        """Return an answer to the question of religion in Germany."""
        body = {"question": RELIGION, "culture": "DE", "user": user} | fields
        return await self._done("POST", "/answer", json=body)

    async def chat(self, user: str = "", **fields: Any) -> dict[str, Any]:
        """Return a reply to the same question in a chat."""
        messages = [{"role": "user", "content": RELIGION}]
        body = {"model": "fake@DE", "messages": messages, "user": user} | fields
        return await self._done("POST", "/v1/chat/completions", json=body)

    async def feedback(self, answer_id: str, **fields: Any) -> dict[str, Any]:
        """Return the receipt of an outcome."""
        body = {"answer_id": answer_id, "metric": "helpful", "value": True} | fields
        return await self._done("POST", "/v1/feedback", json=body)

    async def admin(self, method: str, path: str = "", **fields: Any) -> dict[str, Any]:
        """Return what an admin route below `/v1/experiments` says."""
        return await self._done(method, f"/v1/experiments{path}", headers=ADMIN, **fields)

    async def running(self, **fields: Any) -> None:
        """Define and start an experiment, and wait until it decides."""
        definition = DEFINITION | fields
        name = definition["name"]
        await self.admin("POST", json=definition)
        await self.admin("POST", f"/{name}/start", json={"allow_unsent": True})
        deadline = time.monotonic() + 10.0
        while (await self.admin("GET", f"/{name}"))["state"] != "running":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    async def refused(self, status: int, method: str, path: str, **fields: Any) -> str:
        """Return code and detail of the problem that a call is answered with."""
        reply = await self.client.request(method, path, **({"headers": ADMIN} | fields))
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        problem = reply.json()
        return f"{problem['type'].rpartition(':')[2]}: {problem['detail']}"

    async def _done(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        reply = await self.client.request(method, path, **fields)
        assert reply.status_code in (200, 201), reply.text
        found: dict[str, Any] = reply.json()
        return found


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[Service]:
    """Open a service in this loop."""
    async with opened(settings) as client:
        yield Service(client)


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[EventStore]:
    """Open the store of a service as another process would."""
    async with await open_sqlite(settings.events_file) as store:
        yield store


async def exposures(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what was recorded, by answer: the fields of `Exposure`."""
    assert {name for name, _ in TABLES["exposures"]} == set(Exposure.__dataclass_fields__)
    names = [name for name, _ in TABLES["exposures"]]
    async with store_of(settings) as store:
        return {
            row[0]: dict(zip(names, row, strict=True))
            async for rows in store.rows("exposures")
            for row in rows
        }
