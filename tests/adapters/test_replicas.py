"""Each replica is brought to the versions that are held, and kept there, by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import replica
from adapters.errors import AdapterError, AdapterLoadFailed
from adapters.hot_swap import HotSwap
from adapters.replica import LoraServer
from tests.adapters.test_hot_swap import FOLDER, PaperServer, swap, use


class Server(PaperServer):
    """One that may refuse, wait or start anew; `n_verified` counts canaries per version."""

    def __init__(self, url: str = "a") -> None:
        super().__init__(url)
        self.refuses: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.hangs = False
        self.run = 1
        self.n_verified: dict[str, int] = {}

    async def loaded(self) -> frozenset[str]:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().loaded()

    async def load(self, name: str, path: Path) -> None:
        await self.gate.wait()
        if name in self.refuses:
            raise AdapterLoadFailed(name, reason="no room on the device")
        await super().load(name, path)

    def restart(self) -> None:
        super().restart()
        self.run += 1


def checked(*servers: Server, **options: object) -> HotSwap:
    by_url = {server.url: server for server in servers}

    async def verify(server: LoraServer, name: str) -> None:
        assert name in by_url[server.url].has
        counts = by_url[server.url].n_verified
        counts[name] = counts.get(name, 0) + 1

    async def identify(server: LoraServer) -> str | None:
        return str(by_url[server.url].run)

    return swap(*servers, verify=verify, identify=identify, **options)


def ready(hot: HotSwap, name: str) -> set[str] | None:
    found = hot.find_ready(name)
    return None if found is None else set(found)


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_one_that_cannot_load_a_version_keeps_no_other_from_answering() -> None:
    able, unable = Server("able"), Server("unable")
    unable.refuses.add("de@2")
    hot = checked(able, unable)
    await use(hot, "de@1")

    await use(hot, "de@2")

    assert ready(hot, "de@1") == {"able", "unable"}
    assert ready(hot, "de@2") == {"able"}
    assert "no room on the device" in hot.replicas[1].failures["de@2"].reason
    # It is left alone for a while.
    unable.refuses.clear()
    await hot.reconcile()
    assert ready(hot, "de@2") == {"able"}


async def test_one_that_could_not_load_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "COOLDOWN_S", 0.0)
    able, unable = Server("able"), Server("unable")
    unable.refuses.add("de@1")
    hot = checked(able, unable)
    await use(hot, "de@1")

    unable.refuses.clear()
    await hot.reconcile()

    assert ready(hot, "de@1") == {"able", "unable"}
    assert not hot.replicas[1].failures


async def test_what_none_can_load_is_refused_and_held_nowhere() -> None:
    servers = Server("a"), Server("b")
    for server in servers:
        server.refuses.add("de@1")
    hot = checked(*servers)

    with pytest.raises(AdapterError, match="no room on the device"):
        await use(hot, "de@1")

    assert ready(hot, "de@1") is None
    assert hot.loaded == ()


async def test_a_slow_one_is_not_waited_for_and_gets_there_by_itself() -> None:
    quick, slow = Server("quick"), Server("slow")
    slow.gate.clear()
    hot = checked(quick, slow, grace_s=0.01)

    await asyncio.wait_for(use(hot, "de@1"), 2.0)
    assert ready(hot, "de@1") == {"quick"}
    slow.gate.set()
    await until(lambda: ready(hot, "de@1") == {"quick", "slow"})

    assert slow.n_verified == {"de@1": 1}


async def test_what_a_slow_one_loads_after_it_was_retired_goes_again() -> None:
    quick, slow = Server("quick"), Server("slow")
    slow.gate.clear()
    hot = checked(quick, slow, grace_s=0.01)
    await use(hot, "de@1")

    retiring = asyncio.create_task(hot.retire("de@1"))
    await asyncio.sleep(0.02)
    # From here on nobody is sent there, though it is on its way.
    assert not ready(hot, "de@1")
    slow.gate.set()
    await retiring
    await until(lambda: not slow.has)

    assert (ready(hot, "de@1"), quick.has) == (None, {})


async def test_a_restart_is_noticed_even_where_another_process_loaded_the_version_since() -> None:
    server, other = Server("a"), Server("b")
    hot = checked(server, other)
    await use(hot, "de@1")

    server.restart()
    server.has["de@1"] = FOLDER
    await hot.replicas[0].look()
    assert ready(hot, "de@1") == {"b"}


async def test_a_version_that_is_said_to_be_missing_is_asked_for_elsewhere_and_proven_anew() -> (
    None
):
    servers = Server("a"), Server("b")
    hot = checked(*servers)
    await use(hot, "de@1")
    tending = asyncio.create_task(hot.tend(30.0))
    await asyncio.sleep(0.02)

    servers[0].restart()
    hot.lose("de@1", "a")
    assert ready(hot, "de@1") == {"b"}
    # It is looked at now, not after the interval.
    await asyncio.wait_for(tending, 2.0)
    await hot.reconcile()

    assert ready(hot, "de@1") == {"a", "b"}
    assert servers[0].n_verified == {"de@1": 2}


async def test_one_that_is_down_is_passed_over_while_another_answers() -> None:
    up, down = Server("up"), Server("down")
    hot = checked(up, down)
    await use(hot, "de@1")

    down.is_down = True
    await hot.reconcile()
    assert ready(hot, "de@1") == {"up"}
    assert hot.replicas[1].reach.is_reachable is False
    # With both gone each may be the first to come back.
    up.is_down = True
    await hot.reconcile()
    assert ready(hot, "de@1") == {"up", "down"}


async def test_one_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "PROBE_S", 0.05)
    hanging, restarted = Server("hanging"), Server("restarted")
    hot = checked(hanging, restarted)
    await use(hot, "de@1")

    hanging.hangs = True
    restarted.restart()
    await hot.tend(0.01)
    await until(lambda: set(restarted.has) == {"de@1"})
    await until(lambda: hot.replicas[0].reach.is_reachable is False)

    assert ready(hot, "de@1") == {"restarted"}
    await hot.close()
