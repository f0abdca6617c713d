import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.errors import AdapterLoadFailed, AdaptersBusy, LoraServerSilent
from adapters.hot_swap import HotSwap, LoraServer

FOLDER = Path("adapters")


class PaperServer:
    """Has what it is told to load; it may be down, and forget everything when it comes back."""

    def __init__(self, url: str = "a") -> None:
        self.url = url
        self.has: dict[str, Path] = {}
        self.is_down = False
        self.n_calls = 0
        self.most = 0

    async def loaded(self) -> frozenset[str]:
        await self._answer()
        return frozenset(self.has)

    async def load(self, name: str, path: Path) -> None:
        await self._answer()
        assert name not in self.has, f"{name} is loaded a second time"
        self.has[name] = path
        self.most = max(self.most, len(self.has))

    async def unload(self, name: str) -> None:
        await self._answer()
        self.has.pop(name, None)

    def restart(self) -> None:
        self.has.clear()
        self.is_down = False

    async def _answer(self) -> None:
        self.n_calls += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise LoraServerSilent(self.url, "refused")


def swap(*servers: PaperServer, **options: object) -> HotSwap:
    return HotSwap(servers, locate=lambda name: FOLDER / name, **options)  # type: ignore[arg-type]


async def use(hot: HotSwap, name: str) -> None:
    async with hot.lease(name):
        pass


async def test_a_leased_version_is_on_every_server() -> None:
    servers = PaperServer("a"), PaperServer("b")

    async with swap(*servers).lease("de@1"):
        assert [server.has for server in servers] == [{"de@1": FOLDER / "de@1"}] * 2


async def test_what_is_loaded_is_not_loaded_again() -> None:
    server = PaperServer()
    hot = swap(server)

    await asyncio.gather(*(use(hot, "de@1") for _ in range(20)))

    assert (server.n_calls, hot.counts.n_loads) == (1, 1)


async def test_the_least_recently_used_makes_room() -> None:
    server = PaperServer()
    hot = swap(server, capacity=2)

    for name in ("a@1", "b@1", "a@1", "c@1"):
        await use(hot, name)

    assert set(server.has) == {"a@1", "c@1"}
    assert hot.loaded == ("a@1", "c@1")
    assert (hot.counts.n_loads, hot.counts.n_evictions) == (3, 1)


async def test_what_is_in_use_is_not_evicted() -> None:
    server = PaperServer()
    hot = swap(server, capacity=2)

    async with hot.lease("a@1"):
        await use(hot, "b@1")
        await use(hot, "c@1")
        assert set(server.has) == {"a@1", "c@1"}


async def test_a_request_waits_for_room() -> None:
    server = PaperServer()
    hot = swap(server, capacity=1)

    async with hot.lease("a@1"):
        waiting = asyncio.create_task(use(hot, "b@1"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    await waiting

    assert set(server.has) == {"b@1"}


async def test_waiting_for_room_has_an_end() -> None:
    hot = swap(PaperServer(), capacity=1, wait_s=0.01)

    async with hot.lease("a@1"):
        with pytest.raises(AdaptersBusy, match="All 1 adapters"):
            await use(hot, "b@1")
    await use(hot, "b@1")


async def test_who_waits_for_room_together_waits_no_longer_than_one() -> None:
    hot = swap(PaperServer(), capacity=1, wait_s=0.2)
    loop = asyncio.get_running_loop()

    async with hot.lease("a@1"):
        started = loop.time()
        found = await asyncio.gather(*(use(hot, "b@1") for _ in range(10)), return_exceptions=True)
        assert all(isinstance(error, AdaptersBusy) for error in found)
        assert loop.time() - started < 1.0


async def test_a_load_that_fails_fails_once_for_all_who_wait_for_it() -> None:
    n_verified = 0

    async def verify(server: LoraServer, name: str) -> None:
        nonlocal n_verified
        n_verified += 1
        await asyncio.sleep(0)
        if n_verified == 1:
            raise AdapterLoadFailed(name, reason="once")

    hot = swap(PaperServer(), verify=verify)

    found = await asyncio.gather(*(use(hot, "a@1") for _ in range(10)), return_exceptions=True)
    assert all(isinstance(error, AdapterLoadFailed) for error in found)
    assert n_verified == 1
    # Who comes later is no part of it.
    await use(hot, "a@1")


async def test_a_repair_that_is_left_leaves_nothing_unverified() -> None:
    server = PaperServer()
    is_stuck, is_verifying = False, asyncio.Event()

    async def verify(_: LoraServer, name: str) -> None:
        if is_stuck:
            is_verifying.set()
            await asyncio.Event().wait()

    hot = swap(server, verify=verify)
    await use(hot, "a@1")
    server.restart()
    is_stuck = True
    repairing = asyncio.create_task(hot.restore("a@1"))
    await is_verifying.wait()
    repairing.cancel()
    await asyncio.gather(repairing, return_exceptions=True)

    assert not server.has
    is_stuck = False
    assert await hot.restore("a@1")
    assert set(server.has) == {"a@1"}


async def test_a_retired_version_goes_when_its_last_request_is_done() -> None:
    server = PaperServer()
    hot = swap(server)

    async with hot.lease("de@1"):
        retiring = asyncio.create_task(hot.retire("de@1"))
        await use(hot, "de@2")
        await asyncio.sleep(0.01)
        assert set(server.has) == {"de@1", "de@2"}
    await retiring

    assert set(server.has) == {"de@2"}


async def test_a_server_that_never_had_any_is_not_looked_at() -> None:
    """An idle service would ask it again and again."""
    server = PaperServer()
    hot = swap(server)

    await hot.reconcile()
    assert server.n_calls == 0

    await use(hot, "a@1")
    n_calls = server.n_calls
    await hot.reconcile()
    assert server.n_calls > n_calls


async def test_a_version_that_was_never_loaded_is_retired_at_once() -> None:
    await swap(PaperServer()).retire("de@1")


async def test_what_is_found_wrong_is_unloaded_everywhere_and_not_served() -> None:
    servers = PaperServer("a"), PaperServer("b")

    async def verify(server: LoraServer, name: str) -> None:
        if server.url == "b" and name == "bad@1":
            raise ValueError("no effect")

    hot = swap(*servers, verify=verify)
    await use(hot, "good@1")

    with pytest.raises(ValueError, match="no effect"):
        await use(hot, "bad@1")

    assert [set(server.has) for server in servers] == [{"good@1"}] * 2
    assert hot.loaded == ("good@1",)


async def test_what_a_server_fell_silent_over_is_not_left_on_it_unverified() -> None:
    servers = PaperServer("a"), PaperServer("b")
    n_asked = 0

    async def verify(server: LoraServer, name: str) -> None:
        nonlocal n_asked
        if server.url == "b":
            n_asked += 1
            if n_asked == 1:
                raise LoraServerSilent("b", "timeout")

    hot = swap(*servers, verify=verify)
    await use(hot, "de@1")
    assert [set(server.has) for server in servers] == [{"de@1"}, set()]
    await hot.reconcile()

    assert n_asked == 2
    assert set(servers[1].has) == {"de@1"}


async def test_a_retired_version_that_is_wanted_again_stays() -> None:
    server = PaperServer()
    hot = swap(server)
    is_wanted = False

    async with hot.lease("de@1"):
        retiring = asyncio.create_task(hot.retire("de@1", is_wanted=lambda: is_wanted))
        await asyncio.sleep(0.01)
        is_wanted = True
    await retiring

    assert set(server.has) == {"de@1"}


async def test_one_silent_server_does_not_stop_the_others() -> None:
    up, down = PaperServer("up"), PaperServer("down")
    down.is_down = True
    hot = swap(up, down)

    await use(hot, "de@1")
    down.restart()
    await hot.reconcile()

    assert set(down.has) == {"de@1"}
    assert hot.counts.n_repairs == 1


async def test_without_any_server_there_is_nothing_to_lease() -> None:
    server = PaperServer()
    server.is_down = True
    hot = swap(server)

    with pytest.raises(LoraServerSilent):
        await use(hot, "de@1")
    server.restart()
    await use(hot, "de@1")


async def test_a_restarted_server_gets_its_adapters_back() -> None:
    server = PaperServer()
    hot = swap(server)
    for name in ("a@1", "b@1"):
        await use(hot, name)

    server.restart()
    await hot.reconcile()

    assert set(server.has) == {"a@1", "b@1"}


async def test_strays_of_ours_are_cleared_and_others_left_alone() -> None:
    server = PaperServer()
    hot = swap(server, capacity=1)
    await use(hot, "old@1")
    server.is_down = True
    await hot.retire("old@1")
    server.is_down = False
    await use(hot, "new@1")
    server.has["of-another-service@1"] = FOLDER
    assert "old@1" in server.has

    await hot.reconcile()

    assert set(server.has) == {"new@1", "of-another-service@1"}


async def test_what_another_process_loads_after_us_is_left_alone() -> None:
    server = PaperServer()
    ours, theirs = swap(server), swap(server)
    await use(ours, "de@1")
    await ours.retire("de@1")
    await use(theirs, "de@1")

    await ours.reconcile()

    assert set(server.has) == {"de@1"}


async def test_a_stray_that_a_restart_cleared_is_not_ours_when_another_process_loads_it() -> None:
    server = PaperServer()
    ours, theirs = swap(server), swap(server)
    await use(ours, "de@1")
    server.is_down = True
    await ours.retire("de@1")
    server.restart()
    await ours.reconcile()
    await use(theirs, "de@1")

    await ours.reconcile()

    assert set(server.has) == {"de@1"}


async def test_what_a_lost_answer_left_loaded_is_cleared() -> None:
    server = PaperServer()

    async def verify(_: LoraServer, name: str) -> None:
        server.is_down = True
        raise LoraServerSilent(server.url, "timeout")

    hot = swap(server, verify=verify)
    with pytest.raises(LoraServerSilent):
        await use(hot, "de@1")
    server.is_down = False
    assert set(server.has) == {"de@1"}

    await hot.reconcile()

    assert not server.has


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_comes_a_leased_version_is_there(seed: int) -> None:
    """Many requests for more versions than fit, with retirements and repairs in between."""
    rng, server = random.Random(seed), PaperServer()
    hot = swap(server, capacity=4)
    names = [f"v{i}@1" for i in range(10)]

    async def request() -> None:
        name = rng.choice(names)
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        async with hot.lease(name):
            for _ in range(rng.randrange(6)):
                assert name in server.has
                await asyncio.sleep(0)

    async def meddle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
            what: Callable[[], object] = rng.choice([lambda: rng.choice(names), lambda: None])
            name = what()
            await (hot.reconcile() if name is None else hot.retire(str(name)))

    await asyncio.wait_for(asyncio.gather(meddle(), *(request() for _ in range(200))), 20)

    assert server.most <= 4
    assert set(server.has) == set(hot.loaded)
    counts = hot.counts
    assert counts.n_loads == counts.n_unloads + len(hot.loaded)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_swap_needs_room(capacity: int) -> None:
    with pytest.raises(ValueError, match="room for"):
        swap(PaperServer(), capacity=capacity)
