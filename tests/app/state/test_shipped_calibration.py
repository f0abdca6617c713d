"""The embedded model comes calibrated; another model, other packs and one's own file go before."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.model_files import ModelFiles
from app.settings import Settings, VllmSettings
from app.state import calibration as module
from app.state.calibration import (
    NO_CALIBRATION,
    OpenedCalibration,
    calibration_file,
    identify_model,
    open_calibration,
)
from app.state.calibration_files import CalibrationOrigin, read_calibration, save_calibration
from app.state.model_maps import open_map
from app.vllm.client import VllmClient
from embedded_model.manifest import write_manifest
from embedded_model.reader_files import FOLDER, READER_NAME
from prompting.recipe import Method
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from tests.app.service import share_library, share_retrieval
from tests.app.state.test_calibration_files import FITTED

ENCODER = "of the tests"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path / "data", packs=("wvs7",))


@pytest.fixture
def library(settings: Settings) -> SurveyLibrary:
    return share_library(settings, read_catalogue())


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write_manifest(folder, {})
    return ModelFiles(folder, "float32", is_embedded=True)


async def identify(settings: Settings, files: ModelFiles) -> dict[str, str]:
    async with VllmClient([NOWHERE]) as vllm:
        return await identify_model(settings, files, vllm)


async def save(file: Path, settings: Settings, files: ModelFiles, library: SurveyLibrary) -> str:
    """Save a calibration of the model in `files`; return its id."""
    identity = await identify(settings, files)
    origin = CalibrationOrigin.of(settings.model, identity, library=library, encoder=ENCODER)
    return save_calibration(file, origin, [FITTED], created="2026-11-29").id


@pytest.fixture
async def shipped(
    settings: Settings,
    files: ModelFiles,
    library: SurveyLibrary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The id of a calibration in the place of the one that comes with the model."""
    file = tmp_path / "shipped.json"
    monkeypatch.setattr(module, "SHIPPED", file)
    return await save(file, settings, files, library)


async def opened(
    settings: Settings, files: ModelFiles, library: SurveyLibrary
) -> OpenedCalibration:
    async with VllmClient([NOWHERE]) as vllm:
        return await open_calibration(settings, files, vllm, library=library, encoder=ENCODER)


async def test_it_is_used_where_nothing_else_is_set(
    settings: Settings, files: ModelFiles, library: SurveyLibrary, shipped: str
) -> None:
    found = await opened(settings, files, library)

    assert found.calibration is not None
    assert (found.calibration.id, found.refused_because) == (shipped, None)


async def test_ones_own_goes_before_it(
    settings: Settings, files: ModelFiles, library: SurveyLibrary, shipped: str
) -> None:
    file = calibration_file(settings, await identify(settings, files))
    await save(file, settings, files, library)
    file.write_text("{}")

    found = await opened(settings, files, library)

    assert found.calibration is None
    assert file.name in (found.refused_because or "")


@pytest.mark.parametrize("other", ["reader", "model", "packs"])
async def test_it_is_for_the_model_as_it_comes(
    settings: Settings, files: ModelFiles, library: SurveyLibrary, shipped: str, other: str
) -> None:
    if other == "reader":
        assert files.folder is not None
        (files.folder / "manifest.json").write_text("{}")
    elif other == "model":
        files = ModelFiles(files.folder, "float32")
        settings = settings.model_copy(update={"vllm": VllmSettings(model_path=files.folder)})
    else:
        library = share_library(Settings(packs=("undp-ai-2025",)), read_catalogue())

    assert await opened(settings, files, library) == NO_CALIBRATION


async def test_the_one_that_ships_is_for_what_is_served_where_nothing_is_set(
    vllm_model_dir: Path, cache_folder: Path
) -> None:
    """Whoever changes packs, prompts, encoder or reader calibrates anew: docs/embedded-model.md."""
    settings = Settings(cache_folder=cache_folder)
    library = share_library(settings, read_catalogue())
    files = ModelFiles(
        vllm_model_dir, "float32", is_embedded=True, reader_name=READER_NAME, reader=FOLDER
    )
    origin = CalibrationOrigin.of(
        settings.model,
        await identify(settings, files),
        library=library,
        encoder=share_retrieval(settings, library).index.model_id,
    )

    calibration = read_calibration(module.SHIPPED, origin)

    assert {each.recipe.method for each in calibration.recipes} >= {Method.ICL}


async def test_the_map_that_ships_is_of_the_same_model(
    vllm_model_dir: Path, cache_folder: Path
) -> None:
    """Whoever changes the reader makes the map anew: docs/embedded-model.md."""
    settings = Settings(cache_folder=cache_folder)
    files = ModelFiles(
        vllm_model_dir, "float32", is_embedded=True, reader_name=READER_NAME, reader=FOLDER
    )

    async with VllmClient([NOWHERE]) as vllm:
        opened_map = await open_map(settings, files, vllm)

    assert opened_map.map is not None
    assert list(opened_map.map.ways) == [Method.PLAIN, Method.PERSONA, Method.ICL]
    assert {len(places) for places in opened_map.map.ways.values()} == {19}
