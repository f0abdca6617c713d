"""Processes that share servers: none unloads, or deletes, what another still has loaded."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.base_model import AdapterBase
from adapters.claims import ClaimedServer, VersionClaims
from adapters.errors import AdapterUnknown
from adapters.hot_swap import HotSwap
from adapters.pool import WeightsPool
from adapters.registry import AdapterRegistry
from adapters.serving import AdapterServing
from adapters.verification import Verifier
from survey_data.cultures import read_catalogue
from tests.adapters.loras import BASE_NAME
from tests.adapters.servers import AnsweringServer
from tests.adapters.test_serving import GERMANY, House, until

CATALOGUE = read_catalogue()
WATCH_S = 0.01
HOLDER = """
import asyncio, sys, time
from pathlib import Path
from adapters.claims import VersionClaims
asyncio.run(VersionClaims(Path(sys.argv[1])).take("http://a", "german@1"))
print("held", flush=True)
time.sleep(60)
"""


class Process:
    """What one process of several has: its own view of the registry and the server of `house`."""

    def __init__(self, house: House) -> None:
        registry = AdapterRegistry(house.folder / "registry")
        verifier = Verifier(
            registry, house.base, catalogue=CATALOGUE, canary_server=lambda url: house.server
        )
        claims = VersionClaims(house.folder / "claims")
        server = ClaimedServer(house.server, claims)
        self.hot = HotSwap([server], locate=verifier.locate, verify=verifier.verify, capacity=4)
        self.live = AdapterServing(registry, self.hot, verifier, claims=claims)
        self.pool = WeightsPool(BASE_NAME, self.live)
        self.watching: asyncio.Task[None] | None = None

    async def answers(self) -> str | None:
        async with self.pool.lease(GERMANY, "auto") as leased:
            return leased.weights.adapter

    async def open(self) -> None:
        await self.live.open()
        self.watching = asyncio.create_task(self.live.watch(WATCH_S))

    async def close(self) -> None:
        assert self.watching is not None
        self.watching.cancel()
        await asyncio.gather(self.watching, return_exceptions=True)
        await self.live.close()


@pytest.fixture
def house(tmp_path: Path, base: AdapterBase) -> House:
    return House(tmp_path, base)


@pytest.fixture
async def two(house: House) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        processes = (Process(house), Process(house))
        for each in processes:
            await each.open()
            stack.push_async_callback(each.close)
        yield processes


async def test_what_one_activates_all_answer_with(
    house: House, two: tuple[Process, Process]
) -> None:
    one, other = two
    first, second = house.add(1), house.add(2)
    await one.live.activate(first)
    await until(lambda: other.live.active == {"DEU": first})
    await other.live.activate(second)
    await until(lambda: one.live.active == {"DEU": second})

    assert [await each.answers() for each in two] == [second, second]
    # The last of them to let the first one go unloads it.
    await until(lambda: set(house.server.has) == {second})


async def test_a_version_that_another_process_holds_is_not_unloaded(
    house: House, two: tuple[Process, Process]
) -> None:
    one, other = two
    first, second = house.add(1), house.add(2)
    await one.live.activate(first)
    await until(lambda: other.live.active == {"DEU": first})

    async with other.pool.lease(GERMANY, "auto") as leased:
        assert leased.weights.adapter == first
        await one.live.activate(second)
        await until(lambda: first not in one.hot.loaded)
        await until(lambda: other.live.active == {"DEU": second})
        assert set(house.server.has) == {first, second}
        assert house.server.n_loads[first] == 2  # by each of them, the second time for nothing

    await until(lambda: set(house.server.has) == {second})


async def test_a_removed_version_is_deleted_when_no_process_uses_it_any_more(
    house: House, two: tuple[Process, Process]
) -> None:
    one, other = two
    version = house.add(1)
    folder = house.registry.path(version)

    async with other.pool.lease(GERMANY, version) as leased:
        assert leased.weights.adapter == version
        removing = asyncio.create_task(one.live.remove(version))
        # From now on the other one gives it to nobody.
        await until(lambda: version in other.live._leaving_elsewhere)
        with pytest.raises(AdapterUnknown):
            async with other.live.hold_named(version, None):
                pass
        assert not removing.done()
        assert folder.exists()
        assert version in house.server.has

    assert await removing == version
    assert not folder.exists()
    assert version not in house.server.has


async def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    claims, server = VersionClaims(tmp_path), AnsweringServer("http://a")
    ours = ClaimedServer(server, claims)
    server.has["german@1"] = tmp_path
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    await ours.unload("german@1")
    assert "german@1" in server.has

    holder.kill()
    await holder.wait()
    await ours.unload("german@1")

    assert server.has == {}


async def test_what_is_about_to_be_removed_is_not_loaded(tmp_path: Path) -> None:
    one, other = VersionClaims(tmp_path), VersionClaims(tmp_path)

    with one.leaving("german@1"):
        assert other.list_leaving() == {"german@1"}
        with pytest.raises(AdapterUnknown):
            await other.take("http://a", "german@1")
    await other.take("http://a", "german@1")

    assert other.list_leaving() == frozenset()
