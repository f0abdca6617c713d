"""Three replicas under load: swaps, a kill, one that cannot load; every answer by its version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.registry import AdapterRegistry
from app.settings import Settings
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import NEIGHBOURS, RELIGION, served
from tests.fakes.simulator import SimulatedReplica, replicas
from tests.fakes.vllm import FakeVllm

ADMIN = {"X-API-Key": "root"}
QUESTIONS = (RELIGION, NEIGHBOURS)
OPTIONS = ("A great deal", "Quite a lot", "Not very much", "Not at all")
N_CLIENTS = 6


class Gateway:
    """A client of a service on several replicas."""

    def __init__(
        self, client: httpx.AsyncClient, settings: Settings, simulated: list[SimulatedReplica]
    ) -> None:
        self.client, self.settings, self.replicas = client, settings, simulated
        self.expected: dict[tuple[str, str], list[float]] = {}
        self.answers: list[str] = []
        self.failed: list[str] = []
        self.wrong: list[str] = []

    async def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        body = {"question": question, "culture": "DE", "method": "adapter", "options": OPTIONS}
        body |= {"answer_from": "model"} | fields
        reply = await self.client.post("/answer", json=body, headers=ADMIN)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def learn(self, *versions: str) -> None:
        for question in QUESTIONS:
            for version in versions:
                reply = await self.ask(question, adapter=version)
                self.expected[question, version] = shares(reply)

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        asking = [asyncio.create_task(self._ask_for_ever(i)) for i in range(N_CLIENTS)]
        try:
            yield
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask_for_ever(self, first: int) -> None:
        for i in range(first, 1_000_000):
            question = QUESTIONS[i % len(QUESTIONS)]
            try:
                reply = await self.ask(question)
            except (AssertionError, httpx.HTTPError) as exc:
                self.failed.append(repr(exc))
                continue
            named = reply["adapter"]
            self.answers.append(named)
            if self.expected.get((question, named)) != shares(reply):
                self.wrong.append(f"{named}: {reply}")

    async def answered(self, n: int) -> None:
        """Wait until `n` more answers have come."""
        wanted = len(self.answers) + n
        async with asyncio.timeout(20.0):
            while len(self.answers) < wanted:  # noqa: ASYNC110  # it is but a count
                await asyncio.sleep(0.01)

    async def activate(self, version: str) -> None:
        path, body = f"/v1/adapters/{version}/activate", {"cultures": ["DE"]}
        reply = await self.client.post(path, json=body, headers=ADMIN)
        assert reply.status_code == 200, reply.text

    async def states(self, version: str) -> dict[str, tuple[str, str]]:
        """Return how far each replica is with `version`, by its name, and why no further."""
        reply = await self.client.get("/v1/adapters/status", headers=ADMIN)
        assert reply.status_code == 200, reply.text
        return {
            replica["replica"]: (of["state"], of["reason"])
            for replica in reply.json()["replicas"]
            for of in replica["versions"]
            if of["version_name"] == version
        }

    async def until(self, version: str, is_so: Callable[[set[str]], bool]) -> None:
        deadline = time.monotonic() + 20.0
        while not is_so({state for state, _ in (await self.states(version)).values()}):
            assert time.monotonic() < deadline, await self.states(version)
            await asyncio.sleep(0.02)

    async def metrics(self) -> str:
        return (await self.client.get("/metrics", headers=ADMIN)).text


def shares(reply: dict[str, Any]) -> list[float]:
    return [option["share"] for option in reply["shares"]]


@pytest.fixture
def simulated() -> Iterator[list[SimulatedReplica]]:
    with replicas(*(FakeVllm(max_model_len=16384) for _ in range(3))) as simulated:
        yield simulated


@pytest.fixture
def settings(simulated: list[SimulatedReplica], cache_folder: Path, tmp_path: Path) -> Settings:
    urls = tuple(replica.url for replica in simulated)
    settings = adapter_settings(urls[0], cache_folder, tmp_path, admin_keys="root")
    return settings.model_copy(update={"vllm": settings.vllm.model_copy(update={"urls": urls})})


@asynccontextmanager
async def open_gateway(
    settings: Settings, simulated: list[SimulatedReplica]
) -> AsyncIterator[Gateway]:
    with served(settings) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as client:
            yield Gateway(client, settings, simulated)


async def test_no_request_notices_swaps_kills_and_a_replica_that_cannot_load(
    simulated: list[SimulatedReplica], settings: Settings
) -> None:
    killed, unable, _ = simulated
    async with open_gateway(settings, simulated) as gateway:
        one, two = (add_adapter(settings, "german", ["DEU"], seed=seed) for seed in (1, 2))
        await gateway.learn(one, two)
        assert gateway.expected[RELIGION, one] != gateway.expected[RELIGION, two]
        await gateway.activate(one)
        async with gateway.under_load():
            for version in (two, one):
                await gateway.activate(version)
            killed.kill()
            for version in (two, one, two):
                await gateway.activate(version)
            await gateway.until(two, lambda states: states == {"missing", "ready"})
            killed.start()
            # Nobody tells the gateway.
            await gateway.until(two, lambda states: states == {"ready"})
            assert set(killed.fake.adapters) == {two}
            unable.fake.refuses.add(one)
            await gateway.activate(one)
            await gateway.answered(20)
            states = await gateway.states(one)
            metrics = await gateway.metrics()

    assert not gateway.failed
    assert not gateway.wrong
    assert set(gateway.answers) == {one, two}
    failed, why = states.pop(name := unable.url.removeprefix("http://"))
    assert (failed, set(states.values())) == ("failed", {("ready", "")})
    assert "No adapter found" in why
    assert f'milieu_adapter_ready{{replica="{name}",version="{one}"}} 0.0' in metrics
    assert metrics.count(f'version="{one}"}} 1.0') == 2
    assert metrics.count("milieu_replica_reachable{") == 3


async def test_what_is_active_is_on_every_replica_before_it_is_asked_for(
    simulated: list[SimulatedReplica], settings: Settings
) -> None:
    version = add_adapter(settings, "german", ["DEU"])
    AdapterRegistry(settings.adapters_folder).activate(["DEU"], version)

    async with open_gateway(settings, simulated) as gateway:
        await gateway.until(version, lambda states: states == {"ready"})

    assert all(set(replica.fake.adapters) == {version} for replica in simulated)
