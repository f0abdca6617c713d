"""The map of a model is read as it was saved, and refused where it is not of what is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import ModelMapRefused
from app.model_files import ModelFiles
from app.settings import Settings
from app.state import model_maps
from app.state.calibration import MODEL_FILES, identify_model
from app.state.model_maps import NO_MAP, open_map, read_map
from app.vllm.client import VllmClient
from embedded_model.manifest import write_manifest
from tests.app.model_maps import make_map, write_map
from tests.fakes.vllm import MODEL

IDENTITY = {"model root": MODEL}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_map(tmp_path / "map.json")


def test_what_is_read_is_what_was_saved(file: Path) -> None:
    found = read_map(file, model=MODEL, identity=IDENTITY)

    assert found.model_copy(update={"sha256": ""}) == make_map()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("error", 0.1, "found an altered file"),
        ("error", -0.1, "found error: Input should be greater than or equal to 0"),
        ("schema_version", 2, "found schema_version 2, expected 1"),
        ("more", 1, "found more: Extra inputs are not permitted"),
    ],
)
def test_an_altered_map_is_refused(file: Path, name: str, value: object, told: str) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))

    with pytest.raises(ModelMapRefused, match=told):
        read_map(file, model=MODEL, identity=IDENTITY)


def test_what_is_no_map_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMapRefused, match="found no file, expected a model's map"):
        read_map(tmp_path / "none.json", model=MODEL, identity=IDENTITY)
    file.write_bytes(b"\xff{")
    with pytest.raises(ModelMapRefused, match="what cannot be read"):
        read_map(file, model=MODEL, identity=IDENTITY)


def test_the_map_of_another_model_is_refused(file: Path) -> None:
    with pytest.raises(ModelMapRefused, match="found that of fake, expected other"):
        read_map(file, model="other", identity=IDENTITY)
    with pytest.raises(ModelMapRefused, match="found that of model root fake, expected model fil"):
        read_map(file, model=MODEL, identity={MODEL_FILES: "abc"})


async def test_the_embedded_model_has_the_map_that_comes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = Settings(), tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write_manifest(folder, {})
    files = ModelFiles(folder, "float32", is_embedded=True)
    shipped = tmp_path / "cultural_map.json"
    monkeypatch.setattr(model_maps, "SHIPPED", shipped)
    async with VllmClient([NOWHERE]) as vllm:
        assert await open_map(settings, files, vllm) == NO_MAP
        write_map(shipped, model=settings.model)
        assert await open_map(settings, files, vllm) == NO_MAP
        identity = await identify_model(settings, files, vllm)
        write_map(shipped, model=settings.model, identity=identity)
        found = await open_map(settings, files, vllm)

    assert found.map is not None
    assert found.map.model == settings.model
