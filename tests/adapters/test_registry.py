from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters.base_model import AdapterBase
from adapters.errors import (
    AdapterFault,
    AdapterForOthers,
    AdapterInUse,
    AdapterRefused,
    AdapterTaken,
    AdapterUnknown,
    AdapterUnverified,
    NothingToRollBack,
    RegistryBusy,
    RegistryInvalid,
)
from adapters.folders import SharedFolder
from adapters.manifest import CONFIG, MANIFEST, WEIGHTS, AdapterFacts, AdapterManifest, Canary
from adapters.registry import AdapterRegistry
from prompting.messages import Message
from tests.adapters.loras import BASE_NAME, Tensors, key, lora_config, lora_tensors, write_lora

Q0 = "model.layers.0.self_attn.q_proj"
CANARY = Canary((Message("user", "1 or 2?"),), ("1", "2"), (-0.5, -1.0), (-1.25, -0.25))
# Not forked: a fork would share the locks that the parent holds.
SPAWN = multiprocessing.get_context("spawn")
DEADLINE_S = 60.0


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "registry")


class Adds:
    """Makes adapters that differ by a seed, and adds them."""

    def __init__(self, registry: AdapterRegistry, base: AdapterBase, folder: Path) -> None:
        self.registry = registry
        self.base = base
        self.folder = folder

    def __call__(
        self, seed: int = 0, *, name: str = "german", cultures: tuple[str, ...] = ("DEU",)
    ) -> AdapterManifest:
        source = write_lora(self.folder / f"{seed}", lora_tensors(self.base, seed=seed))
        return self.registry.add(
            source,
            base=self.base,
            max_rank=8,
            name=name,
            cultures=cultures,
            about=AdapterFacts("test"),
        )


@pytest.fixture
def add(registry: AdapterRegistry, base: AdapterBase, tmp_path: Path) -> Adds:
    return Adds(registry, base, tmp_path / "sources")


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder but the lock, which holds nothing."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def make_writable(folder: Path) -> None:
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RegistryInvalid, match=r"file/adapters: .*Set MILIEU_DATA_FOLDER"):
        AdapterRegistry(tmp_path / "file" / "adapters")


def test_an_added_adapter_is_listed_with_its_manifest(registry: AdapterRegistry, add: Adds) -> None:
    manifest = add(1)

    assert registry.entries() == (manifest,)
    assert registry.get(manifest.version_name) == manifest
    assert manifest.version_name == f"german@{manifest.version}"
    assert (manifest.base_model, manifest.rank, manifest.alpha) == (BASE_NAME, 4, 16.0)
    assert manifest.base_sha256 is not None
    assert manifest.cultures == ("DEU",)
    assert manifest.about.method == "test"


def test_its_files_are_those_that_were_given(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    manifest = registry.add(lora, base=base, max_rank=8, name="german")

    path = registry.path(manifest.version_name)
    assert path.is_absolute()
    assert {file.name for file in path.iterdir()} == {CONFIG, WEIGHTS, "README.md", MANIFEST}
    assert (path / WEIGHTS).read_bytes() == (lora / WEIGHTS).read_bytes()


def test_an_entry_is_read_only(registry: AdapterRegistry, add: Adds) -> None:
    path = registry.path(add().version_name)

    modes = [stat.S_IMODE(file.stat().st_mode) for file in (path, *path.iterdir())]
    assert modes == [0o555, 0o444, 0o444, 0o444, 0o444]


def test_adding_the_same_again_changes_nothing(registry: AdapterRegistry, add: Adds) -> None:
    manifest = add(1)
    before = everything(registry.folder)

    assert add(1) == manifest
    assert everything(registry.folder) == before


def test_other_weights_are_another_version(registry: AdapterRegistry, add: Adds) -> None:
    assert add(1).version != add(2).version
    assert len(registry.entries()) == 2


def test_the_same_weights_for_other_cultures_need_another_name(
    registry: AdapterRegistry, add: Adds
) -> None:
    manifest = add(1)

    with pytest.raises(AdapterTaken, match="with other cultures"):
        add(1, cultures=("AUT",))

    assert registry.entries() == (manifest,)
    assert add(1, name="austrian", cultures=("AUT",)).version == manifest.version


def test_what_was_published_comes_along(
    registry: AdapterRegistry, add: Adds, base: AdapterBase, tmp_path: Path
) -> None:
    published = add(1)
    other = AdapterRegistry(tmp_path / "other")

    given = AdapterFacts(licence="MIT", canaries=(CANARY,))
    manifest = other.add(registry.path(published.version_name), base=base, max_rank=8, about=given)

    assert manifest == replace(
        published, about=replace(published.about, licence="MIT", canaries=(CANARY,))
    )


def test_where_an_adapter_was_taken_from_does_not_make_it_another(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    first = registry.add(
        lora, base=base, max_rank=8, name="a", about=AdapterFacts(source="org/a@1")
    )

    assert registry.add(lora, base=base, max_rank=8, name="a") == first


@pytest.mark.parametrize("name", [None, "", "../up", "German", "a/b", "a@b", "a" * 64, ".adding-a"])
def test_a_bad_name_is_refused(
    registry: AdapterRegistry, base: AdapterBase, lora: Path, name: str | None
) -> None:
    with pytest.raises(AdapterRefused) as caught:
        registry.add(lora, base=base, max_rank=8, name=name)

    assert caught.value.reason is AdapterFault.NAME
    assert not everything(registry.folder)


def test_a_bad_culture_is_refused(registry: AdapterRegistry, base: AdapterBase, lora: Path) -> None:
    with pytest.raises(AdapterRefused) as caught:
        registry.add(lora, base=base, max_rank=8, name="german", cultures=["DE"])

    assert caught.value.reason is AdapterFault.MANIFEST
    assert not everything(registry.folder)


def pickled(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))


def linked(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "outside")
    (folder / WEIGHTS).symlink_to(folder.parent / "outside")


def pointing_outside(folder: Path) -> None:
    hashes = {"../secret": "0" * 64}
    manifest = {
        "schema_version": 1, "name": "bad", "version": "0" * 8, "base_model": BASE_NAME,
        "base_sha256": None, "rank": 4, "alpha": 16, "target_modules": ["q_proj"],
        "cultures": [], "sha256": hashes,
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest))


def of_another_version(folder: Path) -> None:
    pointing_outside(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"] = {WEIGHTS: "0" * 64, CONFIG: "0" * 64}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def truncated(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, 5000)


def with_config(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / CONFIG).write_text(json.dumps(lora_config() | changes))

    return damage


def with_tensors(change: Callable[[Tensors], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (pickled, AdapterFault.PICKLED),
        (linked, AdapterFault.LINK),
        (pointing_outside, AdapterFault.OUTSIDE),
        (of_another_version, AdapterFault.HASH),
        (truncated, AdapterFault.TRUNCATED),
        (with_config(base_model_name_or_path="another"), AdapterFault.BASE_MODEL),
        (with_config(r=64), AdapterFault.RANK),
        (with_config(use_dora=True), AdapterFault.UNSUPPORTED),
        (with_config(peft_type="IA3"), AdapterFault.NOT_LORA),
        (with_config(r=8), AdapterFault.SHAPE),
        (with_config(target_modules=["q_proj"]), AdapterFault.KEYS_UNEXPECTED),
        (with_config(target_modules=["q_proj", "v_proj", "o_proj"]), AdapterFault.KEYS_MISSING),
        (
            with_tensors(lambda t: t.update({key(Q0, "A"): t[key(Q0, "A")] * np.float32(np.nan)})),
            AdapterFault.NOT_FINITE,
        ),
        (
            with_tensors(lambda t: t.update({k: 0 * v for k, v in t.items() if "lora_B" in k})),
            AdapterFault.NO_EFFECT,
        ),
        (shutil.rmtree, AdapterFault.FOLDER),
    ],
)
def test_a_bad_adapter_is_refused_and_nothing_changes(
    registry: AdapterRegistry,
    add: Adds,
    base: AdapterBase,
    lora: Path,
    damage: Callable[[Path], None],
    reason: AdapterFault,
) -> None:
    registry.activate(["DEU"], add(1).version_name)
    before = everything(registry.folder)
    damage(lora)

    with pytest.raises(AdapterRefused) as caught:
        registry.add(lora, base=base, max_rank=8, name="bad")

    assert caught.value.reason is reason
    assert everything(registry.folder) == before
    assert not list(registry.folder.glob(".adding-*"))


def test_an_oversized_adapter_is_refused(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    with pytest.raises(AdapterRefused) as caught:
        registry.add(lora, base=base, max_rank=8, name="bad", max_bytes=1_000)

    assert caught.value.reason is AdapterFault.OVERSIZED


class Dies(Mapping[str, float]):
    """Metrics that end the process, or only this call, when they are copied."""

    def __init__(self, *, kill: bool) -> None:
        self.kill = kill

    def __getitem__(self, name: str) -> float:
        if self.kill:
            os._exit(9)
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[str]:
        return iter(["score"])

    def __len__(self) -> int:
        return 1


def add_in_process(folder: Path, source: Path, base: AdapterBase, about: AdapterFacts) -> None:
    AdapterRegistry(folder).add(source, base=base, max_rank=8, name="half", about=about)


def test_an_interruption_leaves_nothing(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        add_in_process(registry.folder, lora, base, AdapterFacts(metrics=Dies(kill=False)))

    assert registry.entries() == ()
    assert not list(registry.folder.glob(".adding-*"))


def test_what_a_kill_leaves_is_no_entry_and_is_cleared_by_the_next_change(
    registry: AdapterRegistry, add: Adds, base: AdapterBase, lora: Path
) -> None:
    arguments = (registry.folder, lora, base, AdapterFacts(metrics=Dies(kill=True)))
    process = SPAWN.Process(target=add_in_process, args=arguments)
    process.start()
    process.join(DEADLINE_S)

    assert process.exitcode == 9
    assert len(list(registry.folder.glob(".adding-*"))) == 1
    assert registry.entries() == ()
    manifest = add(1)
    assert registry.entries() == (manifest,)
    assert not list(registry.folder.glob(".adding-*"))


def test_an_adapter_on_its_way_in_is_left_alone(registry: AdapterRegistry, add: Adds) -> None:
    with SharedFolder(registry.folder).receive() as folder:
        (folder / "a").write_text("half")
        add(1)

        assert (folder / "a").exists()
    assert not folder.exists()


def test_the_active_adapter_of_each_culture(registry: AdapterRegistry, add: Adds) -> None:
    german, joint = add(1).version_name, add(2, name="joint", cultures=()).version_name
    registry.activate(["DEU"], german)
    registry.activate(["JPN"], joint)

    assert registry.active() == {"DEU": german, "JPN": joint}
    assert AdapterRegistry(registry.folder).active() == registry.active()


@pytest.mark.parametrize("culture", ["JPN", "DE", "deu", "", "../DEU"])
def test_an_adapter_is_not_activated_for_others(
    registry: AdapterRegistry, add: Adds, culture: str
) -> None:
    german, joint = add(1).version_name, add(2, name="joint", cultures=()).version_name

    with pytest.raises(AdapterForOthers, match="is for DEU"):
        registry.activate([culture], german)
    if culture != "JPN":
        with pytest.raises(AdapterForOthers, match="alpha-3"):
            registry.activate([culture], joint)

    assert registry.active() == {}


@pytest.mark.parametrize(
    "asked",
    ["german@00000000", "german", "", "../german@00000000", "/etc", ".lock", "active.json", "a\0"],
)
def test_what_is_not_in_the_listing_is_unknown(
    registry: AdapterRegistry, add: Adds, asked: str
) -> None:
    add(1)
    for call in (
        registry.path,
        registry.get,
        registry.verify,
        registry.remove,
        registry.canaries,
        lambda name: registry.activate(["DEU"], name),
        lambda name: registry.record_canaries(name, [CANARY]),
    ):
        with pytest.raises(AdapterUnknown):
            call(asked)


def test_a_link_in_the_folder_is_no_entry(registry: AdapterRegistry, lora: Path) -> None:
    (registry.folder / "german@00000000").symlink_to(lora)

    assert registry.entries() == ()
    with pytest.raises(AdapterUnknown):
        registry.path("german@00000000")


def test_rolling_back_returns_to_the_one_before(registry: AdapterRegistry, add: Adds) -> None:
    first, second = add(1).version_name, add(2).version_name
    registry.activate(["DEU"], first)
    registry.activate(["DEU"], second)

    assert registry.rollback("DEU") == first
    assert registry.active() == {"DEU": first}
    assert registry.rollback("DEU") is None
    assert registry.active() == {}
    with pytest.raises(NothingToRollBack):
        registry.rollback("DEU")


def test_a_deactivated_adapter_is_rolled_back_to(registry: AdapterRegistry, add: Adds) -> None:
    first = add(1).version_name
    registry.activate(["DEU"], first)
    registry.deactivate("DEU")

    assert registry.active() == {}
    assert registry.rollback("DEU") == first


def test_rolling_back_to_a_damaged_adapter_changes_nothing(
    registry: AdapterRegistry, add: Adds
) -> None:
    first, second = add(1).version_name, add(2).version_name
    registry.activate(["DEU"], first)
    registry.activate(["DEU"], second)
    shutil.rmtree(registry.path(first))

    with pytest.raises(AdapterUnknown):
        registry.rollback("DEU")

    assert registry.active() == {"DEU": second}


def test_an_active_adapter_is_not_removed(registry: AdapterRegistry, add: Adds) -> None:
    name = add(1).version_name
    registry.activate(["DEU"], name)

    with pytest.raises(AdapterInUse, match="DEU"):
        registry.remove(name)

    assert registry.verify(name).version_name == name


def test_a_removed_adapter_is_gone(registry: AdapterRegistry, add: Adds) -> None:
    first, second = add(1).version_name, add(2).version_name
    registry.activate(["DEU"], first)
    registry.activate(["DEU"], second)
    registry.record_canaries(first, [CANARY])

    registry.remove(first)

    assert [entry.version_name for entry in registry.entries()] == [second]
    assert registry.rollback("DEU") is None
    assert not any(first in name for name in everything(registry.folder))


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, "README.md"])
def test_an_altered_entry_is_noticed_before_it_is_active(
    registry: AdapterRegistry, add: Adds, name: str
) -> None:
    manifest = add(1)
    path = registry.path(manifest.version_name)
    make_writable(path)
    with (path / name).open("ab") as file:
        file.write(b" ")

    for call in (
        lambda: registry.verify(manifest.version_name),
        lambda: registry.activate(["DEU"], manifest.version_name),
    ):
        with pytest.raises(AdapterRefused) as caught:
            call()
        assert caught.value.reason is AdapterFault.HASH
    assert registry.active() == {}


def test_a_file_too_many_is_noticed(registry: AdapterRegistry, add: Adds) -> None:
    name = add(1).version_name
    make_writable(registry.path(name))
    pickled(registry.path(name))

    with pytest.raises(AdapterRefused) as caught:
        registry.verify(name)

    assert caught.value.reason is AdapterFault.PICKLED


def test_a_damaged_manifest_is_named_and_its_entry_can_be_removed(
    registry: AdapterRegistry, add: Adds
) -> None:
    good, bad = add(1).version_name, add(2).version_name
    make_writable(registry.path(bad))
    (registry.path(bad) / MANIFEST).write_text("{}")

    with pytest.raises(RegistryInvalid, match=bad):
        registry.entries()
    registry.remove(bad)

    assert [entry.version_name for entry in registry.entries()] == [good]


def test_the_manifest_of_another_entry_is_noticed(registry: AdapterRegistry, add: Adds) -> None:
    name = add(1).version_name
    registry.path(name).rename(registry.folder / "other@00000000")

    with pytest.raises(RegistryInvalid, match=f"the manifest of {name}"):
        registry.get("other@00000000")


def test_an_unverified_adapter_is_not_activated_where_that_is_asked(
    registry: AdapterRegistry, add: Adds
) -> None:
    name = add(1).version_name

    with pytest.raises(AdapterUnverified):
        registry.activate(["DEU"], name, verified=True)
    registry.record_canaries(name, [CANARY])
    registry.activate(["DEU"], name, verified=True)

    assert registry.canaries(name) == (CANARY,)
    assert registry.active() == {"DEU": name}


def test_an_adapter_that_answers_as_the_base_model_is_not_verified(
    registry: AdapterRegistry, add: Adds
) -> None:
    name = add(1).version_name

    with pytest.raises(AdapterRefused) as caught:
        registry.record_canaries(name, [replace(CANARY, adapter_logprobs=CANARY.base_logprobs)])

    assert caught.value.reason is AdapterFault.NO_EFFECT
    assert registry.canaries(name) == ()


def test_another_effect_than_was_published_is_not_verified(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    about = AdapterFacts(canaries=(CANARY,))
    name = registry.add(lora, base=base, max_rank=8, name="german", about=about).version_name

    with pytest.raises(AdapterRefused) as caught:
        registry.record_canaries(name, [replace(CANARY, adapter_logprobs=(-2.0, -0.1))])
    assert caught.value.reason is AdapterFault.OTHER_EFFECT
    with pytest.raises(ValueError, match="in order"):
        registry.record_canaries(name, [replace(CANARY, labels=("3", "4"))])
    registry.record_canaries(name, [CANARY])


def test_a_verification_needs_canaries(registry: AdapterRegistry, add: Adds) -> None:
    with pytest.raises(ValueError, match="at least one"):
        registry.record_canaries(add(1).version_name, [])


def test_damaged_canaries_are_named(registry: AdapterRegistry, add: Adds) -> None:
    name = add(1).version_name
    registry.record_canaries(name, [CANARY])
    (registry.folder / "canaries" / f"{name}.json").write_text("{}")

    with pytest.raises(RegistryInvalid, match=r"canaries.*json"):
        registry.canaries(name)


def test_a_lock_that_is_held_too_long_is_reported(registry: AdapterRegistry, add: Adds) -> None:
    name = add(1).version_name
    impatient = AdapterRegistry(registry.folder, lock_deadline_s=0.05)

    with SharedFolder(registry.folder).lock(), pytest.raises(RegistryBusy):
        impatient.activate(["DEU"], name)


def swap_in_process(folder: Path, names: list[str], n_times: int) -> None:
    registry = AdapterRegistry(folder)
    for i in range(n_times):
        registry.activate(["DEU"], names[i % len(names)])
        registry.active()


def test_two_processes_that_activate_at_once_both_end_valid(
    registry: AdapterRegistry, add: Adds
) -> None:
    names = [add(seed).version_name for seed in (1, 2)]
    n_times = 40
    processes = [
        SPAWN.Process(target=swap_in_process, args=(registry.folder, names[::step], n_times))
        for step in (1, -1)
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + DEADLINE_S
    while any(process.is_alive() for process in processes) and time.monotonic() < deadline:
        assert set(registry.active().values()) <= set(names)

    for process in processes:
        process.join(DEADLINE_S)
    assert [process.exitcode for process in processes] == [0, 0]
    (active,) = registry.active().values()
    assert registry.verify(active).version_name in names


def test_two_processes_that_add_the_same_leave_one_entry(
    registry: AdapterRegistry, base: AdapterBase, lora: Path
) -> None:
    arguments = (registry.folder, lora, base, AdapterFacts("test"))
    processes = [SPAWN.Process(target=add_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE_S)

    assert [process.exitcode for process in processes] == [0, 0]
    assert len(registry.entries()) == 1
    assert not list(registry.folder.glob(".adding-*"))
