"""Keep on disk what estimates are made with, beside the index, and open it at start-up.

What takes an encoder or many estimates is kept: the vectors of the options' wordings, and how wide
intervals are. The rest is fitted when it is opened, in less than a second. As with the index, a
file is named by its content, and a manifest that is written last names it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from estimation.conformal import OPTION_CLASSES, SHARE_CLASSES, Conformal
from estimation.errors import FitInvalid, FitMissing, FitOutdated, FitUnwritable
from estimation.estimator import Estimator
from estimation.fitting import VARIANCES, Intervals, fit_intervals
from estimation.related import RelatedModel
from estimation.table import AnswerTable
from estimation.transfer import TransferModel
from files.whole import write_bytes, write_text
from retrieval.encoder import Encoder, Vectors
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from survey_data.arrays import Floats
from survey_data.library import SurveyLibrary

SCHEMA_VERSION = 1
MANIFEST = "estimates.json"
UNIT_TOLERANCE = 1e-3


class FitOrigin(BaseModel):
    """What a fit is made from; two fits of equal origin are the same.

    `packs` maps a pack to the sha256 of its questions.jsonl and of its shares.csv, joined by "+".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    encoder: str
    packs: dict[str, str]
    content_sha256: str


class _Manifest(FitOrigin):
    arrays_file: str
    arrays_sha256: str


class OpenedEstimator(NamedTuple):
    """What estimates, and whether it had to be fitted because what was saved did not fit."""

    estimator: Estimator
    refitted: bool


class _Saved(NamedTuple):
    wordings: Vectors
    intervals: Intervals


def origin_of(library: SurveyLibrary, encoder: Encoder) -> FitOrigin:
    """Return what estimates of this library by this encoder are made from."""
    digest = hashlib.sha256()
    for key, question in library.questions.items():
        digest.update(json.dumps([key, question.text, question.options]).encode())
        for culture in library.cultures:
            cell = library.distribution(key, culture)
            if cell is not None:
                digest.update(json.dumps([culture, cell.shares]).encode())
    manifests = [pack.manifest for pack in library.packs]
    return FitOrigin(
        encoder=encoder.model_id,
        packs={m.id: f"{m.questions_sha256}+{m.shares_sha256}" for m in manifests},
        content_sha256=digest.hexdigest(),
    )


def open_estimator(
    folder: Path, library: SurveyLibrary, encoder: Encoder, index: QuestionIndex
) -> OpenedEstimator:
    """Return the estimator of `library`; what is not saved in `folder`, or outdated, is fitted.

    Raises:
        FitInvalid: what is saved was altered or cannot be read.
        FitUnwritable: a new fit cannot be saved.
    """
    models = _Models(library, index)
    try:
        saved = _load(folder, models.table, origin_of(library, encoder), dim=encoder.dim)
    except (FitMissing, FitOutdated):
        return OpenedEstimator(fit_estimator(folder, library, encoder, index), refitted=True)
    related = models.relate(saved.wordings)
    return OpenedEstimator(models.join(related, saved.intervals), refitted=False)


def fit_estimator(
    folder: Path, library: SurveyLibrary, encoder: Encoder, index: QuestionIndex
) -> Estimator:
    """Fit the estimator of `library` and save it in `folder`, in place of one that is there.

    Raises:
        FitUnwritable: it cannot be saved.
    """
    models = _Models(library, index)
    wordings = encoder.encode(list(models.table.wordings))
    related = models.relate(wordings)
    intervals = fit_intervals(models.table, models.transfer, related, models.alike)
    _save(folder, _Saved(wordings, intervals), origin_of(library, encoder))
    return models.join(related, intervals)


class _Models:
    """What is fitted each time."""

    def __init__(self, library: SurveyLibrary, index: QuestionIndex) -> None:
        self._library, self._vectors = library, index.vectors.astype(np.float64)
        self.table = AnswerTable(library)
        self.transfer = TransferModel(self.table, self._vectors)
        alike = find_alike(library.questions, index)
        self.alike = [self.table.rows(alike[key]) for key in library.questions]

    def relate(self, wordings: Vectors) -> RelatedModel:
        return RelatedModel(self.table, self._vectors, wordings.astype(np.float64))

    def join(self, related: RelatedModel, intervals: Intervals) -> Estimator:
        return Estimator(
            self._library,
            self.table,
            transfer=self.transfer,
            related=related,
            intervals=intervals,
            alike=self.alike,
        )


def _save(folder: Path, saved: _Saved, origin: FitOrigin) -> None:
    """Write what was fitted to `folder`, its manifest last; an older one there is replaced."""
    intervals, buffer = saved.intervals, io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        wordings=saved.wordings,
        transfer_widths=intervals.transfer.widths,
        transfer_scales=intervals.transfer.scales,
        related_widths=intervals.related.widths,
        related_scales=intervals.related.scales,
        void_options=np.array(list(intervals.void), dtype=np.int64),
        void_widths=np.array(list(intervals.void.values())),
    )
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    name = f"estimates-{digest[:16]}.npz"
    manifest = _Manifest(**origin.model_dump(), arrays_file=name, arrays_sha256=digest)
    try:
        write_bytes(folder / name, buffer.getvalue())
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        for old in folder.glob("estimates-*.npz"):
            if old.name != name:
                old.unlink(missing_ok=True)
    except OSError as exc:
        raise FitUnwritable(folder, f"{type(exc).__name__}: {exc}") from exc


def _load(folder: Path, table: AnswerTable, origin: FitOrigin, *, dim: int) -> _Saved:
    """Return what is saved in `folder`, checked against what it should be made from."""
    manifest = _read_manifest(folder)
    for field in FitOrigin.model_fields:
        found, expected = getattr(manifest, field), getattr(origin, field)
        if found != expected:
            raise FitOutdated(folder, found=f"{field} {found}", expected=f"{expected}")
    arrays = _read_arrays(folder, manifest)
    try:
        saved = _Saved(
            arrays["wordings"].astype(np.float32),
            Intervals(
                Conformal(arrays["transfer_widths"], arrays["transfer_scales"]),
                Conformal(arrays["related_widths"], arrays["related_scales"]),
                dict(
                    zip(
                        *(arrays[f"void_{of}"].tolist() for of in ("options", "widths")),
                        strict=True,
                    )
                ),
            ),
        )
    except KeyError as exc:
        raise FitInvalid(folder, found=f"no array {exc}", expected="all of them") from exc
    _check(folder, saved, table, dim=dim)
    return saved


def _check(folder: Path, saved: _Saved, table: AnswerTable, *, dim: int) -> None:
    """Refuse arrays of other shapes, and what is no number."""
    classes, n_cultures = (len(OPTION_CLASSES), len(SHARE_CLASSES)), len(table.cultures)
    transfer, related = saved.intervals.transfer, saved.intervals.related
    expected: list[tuple[NDArray[np.generic], tuple[int, ...]]] = [
        (saved.wordings, (len(table.wordings), dim)),
        (transfer.widths, (2, *classes)),
        (transfer.scales, (n_cultures,)),
        (related.widths, (len(VARIANCES), *classes)),
        (related.scales, (n_cultures,)),
    ]
    for array, shape in expected:
        if array.shape != shape or not np.isfinite(array).all():
            found = f"an array {array.dtype}{list(array.shape)}"
            raise FitInvalid(folder, found=found, expected=f"finite numbers {list(shape)}")
    lengths = np.linalg.norm(saved.wordings, axis=1)
    if len(lengths) and np.abs(lengths - 1.0).max() > UNIT_TOLERANCE:
        raise FitInvalid(folder, found="wordings not of length 1", expected="unit vectors")


def _read_manifest(folder: Path) -> _Manifest:
    try:
        data = json.loads((folder / MANIFEST).read_bytes())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise FitOutdated(
                folder, found=f"schema_version {version}", expected=f"{SCHEMA_VERSION}"
            )
        return _Manifest.model_validate(data)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FitMissing(folder, found=f"no {MANIFEST}", expected="a saved fit") from exc
    except (OSError, ValueError, ValidationError) as exc:
        found = f"a {MANIFEST} that cannot be read ({exc})"
        raise FitInvalid(folder, found=found, expected="a whole one") from exc


def _read_arrays(folder: Path, manifest: _Manifest) -> Mapping[str, Floats]:
    # Only the name: a manifest must not reach out of its folder.
    path = folder / Path(manifest.arrays_file).name
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise FitMissing(folder, found=f"no {path.name}", expected="the arrays") from exc
    except OSError as exc:
        raise FitInvalid(folder, found=f"{exc}", expected=f"a readable {path.name}") from exc
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.arrays_sha256:
        raise FitInvalid(
            folder, found=f"sha256 {digest[:16]}…", expected=f"{manifest.arrays_sha256[:16]}…"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as exc:
        raise FitInvalid(folder, found=f"{exc}", expected="arrays") from exc
