"""Which files the served model has: the embedded one's with its reader, or the settings'."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app import model_files
from app.model_files import ModelFiles, prepare_model_files
from app.settings import Settings, VllmSettings
from embedded_model.errors import ReaderAltered
from embedded_model.manifest import write_manifest
from embedded_model.reader_files import FOLDER, READER_NAME, check_reader


@pytest.fixture(autouse=True)
def unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in the place of the one that is unpacked."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write_manifest(folder, {})
    monkeypatch.setattr(model_files, "ensure_unpacked", lambda models: folder)
    return folder


def test_the_embedded_model_is_exact_and_has_its_reader(unpacked: Path) -> None:
    files = prepare_model_files(Settings())

    assert (files.folder, files.dtype, files.temperature) == (unpacked, "float32", 0.0)
    assert (files.reader_name, files.reader) == (READER_NAME, FOLDER)


@pytest.mark.parametrize(
    "settings",
    [Settings(vllm=VllmSettings(reader="none")), Settings(commercial_use=True)],
    ids=["left out", "not for commercial use"],
)
def test_the_embedded_model_can_be_had_without_it(settings: Settings) -> None:
    files = prepare_model_files(settings)

    assert (files.reader_name, files.reader) == (None, None)
    assert files.hash_files() != prepare_model_files(Settings()).hash_files()


def test_a_precision_that_is_set_is_kept() -> None:
    assert prepare_model_files(Settings(vllm=VllmSettings(dtype="bfloat16"))).dtype == "bfloat16"


def test_another_folder_is_served_as_it_is(tmp_path: Path) -> None:
    files = prepare_model_files(Settings(vllm=VllmSettings(model_path=tmp_path)))

    assert files == ModelFiles(tmp_path, "auto")
    assert files.temperature is None


def test_servers_have_a_reader_of_the_name_that_is_set() -> None:
    vllm = VllmSettings(urls=("http://127.0.0.1:9",), model="llama", reader="llama-reader")

    assert prepare_model_files(Settings(vllm=vllm)).reader_name == "llama-reader"


def test_an_altered_reader_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(FOLDER, folder)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text() + " ")

    with pytest.raises(ReaderAltered, match=r"adapter_config\.json: found sha256 .*READER=none"):
        check_reader(folder)
