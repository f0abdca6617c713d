from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from adapters.base_model import AdapterBase, LinearShape, declare_base_model, read_base_model
from adapters.errors import BaseModelInvalid
from tests.adapters.loras import BASE_NAME
from tests.tiny_llama import HEAD, HIDDEN, INNER, N_LAYERS, tiny_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama(), tmp_path / "base"))


def altered_config(folder: Path, **changes: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def test_every_linear_module_is_found_with_its_shape(base: AdapterBase) -> None:
    last = f"model.layers.{N_LAYERS - 1}.mlp.down_proj"

    # Each layer has 4 modules of attention and 3 of the MLP; no embedding, no norm, no output head.
    assert len(base.shapes) == N_LAYERS * 7
    assert base.shapes[last] == LinearShape(HIDDEN, INNER)
    assert base.shapes["model.layers.0.mlp.up_proj"] == LinearShape(INNER, HIDDEN)


def test_the_hash_of_one_weights_file_is_its_own(base: AdapterBase) -> None:
    content = (tiny_llama() / "model.safetensors").read_bytes()

    assert base.sha256 == hashlib.sha256(content).hexdigest()


def test_the_hash_of_shards_covers_each_of_them(folder: Path, base: AdapterBase) -> None:
    shutil.copy(folder / "model.safetensors", folder / "more.safetensors")

    assert read_base_model(folder, name="base").sha256 not in {None, base.sha256}


def test_a_model_goes_by_its_folder_too(base: AdapterBase) -> None:
    assert base.is_named(BASE_NAME)
    assert base.is_named(str(tiny_llama()))
    assert not base.is_named("llama")


def test_a_folder_is_the_same_by_another_path(
    base: AdapterBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_llama().resolve()
    monkeypatch.chdir(folder.parent)

    for name in (f"{folder}/", folder.name, f"./{folder.name}/", f"{folder}/../{folder.name}"):
        assert base.is_named(name)
    assert not base.is_named("..")
    assert not base.is_named("")
    assert not base.is_named("x\0y")


def test_the_config_alone_declares_the_same_modules(base: AdapterBase) -> None:
    declared = declare_base_model(tiny_llama() / "config.json", name="base")

    assert dict(declared.shapes) == dict(base.shapes)
    assert declared.sha256 is None


def test_fewer_heads_for_keys_make_smaller_modules(folder: Path) -> None:
    config = altered_config(folder, num_key_value_heads=1)

    shapes = declare_base_model(config, name="base").shapes

    assert shapes["model.layers.0.self_attn.k_proj"] == LinearShape(HEAD, HIDDEN)
    assert shapes["model.layers.0.self_attn.q_proj"] == LinearShape(HIDDEN, HIDDEN)


def test_a_quantised_model_has_the_shapes_of_its_config(folder: Path, base: AdapterBase) -> None:
    altered_config(folder, quantization_config={"bits": 4})
    (folder / "model.safetensors").write_bytes(b"packed in some way")

    assert dict(read_base_model(folder, name="base").shapes) == dict(base.shapes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"model_type": "mamba"}, "mamba"), ({"hidden_size": "wide"}, "hidden_size")],
)
def test_a_config_that_says_too_little_is_refused(
    folder: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(BaseModelInvalid, match=named):
        declare_base_model(altered_config(folder, **changes), name="base")


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    with pytest.raises(BaseModelInvalid, match=r"no \*\.safetensors"):
        read_base_model(folder, name="base")


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"short")

    with pytest.raises(BaseModelInvalid, match="truncated"):
        read_base_model(folder, name="base")


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelInvalid, match=r"config\.json"):
        read_base_model(tmp_path, name="base")
