"""What is active changes in one step, whatever fails, is cancelled or is done elsewhere."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base_model import AdapterBase
from adapters.errors import (
    AdapterAmbiguous,
    AdapterFault,
    AdapterForOthers,
    AdapterInUse,
    AdapterLoadFailed,
    AdapterRefused,
    AdaptersBusy,
    AdapterUnknown,
    LoraServerSilent,
    NothingToRollBack,
)
from adapters.hot_swap import HotSwap
from adapters.manifest import CONFIG, AdapterFacts
from adapters.pool import Lease, ServedWeights, WeightsPool
from adapters.registry import AdapterRegistry
from adapters.serving import AdapterServing
from adapters.verification import Verifier
from survey_data.cultures import read_catalogue
from tests.adapters.loras import BASE_NAME, lora_tensors, write_lora
from tests.adapters.servers import AnsweringServer

CATALOGUE = read_catalogue()
GERMANY, JAPAN = CATALOGUE["DEU"], CATALOGUE["JPN"]


class House:
    """A registry, a server, and the adapters live on it; `pool` is what requests see."""

    def __init__(
        self,
        folder: Path,
        base: AdapterBase,
        *,
        server: AnsweringServer | None = None,
        capacity: int = 8,
    ) -> None:
        self.folder, self.base = folder, base
        self.server = server or AnsweringServer()
        self.registry = AdapterRegistry(folder / "registry")
        verifier = Verifier(
            self.registry, base, catalogue=CATALOGUE, canary_server=lambda url: self.server
        )
        self.hot = HotSwap(
            [self.server],
            locate=verifier.locate,
            verify=verifier.verify,
            capacity=capacity,
            wait_s=0.05,
        )
        self.live = AdapterServing(self.registry, self.hot, verifier)
        self.pool = WeightsPool(BASE_NAME, self.live)

    def add(self, seed: int, cultures: Sequence[str] = ("DEU",), *, name: str = "german") -> str:
        source = write_lora(self.folder / f"source-{seed}", lora_tensors(self.base, seed=seed))
        manifest = self.registry.add(
            source,
            base=self.base,
            max_rank=8,
            name=name,
            cultures=cultures,
            about=AdapterFacts(method="random"),
        )
        return manifest.version_name

    def delete_files(self, version: str) -> None:
        path = self.registry.path(version)
        path.chmod(0o755)
        shutil.rmtree(path)

    async def asked(self, code: str = "DEU", wanted: str = "auto") -> Lease:
        async with self.pool.lease(CATALOGUE[code], wanted) as leased:
            return leased

    async def answers(self, code: str = "DEU") -> str | None:
        return (await self.asked(code)).weights.adapter

    async def settled(self) -> None:
        """Wait until what was retired is unloaded, where nobody holds it."""
        await until(lambda: set(self.server.has) == set(self.live.active.values()))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self.live.watch(0.01))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self.live.close()


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.fixture
async def house(tmp_path: Path, base: AdapterBase) -> AsyncIterator[House]:
    house = House(tmp_path, base)
    await house.live.open()
    yield house
    await house.live.close()


async def test_an_activated_adapter_is_loaded_verified_and_answers(house: House) -> None:
    version = house.add(1)

    assert await house.live.activate(version) == ("DEU",)

    assert house.live.active == {"DEU": version}
    assert house.registry.active() == {"DEU": version}
    leased = await house.asked()
    assert leased.weights == ServedWeights(version, version, BASE_NAME)
    assert (leased.unavailable_because, leased.notes) == (None, ())
    assert house.server.n_loads == {version: 1}
    state = await house.live.state("german")
    assert (state.cultures, state.is_loaded) == (("DEU",), True)
    assert state.effect_nat is not None
    assert state.effect_nat > 0.1


async def test_the_alias_is_switched_when_the_new_version_is_there_and_not_before(
    house: House,
) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)

    house.server.gate.clear()
    activating = asyncio.create_task(house.live.activate(new))
    await until(lambda: new in house.server.n_loads)
    assert await house.answers() == old
    assert house.registry.active() == {"DEU": old}
    house.server.gate.set()
    await activating

    assert await house.answers() == new
    await house.settled()


async def test_a_request_finishes_on_the_version_that_it_was_given(house: House) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)

    async with house.pool.lease(GERMANY, "auto") as leased:
        await house.live.activate(new)
        assert await house.answers() == new
        await asyncio.sleep(0.02)
        assert leased.weights.model == old
        assert set(house.server.has) == {old, new}
    await house.settled()

    assert set(house.server.has) == {new}


async def test_one_that_is_active_again_before_it_was_unloaded_stays(house: House) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)

    async with house.pool.lease(GERMANY, "auto"):
        await house.live.activate(new)
        assert await house.live.rollback("DEU") == old
    await asyncio.sleep(0.02)

    assert set(house.server.has) == {old}
    assert house.server.n_loads == {old: 1, new: 1}


@pytest.mark.parametrize(
    ("ill", "error"), [("refuses", AdapterLoadFailed), ("idle", AdapterRefused)]
)
async def test_what_cannot_be_loaded_or_verified_changes_nothing(
    house: House, ill: str, error: type[Exception]
) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)
    getattr(house.server, ill).add(new)

    with pytest.raises(error):
        await house.live.activate(new)

    assert house.registry.active() == house.live.active == {"DEU": old}
    assert await house.asked() == Lease(ServedWeights(old, old, BASE_NAME))
    assert set(house.server.has) == {old}
    assert house.registry.states()["DEU"] == (old,)


async def test_a_joint_adapter_is_active_for_all_of_its_cultures_or_for_none(house: House) -> None:
    joint = house.add(1, ["DEU", "JPN"], name="joint")

    with pytest.raises(AdapterForOthers, match="not for 'KEN'"):
        await house.live.activate(joint, ["DEU", "KEN"])
    assert house.live.active == house.registry.active() == {}

    assert await house.live.activate("joint") == ("DEU", "JPN")
    assert house.live.active == {"DEU": joint, "JPN": joint}
    await house.live.deactivate("JPN")
    assert await house.answers("JPN") is None
    assert await house.answers("DEU") == joint
    assert set(house.server.has) == {joint}


async def test_one_for_any_culture_needs_to_be_told_which(house: House) -> None:
    anyones = house.add(1, [], name="any")

    with pytest.raises(AdapterForOthers, match="'all cultures'"):
        await house.live.activate(anyones)
    assert await house.live.activate(anyones, ["KEN"]) == ("KEN",)
    assert await house.answers("KEN") == anyones


async def test_a_culture_that_no_catalogue_knows_is_no_fault(house: House) -> None:
    version = house.add(1, ["DEU", "XXX"])

    assert await house.live.activate(version) == ("DEU", "XXX")
    assert await house.answers() == version


async def test_rolling_back_goes_to_what_was_before(house: House) -> None:
    first, second = house.add(1), house.add(2)
    await house.live.activate(first)
    await house.live.activate(second)

    assert await house.live.rollback("DEU") == first
    assert await house.answers() == first
    await house.settled()
    assert await house.live.rollback("DEU") is None
    assert await house.answers() is None
    with pytest.raises(NothingToRollBack):
        await house.live.rollback("DEU")


async def test_rolling_back_to_what_cannot_be_loaded_changes_nothing(house: House) -> None:
    first, second = house.add(1), house.add(2)
    await house.live.activate(first)
    await house.live.activate(second)
    await house.settled()
    house.server.refuses.add(first)

    with pytest.raises(AdapterLoadFailed):
        await house.live.rollback("DEU")

    assert house.registry.active() == {"DEU": second}
    assert await house.answers() == second
    house.server.refuses.clear()
    # It rests, but who rolls back wants it tried.
    assert await house.live.rollback("DEU") == first
    assert await house.answers() == first


async def test_a_deactivated_adapter_comes_back_by_rolling_back(house: House) -> None:
    version = house.add(1)
    await house.live.activate(version)

    await house.live.deactivate("DEU")
    assert (await house.asked()).unavailable_because == "no adapter is active for Germany"
    await house.settled()
    assert house.server.has == {}

    assert await house.live.rollback("DEU") == version
    assert await house.answers() == version


async def test_removing_waits_for_who_uses_it_and_gives_it_to_nobody_else(house: House) -> None:
    old, new = house.add(1), house.add(2, name="other")
    await house.live.activate(new)
    house.server.refuses.add(new)

    async with house.pool.lease(GERMANY, old):
        removing = asyncio.create_task(house.live.remove("german"))
        await asyncio.sleep(0.02)
        assert house.registry.path(old).is_dir()
        with pytest.raises(AdapterUnknown):
            await house.asked(wanted=old)
        with pytest.raises(AdapterUnknown):
            await house.live.remove(old)
        with pytest.raises(AdapterUnknown):
            await house.live.activate(old)
        # Nor does anything else wait.
        await asyncio.wait_for(house.live.deactivate("DEU"), 1.0)
    assert await removing == old

    assert old not in house.server.has
    assert [entry.name for entry in house.registry.entries()] == ["other"]
    with pytest.raises(AdapterUnknown):
        await house.live.state(old)


async def test_what_a_service_before_this_one_left_on_a_server_goes_before_its_files(
    house: House,
) -> None:
    version = house.add(1)
    house.server.has[version] = house.registry.path(version)

    await house.live.remove(version)

    assert house.server.has == {}
    assert house.registry.entries() == ()


async def test_what_is_active_is_not_removed(house: House) -> None:
    version = house.add(1)
    await house.live.activate(version)

    with pytest.raises(AdapterInUse, match="active for DEU"):
        await house.live.remove(version)

    assert await house.answers() == version


async def test_what_was_made_for_another_base_can_be_seen_and_removed_not_activated(
    house: House, base: AdapterBase, tmp_path: Path
) -> None:
    version = house.add(1)
    changed = House(tmp_path, replace(base, sha256="0" * 64))

    with pytest.raises(AdapterRefused, match="base-model"):
        await changed.live.activate(version)
    assert (await changed.live.state(version)).manifest.version_name == version
    assert await changed.live.remove(version) == version


async def test_files_that_are_gone_before_the_load_leave_the_previous_one(house: House) -> None:
    old, new, damaged = house.add(1), house.add(2), house.add(3)
    await house.live.activate(old)
    house.delete_files(new)
    path = house.registry.path(damaged)
    path.chmod(0o755)
    (path / CONFIG).unlink()

    with pytest.raises(AdapterUnknown):
        await house.live.activate(new)
    with pytest.raises(AdapterRefused) as refused:
        await house.live.activate(damaged)

    assert refused.value.reason is AdapterFault.FILE_MISSING
    assert await house.answers() == old
    assert set(house.server.has) == {old}


async def test_with_its_files_gone_and_the_server_restarted_the_version_before_answers(
    house: House,
) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)
    await house.live.activate(new)
    await house.settled()
    house.delete_files(new)
    # What is loaded needs no files.
    assert await house.answers() == new

    house.server.restart()
    async with house.watched():
        await until(lambda: new not in house.hot.loaded)
        leased = await house.asked()

    assert leased.weights.adapter == old
    assert leased.notes == (f"{new} could not be loaded",)


async def test_what_cannot_be_loaded_is_not_tried_at_every_request(house: House) -> None:
    version = house.add(1)
    house.registry.activate(["DEU"], version)
    await house.live.open()
    house.server.refuses.add(version)

    for _ in range(5):
        assert (await house.asked()).unavailable_because == f"{version} could not be loaded"
        with pytest.raises(AdapterLoadFailed):
            await house.asked(wanted=version)
    assert house.server.n_loads == {version: 1}

    house.server.refuses.clear()
    await house.live.activate(version)
    assert await house.answers() == version


async def test_another_processs_activation_is_followed(
    house: House, base: AdapterBase, tmp_path: Path
) -> None:
    there = House(tmp_path, base, server=AnsweringServer("http://b"))
    first, second = house.add(1), house.add(2)
    await there.live.open()
    async with there.watched():
        await house.live.activate(first)
        await until(lambda: there.live.active == {"DEU": first})
        # Loaded ahead of the first request.
        assert set(there.server.has) == {first}
        await house.live.activate(second)
        await until(lambda: there.live.active == {"DEU": second})
        await there.settled()
        await house.live.deactivate("DEU")
        await until(lambda: there.live.active == {})
        await there.settled()


async def test_what_cannot_be_followed_stops_nothing_else(
    house: House, base: AdapterBase, tmp_path: Path
) -> None:
    there = House(tmp_path, base, server=AnsweringServer("http://b"))
    german, newer = house.add(1), house.add(2)
    japanese = house.add(3, ["JPN"], name="japanese")
    await house.live.activate(german)
    await there.live.open()
    assert await there.answers() == german
    there.server.refuses.add(newer)
    async with there.watched():
        await house.live.activate(newer)
        await house.live.activate(japanese)
        await until(lambda: there.live.active == {"DEU": newer, "JPN": japanese})
        await asyncio.sleep(0.05)

        leased = await there.asked()
        assert leased.weights.adapter == german
        assert leased.notes == (f"{newer} could not be loaded",)
        assert await there.answers("JPN") == japanese
        # Nor was it tried at every look, or the one before it unloaded.
        assert there.server.n_loads == {german: 1, newer: 1, japanese: 1}


async def test_what_is_activated_while_another_look_is_taken_waits_for_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    german, newer = house.add(1), house.add(2)
    await house.live.activate(german)
    house.server.refuses.add(newer)
    read = house.registry.states

    def read_just_before_it_changes() -> Mapping[str, tuple[str | None, ...]]:
        states = read()
        if house.registry.active() == {"DEU": german}:
            house.registry.activate(["DEU"], newer)
        return states

    monkeypatch.setattr(house.registry, "states", read_just_before_it_changes)
    async with house.watched():
        await until(lambda: house.live.active == {"DEU": newer})
        await asyncio.sleep(0.05)

        assert await house.answers() == german
        assert house.server.n_loads == {german: 1, newer: 1}


async def test_a_named_adapter_of_another_culture_is_refused(house: House) -> None:
    version = house.add(1)

    with pytest.raises(AdapterForOthers, match="is for DEU, not for 'JPN'"):
        await house.asked("JPN", version)
    assert (await house.asked("DEU", "german")).weights.adapter == version
    house.add(2)
    with pytest.raises(AdapterAmbiguous):
        await house.asked("DEU", "german")


async def test_without_room_auto_falls_and_a_name_is_refused(
    tmp_path: Path, base: AdapterBase
) -> None:
    house = House(tmp_path, base, capacity=1)
    german, japanese = house.add(1), house.add(2, ["JPN"], name="japanese")
    older = house.add(3)
    house.registry.activate(["DEU"], older)
    house.registry.activate(["DEU"], german)
    await house.live.open()

    async with house.pool.lease(JAPAN, japanese):
        # It is not waited for room for each version before it as well.
        assert (await house.asked()).unavailable_because == f"there was no room for {german}"
        with pytest.raises(AdaptersBusy, match="All 1 adapters"):
            await house.asked(wanted=german)
        with pytest.raises(AdaptersBusy):
            await house.live.activate(german)
    assert await house.answers() == german


async def test_without_a_server_it_is_said(house: House) -> None:
    version = house.add(1)
    house.server.is_down = True

    with pytest.raises(LoraServerSilent):
        await house.live.activate(version)
    assert house.live.active == {}
    house.server.restart()
    await house.live.activate(version)
    assert await house.answers() == version


async def test_a_server_that_comes_back_gets_its_adapters_within_moments(house: House) -> None:
    version = house.add(1)
    await house.live.activate(version)
    async with house.watched():
        house.server.is_down = True
        await asyncio.sleep(0.03)
        house.server.restart()
        await until(lambda: set(house.server.has) == {version})


async def test_a_base_that_answers_otherwise_after_a_restart_is_not_served(house: House) -> None:
    version = house.add(1)
    await house.live.activate(version)
    house.server.turned = True
    house.server.restart()
    await house.hot.reconcile()

    assert (await house.asked()).unavailable_because == f"{version} could not be loaded"
    assert house.server.has == {}


async def test_a_damaged_list_of_what_is_active_does_not_end_the_watch(house: House) -> None:
    version = house.add(1)
    await house.live.activate(version)
    file = house.registry.folder / "active.json"
    written = file.read_bytes()
    async with house.watched():
        file.write_bytes(b"{")
        await asyncio.sleep(0.03)
        assert await house.answers() == version
        file.write_bytes(written)
        house.server.restart()
        await until(lambda: set(house.server.has) == {version})


def _changes(house: House, old: str, new: str) -> dict[str, Callable[[], object]]:
    return {
        "activate": lambda: house.live.activate(new),
        "deactivate": lambda: house.live.deactivate("DEU"),
        "rollback": lambda: house.live.rollback("DEU"),
        "remove": lambda: house.live.remove(new),
    }


@pytest.mark.parametrize("change", ["activate", "deactivate", "rollback", "remove"])
@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_who_leaves_amid_a_change_leaves_it_whole(
    house: House, change: str, n_steps: int
) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)
    if change == "rollback":
        await house.live.activate(new)
    expected = {
        "activate": {"DEU": new},
        "deactivate": {},
        "rollback": {"DEU": old},
        "remove": {"DEU": old},
    }[change]

    asking = asyncio.ensure_future(_changes(house, old, new)[change]())  # type: ignore[call-overload]
    for _ in range(n_steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    if n_steps:
        await until(lambda: house.registry.active() == house.live.active == expected)
        if change == "remove":
            await until(lambda: new not in [e.version_name for e in house.registry.entries()])
    await house.live.close()

    # Never one without the other, and never more than what is active.
    assert house.registry.active() == house.live.active
    assert await house.answers() == house.live.active.get("DEU")


async def test_who_leaves_amid_a_load_lets_others_in(house: House) -> None:
    version = house.add(1)
    house.registry.activate(["DEU"], version)
    await house.live.open()
    house.server.gate.clear()
    leaving = [asyncio.create_task(house.answers()) for _ in range(3)]
    staying = asyncio.create_task(house.answers())
    await until(lambda: version in house.server.n_loads)
    for task in leaving:
        task.cancel()
    house.server.gate.set()

    assert await staying == version
    await asyncio.gather(*leaving, return_exceptions=True)
    assert house.hot.loaded == (version,)


async def test_closing_waits_for_a_change_and_not_for_requests(house: House) -> None:
    old, new = house.add(1), house.add(2)
    await house.live.activate(old)
    async with AsyncExitStack() as held:
        await held.enter_async_context(house.pool.lease(GERMANY, "auto"))
        activating = asyncio.create_task(house.live.activate(new))
        await asyncio.sleep(0)
        await asyncio.wait_for(house.live.close(), 2.0)

        assert await activating == ("DEU",)
        assert house.registry.active() == {"DEU": new}
