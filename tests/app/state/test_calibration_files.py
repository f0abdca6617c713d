"""A calibration is read as it was saved, and refused where it is not of what is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.answering.calibrated import CalibratedPool, CalibratedRecipe, Reached
from app.errors import (
    CalibrationDamaged,
    CalibrationForeign,
    CalibrationMissing,
    CalibrationOutdated,
    CalibrationRefused,
)
from app.state.calibration_files import CalibrationOrigin, read_calibration, save_calibration
from estimation.calibration import TABLE_ALONE, Calibration
from prompting.recipe import ExemplarStyle, Method, Recipe

ORIGIN = CalibrationOrigin(
    model="mini",
    identity={"model files": "abc"},
    encoder="hash",
    packs={"made": "def"},
    wording="words",
)
ICL = Recipe(Method.ICL)
REACHED = Reached(raw=0.7, calibrated=0.72, related=0.8, pooled=0.8)
FITTED = CalibratedRecipe(
    ICL,
    model=Calibration(0.71, offsets={2: np.array([0.1, -0.1])}),
    near=CalibratedPool(TABLE_ALONE, REACHED, n_questions=30, n_answers=120),
    far=None,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "calibrations" / "mini.json"
    save_calibration(file, ORIGIN, [FITTED], created="2026-11-29")
    return file


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def test_what_is_read_is_what_was_saved(file: Path) -> None:
    calibration = read_calibration(file, ORIGIN)

    found = calibration.find(ICL)
    assert found is not None
    assert found.model.model == FITTED.model.model
    np.testing.assert_array_equal(found.model.offsets[2], FITTED.model.offsets[2])
    assert found.near is not None
    # So that a model that counts nothing need not be asked.
    assert found.near.calibration == TABLE_ALONE
    assert (found.near.reached, found.near.n_questions) == (REACHED, 30)
    assert found.far is None
    assert calibration.id == json.loads(file.read_text())["sha256"][:8]


def test_a_recipe_is_found_by_what_matters_to_its_method(tmp_path: Path) -> None:
    persona = replace(FITTED, recipe=Recipe(Method.PERSONA))
    found = save_calibration(tmp_path / "c.json", ORIGIN, [FITTED, persona], created="now")

    assert found.find(Recipe(Method.PERSONA, k=9, style=ExemplarStyle.MODE)) is not None
    assert found.find(Recipe(Method.PERSONA, n_orders=2)) is None
    assert found.find(Recipe(Method.PERSONA, adapter="auto")) is None
    assert found.find(Recipe(Method.ICL, k=9)) is None
    assert found.find(Recipe(Method.ICL, style=ExemplarStyle.MODE)) is None


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model": "maxi"}, CalibrationForeign, "found that of mini, expected that of maxi"),
        ({"identity": {"model files": "xyz"}}, CalibrationForeign, "model files abc.*xyz"),
        ({"encoder": "other"}, CalibrationOutdated, "encoder hash, expected other"),
        ({"packs": {"made": "new"}}, CalibrationOutdated, "packs made def, expected made new"),
        ({"packs": {}}, CalibrationOutdated, "expected none"),
        ({"wording": "others"}, CalibrationOutdated, "prompts in other words"),
    ],
)
def test_what_was_made_for_something_else_is_refused(
    file: Path, changes: dict[str, Any], error: type[CalibrationRefused], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_calibration(file, ORIGIN.model_copy(update=changes))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            lambda data: data["recipes"][0]["near"].update(n_questions=99),
            CalibrationDamaged,
            "altered",
        ),
        (lambda data: data["recipes"].pop(), CalibrationDamaged, "altered"),
        (lambda data: data.pop("sha256"), CalibrationDamaged, "altered"),
        (lambda data: data.pop("model"), CalibrationDamaged, "model: Field required"),
        (
            lambda data: data["recipes"][0]["model"].update(offsets={"3": [0.1]}),
            CalibrationDamaged,
            "1 offsets for 3 options",
        ),
        (
            lambda data: data["recipes"][0]["model"].update(table=0.5),
            CalibrationDamaged,
            "0.5 of an estimate that is not pooled",
        ),
        (lambda data: data.update(schema_version=9), CalibrationOutdated, "schema_version 9"),
    ],
)
def test_what_is_not_as_it_was_saved_is_refused(
    file: Path,
    change: Callable[[dict[str, Any]], object],
    error: type[CalibrationRefused],
    said: str,
) -> None:
    rewrite(file, change)

    with pytest.raises(error, match=said) as caught:
        read_calibration(file, ORIGIN)
    assert "Run `milieu calibrate`" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", "[" * 100_000], ids=len)
def test_what_is_no_calibration_is_refused(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(CalibrationDamaged, match=r"mini\.json: found"):
        read_calibration(file, ORIGIN)


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(CalibrationMissing, match="no file"):
        read_calibration(tmp_path / "none.json", ORIGIN)
