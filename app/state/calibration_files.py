"""The file of a calibration: written whole, and refused where it was not made for what is served.

It holds what was fitted, and names the model, the wording of prompts, the encoder and the survey
packs that it was fitted with: with others the model answers, or the estimates are, otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.answering.calibrated import (
    CalibratedPool,
    CalibratedRecipe,
    ModelCalibration,
    Reached,
)
from app.errors import (
    CalibrationDamaged,
    CalibrationForeign,
    CalibrationMissing,
    CalibrationOutdated,
)
from estimation.calibration import Calibration
from files.hashes import hash_fields
from files.json_text import load_json
from files.whole import write_text
from prompting.recipe import Recipe
from prompting.wording_hash import hash_survey_wording
from survey_data.library import SurveyLibrary

SCHEMA_VERSION = 2
_Weight = Annotated[float, Field(ge=0.0)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CalibrationOrigin(_Form):
    """What a calibration is made from; it holds for what has an equal origin.

    Attributes:
        model: the name that the model is served under.
        identity: what it is known by besides, see `app.state.calibration.identify_model`.
        encoder: the id of the encoder.
        packs: the sha256 of each pack's questions and figures, by its id.
        wording: the sha256 of what prompts say besides, see `prompting.wording_hash`.
    """

    schema_version: int = SCHEMA_VERSION
    model: str
    identity: dict[str, str]
    encoder: str
    packs: dict[str, str]
    wording: str

    @classmethod
    def of(
        cls, model: str, identity: dict[str, str], *, library: SurveyLibrary, encoder: str
    ) -> Self:
        """Return the origin of what is fitted for `model` with a library and an encoder."""
        packs = {pack.manifest.id: pack.manifest for pack in library.packs}
        return cls(
            model=model,
            identity=identity,
            encoder=encoder,
            packs={
                pack: hashlib.sha256((m.questions_sha256 + m.shares_sha256).encode()).hexdigest()
                for pack, m in packs.items()
            },
            wording=hash_survey_wording(),
        )


class _SavedWeights(_Form):
    model: _Weight
    table: _Weight
    offsets: dict[int, tuple[float, ...]]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for n_options, offsets in self.offsets.items():
            if len(offsets) != n_options:
                raise ValueError(f"{len(offsets)} offsets for {n_options} options")
        return self

    @classmethod
    def of(cls, fitted: Calibration) -> Self:
        offsets = {n: tuple(each.tolist()) for n, each in fitted.offsets.items()}
        return cls(model=fitted.model, table=fitted.table, offsets=offsets)

    def open(self) -> Calibration:
        offsets = {n: np.array(each) for n, each in self.offsets.items()}
        return Calibration(self.model, self.table, offsets)


class _SavedPool(_Form):
    calibration: _SavedWeights
    reached: Reached
    n_questions: int
    n_answers: int

    @classmethod
    def of(cls, fitted: CalibratedPool | None) -> Self | None:
        if fitted is None:
            return None
        return cls(
            calibration=_SavedWeights.of(fitted.calibration),
            reached=fitted.reached,
            n_questions=fitted.n_questions,
            n_answers=fitted.n_answers,
        )

    def open(self) -> CalibratedPool:
        return CalibratedPool(
            self.calibration.open(),
            self.reached,
            n_questions=self.n_questions,
            n_answers=self.n_answers,
        )


class _SavedRecipe(_Form):
    recipe: Recipe
    model: _SavedWeights
    near: _SavedPool | None
    far: _SavedPool | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        # What puts the model's shares right is applied where there is no estimate.
        if self.model.table:
            raise ValueError(f"the weight {self.model.table} of an estimate that is not pooled")
        return self

    @classmethod
    def of(cls, fitted: CalibratedRecipe) -> Self:
        return cls(
            recipe=fitted.recipe,
            model=_SavedWeights.of(fitted.model),
            near=_SavedPool.of(fitted.near),
            far=_SavedPool.of(fitted.far),
        )

    def open(self) -> CalibratedRecipe:
        return CalibratedRecipe(
            self.recipe,
            self.model.open(),
            near=None if self.near is None else self.near.open(),
            far=None if self.far is None else self.far.open(),
        )


class _SavedCalibration(CalibrationOrigin):
    created: str
    recipes: tuple[_SavedRecipe, ...]
    sha256: str = ""

    def digest(self) -> str:
        """Return the sha256 of everything else."""
        return hash_fields(self.model_dump(mode="json", exclude={"sha256"}))

    def open(self) -> ModelCalibration:
        return ModelCalibration(self.sha256, (each.open() for each in self.recipes))


def save_calibration(
    file: Path, origin: CalibrationOrigin, recipes: Iterable[CalibratedRecipe], *, created: str
) -> ModelCalibration:
    """Write what was fitted to `file`, in place of one that is there, and return it.

    Raises:
        OSError: it cannot be written.
    """
    saved = _SavedCalibration(
        **dict(origin), created=created, recipes=tuple(map(_SavedRecipe.of, recipes))
    )
    saved = saved.model_copy(update={"sha256": saved.digest()})
    write_text(file, saved.model_dump_json(indent=1) + "\n")
    return saved.open()


def read_calibration(file: Path, origin: CalibrationOrigin) -> ModelCalibration:
    """Return the calibration in `file`, if it was made for `origin`.

    Raises:
        CalibrationMissing: there is no such file.
        CalibrationDamaged: it was altered, or cannot be read.
        CalibrationForeign: it is another model's.
        CalibrationOutdated: it was made with another encoder, packs or prompts, or by another
            version.
    """
    saved = _read(file)
    for field in ("model", "identity"):
        found, expected = getattr(saved, field), getattr(origin, field)
        if found != expected:
            raise CalibrationForeign(
                file, found=f"that of {_show(found)}", expected=f"that of {_show(expected)}"
            )
    if saved.encoder != origin.encoder:
        raise CalibrationOutdated(
            file, found=f"encoder {saved.encoder}", expected=f"{origin.encoder}"
        )
    if saved.packs != origin.packs:
        raise CalibrationOutdated(
            file, found=f"packs {_show(saved.packs)}", expected=_show(origin.packs)
        )
    if saved.wording != origin.wording:
        raise CalibrationOutdated(
            file, found="prompts in other words", expected="those of this version"
        )
    return saved.open()


def _read(file: Path) -> _SavedCalibration:
    try:
        data = load_json(file.read_bytes())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise CalibrationOutdated(
                file, found=f"schema_version {version}", expected=f"{SCHEMA_VERSION}"
            )
        saved = _SavedCalibration.model_validate_json(json.dumps(data))
    except FileNotFoundError as exc:
        raise CalibrationMissing(file, found="no file", expected="a calibration") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise CalibrationDamaged(
            file, found=f"{where}: {fault['msg']}", expected="it as it was saved"
        ) from exc
    except (OSError, ValueError) as exc:
        raise CalibrationDamaged(
            file, found=f"what cannot be read ({exc})", expected="it as it was saved"
        ) from exc
    if saved.digest() != saved.sha256:
        raise CalibrationDamaged(file, found="an altered file", expected="it as it was saved")
    return saved


def _show(value: str | dict[str, str]) -> str:
    """Return a name, or names with the first digits of their hashes."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{name} {of[:12]}" for name, of in value.items()) or "none"
