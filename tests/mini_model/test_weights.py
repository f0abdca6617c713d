from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mini_model.weights import WEIGHTS, WeightsInvalid, check_weights

MAX_BYTES = 25_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "weights"
    shutil.copytree(WEIGHTS, copy)
    return copy


def test_the_shipped_weights_are_what_their_manifest_says() -> None:
    check_weights(WEIGHTS)


def test_the_shipped_weights_are_small_enough() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < MAX_BYTES


def test_an_altered_file_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{}")

    with pytest.raises(WeightsInvalid, match=r"config\.json has sha256"):
        check_weights(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    with pytest.raises(WeightsInvalid, match=r"model\.safetensors is missing"):
        check_weights(folder)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"")

    with pytest.raises(WeightsInvalid, match="pickled"):
        check_weights(folder)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"manifest\.json cannot be read"):
        check_weights(tmp_path)


def test_the_manifest_says_how_the_weights_were_trained() -> None:
    training = json.loads((WEIGHTS / "manifest.json").read_text())["training"]

    assert training["settings"]["seed"] == 7
    assert training["step"] == training["settings"]["steps"]
