from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.base_model import AdapterBase
from adapters.errors import AdapterFault, AdapterRefused
from adapters.inspection import inspect
from adapters.manifest import (
    CONFIG,
    MANIFEST,
    WEIGHTS,
    AdapterFacts,
    AdapterManifest,
    version_of,
    write_manifest,
)
from files.hashes import hash_file
from tests.adapters.loras import (
    Tensors,
    key,
    lora_config,
    lora_tensors,
    write_lora,
)
from tests.tiny_llama import HIDDEN, N_LAYERS

MAX_RANK = 16
Q0 = "model.layers.0.self_attn.q_proj"
Q_TOO_FAR = f"model.layers.{N_LAYERS}.self_attn.q_proj"


def refusal_of(folder: Path, base: AdapterBase, **limits: int) -> AdapterRefused:
    with pytest.raises(AdapterRefused) as caught:
        inspect(folder, base, **{"max_rank": MAX_RANK} | limits)
    return caught.value


def publish(folder: Path, base: AdapterBase, **changes: object) -> None:
    """Write the manifest of a publisher, true but for `changes`."""
    sha256 = {f.name: hash_file(f) for f in folder.iterdir() if f.name != MANIFEST}
    manifest = AdapterManifest(
        schema_version=1,
        name="german",
        version=version_of(sha256),
        base_model=base.name,
        base_sha256=base.sha256,
        rank=4,
        alpha=16.0,
        target_modules=("q_proj", "v_proj"),
        cultures=("DEU",),
        about=AdapterFacts(),
        sha256=sha256,
    )
    write_manifest(folder, replace(manifest, **changes))  # type: ignore[arg-type]  # any field


def test_a_sound_adapter_is_described(lora: Path, base: AdapterBase) -> None:
    found = inspect(lora, base, max_rank=MAX_RANK)

    assert (found.rank, found.alpha, found.target_modules) == (4, 16.0, ("q_proj", "v_proj"))
    assert len(found.modules) == 2 * N_LAYERS
    assert set(found.sha256) == {CONFIG, WEIGHTS, "README.md"}
    assert found.published is None


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_all_linear_layers_may_be_adapted(tmp_path: Path, base: AdapterBase, dtype: str) -> None:
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    tensors = lora_tensors(base, targets=targets, dtype=dtype)
    folder = write_lora(tmp_path / "all", tensors, lora_config(target_modules=targets))

    assert len(inspect(folder, base, max_rank=4).modules) == 7 * N_LAYERS


def test_a_target_may_be_the_end_of_a_name(tmp_path: Path, base: AdapterBase) -> None:
    tensors = {name: array for name, array in lora_tensors(base).items() if "layers.2" in name}
    targets = ["2.self_attn.q_proj", "model.layers.2.self_attn.v_proj"]
    folder = write_lora(tmp_path / "one", tensors, lora_config(target_modules=targets))

    assert len(inspect(folder, base, max_rank=4).modules) == 2


def test_the_card_does_not_make_another_version(lora: Path, base: AdapterBase) -> None:
    before = inspect(lora, base, max_rank=MAX_RANK).version
    (lora / "README.md").write_text("# Said better\n")

    assert inspect(lora, base, max_rank=MAX_RANK).version == before


@pytest.mark.parametrize("name", ["adapter_model.bin", "x.pt", "x.PKL", "x.pickle", "x.ckpt"])
def test_pickled_weights_are_refused_beside_good_ones(
    lora: Path, base: AdapterBase, name: str
) -> None:
    (lora / name).write_bytes(pickle.dumps({}))

    assert refusal_of(lora, base).reason is AdapterFault.PICKLED


def test_other_files_are_refused(lora: Path, base: AdapterBase) -> None:
    (lora / "tokenizer.json").write_text("{}")

    assert refusal_of(lora, base).reason is AdapterFault.FILE_UNEXPECTED


def test_a_folder_within_is_refused(lora: Path, base: AdapterBase) -> None:
    (lora / "README.md").unlink()
    (lora / "README.md").mkdir()

    assert refusal_of(lora, base).reason is AdapterFault.FILE_UNEXPECTED


def test_a_pipe_is_refused(lora: Path, base: AdapterBase) -> None:
    (lora / WEIGHTS).unlink()
    os.mkfifo(lora / WEIGHTS)

    assert refusal_of(lora, base).reason is AdapterFault.FILE_UNEXPECTED


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, "README.md"])
def test_a_file_that_is_a_link_is_refused(
    lora: Path, base: AdapterBase, tmp_path: Path, name: str
) -> None:
    (lora / name).rename(tmp_path / "elsewhere")
    (lora / name).symlink_to(tmp_path / "elsewhere")

    assert refusal_of(lora, base).reason is AdapterFault.LINK


def test_a_folder_that_is_a_link_is_refused(lora: Path, base: AdapterBase, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lora)

    assert refusal_of(tmp_path / "link", base).reason is AdapterFault.LINK


def test_no_folder_is_refused(base: AdapterBase, tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "nowhere", base).reason is AdapterFault.FOLDER


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_a_missing_file_is_named(lora: Path, base: AdapterBase, name: str) -> None:
    (lora / name).unlink()

    refusal = refusal_of(lora, base)

    assert refusal.reason is AdapterFault.FILE_MISSING
    assert name in str(refusal)


def test_a_folder_over_the_limit_is_refused(lora: Path, base: AdapterBase) -> None:
    assert refusal_of(lora, base, max_bytes=1000).reason is AdapterFault.OVERSIZED


def test_a_config_over_the_limit_is_refused_unread(lora: Path, base: AdapterBase) -> None:
    (lora / CONFIG).write_bytes(b" " * (2**20 + 1))

    assert refusal_of(lora, base).reason is AdapterFault.OVERSIZED


def test_a_truncated_file_is_refused(lora: Path, base: AdapterBase) -> None:
    os.truncate(lora / WEIGHTS, (lora / WEIGHTS).stat().st_size // 2)

    assert refusal_of(lora, base).reason is AdapterFault.TRUNCATED


def test_a_rank_over_the_servers_is_refused(lora: Path, base: AdapterBase) -> None:
    refusal = refusal_of(lora, base, max_rank=3)

    assert refusal.reason is AdapterFault.RANK
    assert str(refusal) == (
        "rank: found rank 4; expected at most 3. Start the server with a higher LoRA rank, or "
        "train with a lower one."
    )


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "", None])
def test_an_adapter_for_another_base_model_is_refused(
    lora: Path, base: AdapterBase, name: str | None
) -> None:
    (lora / CONFIG).write_text(json.dumps(lora_config(base_model_name_or_path=name)))

    assert refusal_of(lora, base).reason is AdapterFault.BASE_MODEL


def test_a_base_model_may_have_other_names(lora: Path, base: AdapterBase) -> None:
    (lora / CONFIG).write_text(json.dumps(lora_config(base_model_name_or_path="hub/mini")))

    inspect(lora, replace(base, also_named=("hub/mini",)), max_rank=MAX_RANK)


def drop(name: str) -> Callable[[Tensors], None]:
    def damage(tensors: Tensors) -> None:
        del tensors[name]

    return damage


def rename(name: str, to: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({to: tensors.pop(name)})


def put(name: str, shape: tuple[int, ...], value: float = 1.0) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: np.full(shape, value, np.float32)})


def prefix_lost(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[name.removeprefix("base_model.model.")] = tensors.pop(name)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (drop(key(Q0, "A")), AdapterFault.KEYS_MISSING),
        (drop(key(Q0, "B")), AdapterFault.KEYS_MISSING),
        (prefix_lost, AdapterFault.KEYS_UNEXPECTED),
        (rename(key(Q0, "A"), f"base_model.{Q0}.lora_A.weight"), AdapterFault.KEYS_UNEXPECTED),
        (rename(key(Q0, "A"), key(Q0, "A.default")), AdapterFault.KEYS_UNEXPECTED),
        (put(key(Q_TOO_FAR, "A"), (4, HIDDEN)), AdapterFault.KEYS_UNEXPECTED),
        (
            put(key("model.layers.0.self_attn.k_proj", "A"), (4, HIDDEN)),
            AdapterFault.KEYS_UNEXPECTED,
        ),
        (put(key(Q0, "B"), (HIDDEN, 3)), AdapterFault.SHAPE),
        (put(key(Q0, "B"), (200, 4)), AdapterFault.SHAPE),
        (put(key(Q0, "A"), (HIDDEN, 4)), AdapterFault.SHAPE),
        (put(key(Q0, "A"), (4 * HIDDEN,)), AdapterFault.SHAPE),
        (put(key(Q0, "A"), (4, HIDDEN), np.nan), AdapterFault.NOT_FINITE),
        (put(key(Q0, "B"), (HIDDEN, 4), np.inf), AdapterFault.NOT_FINITE),
    ],
)
def test_damaged_weights_are_refused(
    tmp_path: Path, base: AdapterBase, damage: Callable[[Tensors], None], reason: AdapterFault
) -> None:
    tensors = lora_tensors(base)
    damage(tensors)

    assert refusal_of(write_lora(tmp_path / "bad", tensors), base).reason is reason


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "query", ""])
def test_a_target_that_is_no_linear_module_is_refused(
    tmp_path: Path, base: AdapterBase, target: str
) -> None:
    config = lora_config(target_modules=["q_proj", target])
    folder = write_lora(tmp_path / "bad", lora_tensors(base, targets=["q_proj"]), config)

    assert refusal_of(folder, base).reason is AdapterFault.KEYS_MISSING


def test_who_brings_a_pattern_is_told_to_list_what_it_meets(
    tmp_path: Path, base: AdapterBase
) -> None:
    config = lora_config(target_modules=".*self_attn.(q|v)_proj$")
    folder = write_lora(tmp_path / "pattern", lora_tensors(base), config)

    assert "Write into target_modules the names" in str(refusal_of(folder, base))
    write_lora(folder, lora_tensors(base), lora_config(target_modules=["q_proj", "v_proj"]))
    assert inspect(folder, base, max_rank=4).modules


@pytest.mark.parametrize("side", ["A", "B"])
def test_an_untrained_adapter_has_no_effect(tmp_path: Path, base: AdapterBase, side: str) -> None:
    tensors = lora_tensors(base)
    for name, values in tensors.items():
        if f"lora_{side}" in name:
            values[:] = 0.0

    folder = write_lora(tmp_path / "untrained", tensors)

    assert refusal_of(folder, base).reason is AdapterFault.NO_EFFECT


def test_one_trained_module_is_an_effect(tmp_path: Path, base: AdapterBase) -> None:
    tensors = lora_tensors(base)
    for name, values in tensors.items():
        if "lora_B" in name and Q0 not in name:
            values[:] = 0.0

    inspect(write_lora(tmp_path / "one", tensors), base, max_rank=MAX_RANK)


def test_a_true_manifest_comes_along(lora: Path, base: AdapterBase) -> None:
    publish(lora, base)

    published = inspect(lora, base, max_rank=MAX_RANK).published

    assert published is not None
    assert published.version_name == f"german@{published.version}"


def test_the_hash_of_the_base_model_counts_more_than_its_name(
    lora: Path, base: AdapterBase
) -> None:
    publish(lora, base, base_model="trained/elsewhere")

    inspect(lora, base, max_rank=MAX_RANK)


def test_a_base_model_of_the_same_name_with_other_weights_is_refused(
    lora: Path, base: AdapterBase
) -> None:
    publish(lora, base, base_sha256="0" * 64)

    assert refusal_of(lora, base).reason is AdapterFault.BASE_MODEL


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, "README.md"])
def test_a_file_that_is_not_what_the_manifest_records_is_refused(
    lora: Path, base: AdapterBase, name: str
) -> None:
    publish(lora, base)
    with (lora / name).open("ab") as file:
        file.write(b" ")

    assert refusal_of(lora, base).reason is AdapterFault.HASH


def test_a_file_that_the_manifest_does_not_record_is_refused(lora: Path, base: AdapterBase) -> None:
    publish(lora, base, sha256={WEIGHTS: hash_file(lora / WEIGHTS)})

    assert refusal_of(lora, base).reason is AdapterFault.HASH


def test_another_version_than_that_of_the_files_is_refused(lora: Path, base: AdapterBase) -> None:
    publish(lora, base, version="01234567")

    assert refusal_of(lora, base).reason is AdapterFault.HASH


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/b", "..", ".", "", "a\\b"])
def test_a_path_in_the_manifest_is_refused(lora: Path, base: AdapterBase, path: str) -> None:
    publish(lora, base, sha256={path: "0" * 64})

    assert refusal_of(lora, base).reason is AdapterFault.OUTSIDE


def test_a_manifest_that_is_none_is_refused(lora: Path, base: AdapterBase) -> None:
    (lora / MANIFEST).write_text('{"schema_version": 1}')

    assert refusal_of(lora, base).reason is AdapterFault.MANIFEST


@given(data=st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_a_damaged_file_is_refused_or_still_fits(
    lora: Path, base: AdapterBase, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([WEIGHTS, CONFIG]))
    whole = (lora / name).read_bytes()
    # The header is where the damage matters; after it any bits are some numbers.
    content = bytearray(whole)
    for flip in data.draw(st.lists(st.integers(0, 8 * 2000 - 1), max_size=4)):
        if flip // 8 < len(content):
            content[flip // 8] ^= 1 << flip % 8
    (lora / name).write_bytes(content[: data.draw(st.integers(0, 3000) | st.just(len(content)))])

    try:
        assert inspect(lora, base, max_rank=MAX_RANK).rank <= MAX_RANK
    except AdapterRefused:
        pass
    finally:
        (lora / name).write_bytes(whole)
