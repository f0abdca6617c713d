"""Open what estimates, and keep on disk what takes seconds to fit, beside the index.

That is how wide intervals are, in `estimates.json`, and the vectors of the options' wordings. The
rest is fitted in about a second, when it is first needed.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from estimation.conformal import OPTION_CLASSES, SHARE_CLASSES, Conformal
from estimation.estimator import Estimator, thin_out
from estimation.fitting import VARIANCES, Intervals, fit_intervals
from estimation.related import RelatedModel
from estimation.table import AnswerTable
from estimation.transfer import TransferModel
from files.hashes import hash_fields
from files.whole import write_text
from retrieval.encoder import Encoder
from retrieval.errors import IndexInvalid, IndexMissing, IndexOutdated, IndexUnwritable
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from retrieval.saved_files import read_saved
from retrieval.vector_files import encode_once
from survey_data.library import SurveyLibrary

# What tells an answer with nothing withheld, and for the last questions that were.
N_RELATED_KEPT = 4
SCHEMA_VERSION = 1
FILE = "estimates.json"
# The name under which the vectors of the options' wordings are kept.
WORDINGS = "wordings"


class FitOrigin(BaseModel):
    """What a fit is made from; two fits of equal origin are the same.

    `content_sha256` is of all questions, options and shares, whatever their packs say of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    encoder: str
    packs: tuple[str, ...]
    content_sha256: str


class _SavedWidths(BaseModel):
    """The intervals of one source."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    widths: tuple[tuple[tuple[float, ...], ...], ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, fitted: Conformal) -> Self:
        return cls(widths=fitted.widths.tolist(), scales=fitted.scales.tolist())

    def open(self, *, n_evidence: int, n_cultures: int) -> Conformal:
        widths, scales = np.array(self.widths), np.array(self.scales)
        expected = (n_evidence, len(OPTION_CLASSES), len(SHARE_CLASSES))
        if widths.shape != expected or scales.shape != (n_cultures,):
            raise ValueError(f"widths {widths.shape} and scales {scales.shape}")
        return Conformal(widths, scales)


class _SavedFit(FitOrigin):
    transfer: _SavedWidths
    related: _SavedWidths
    void: dict[int, float]
    sha256: str = ""

    def digest(self) -> str:
        """Return the sha256 of everything else."""
        return hash_fields(self.model_dump(mode="json", exclude={"sha256"}))


class OpenedEstimator(NamedTuple):
    """What estimates, and whether it had to be fitted because what was saved did not fit."""

    estimator: Estimator
    refitted: bool


def origin_of(library: SurveyLibrary, encoder: Encoder) -> FitOrigin:
    """Return what estimates of this library by this encoder are made from."""
    digest = hashlib.sha256()
    for key, question in library.questions.items():
        digest.update(json.dumps([key, question.text, question.options]).encode())
        for culture in library.cultures:
            cell = library.distribution(key, culture)
            if cell is not None:
                digest.update(json.dumps([culture, cell.shares]).encode())
    return FitOrigin(
        encoder=encoder.model_id,
        packs=tuple(pack.manifest.id for pack in library.packs),
        content_sha256=digest.hexdigest(),
    )


def open_estimator(
    folder: Path, library: SurveyLibrary, encoder: Encoder, index: QuestionIndex
) -> OpenedEstimator:
    """Return the estimator of `library`; what is not saved in `folder`, or outdated, is fitted.

    Raises:
        IndexInvalid: what is saved was altered or cannot be read.
        IndexUnwritable: a new fit cannot be saved.
    """
    models = _Models(folder, library, encoder, index)
    origin = origin_of(library, encoder)
    try:
        intervals = _load(folder, origin, n_cultures=len(library.cultures))
    except (IndexMissing, IndexOutdated):
        return OpenedEstimator(_fit(folder, models, origin), refitted=True)
    return OpenedEstimator(models.join(intervals), refitted=False)


def fit_estimator(
    folder: Path, library: SurveyLibrary, encoder: Encoder, index: QuestionIndex
) -> Estimator:
    """Fit the estimator of `library` and save it in `folder`, in place of one that is there.

    Raises:
        IndexUnwritable: it cannot be saved.
    """
    models = _Models(folder, library, encoder, index)
    return _fit(folder, models, origin_of(library, encoder))


class _Models:
    """What is fitted each time."""

    def __init__(
        self, folder: Path, library: SurveyLibrary, encoder: Encoder, index: QuestionIndex
    ) -> None:
        self._library = library
        self.table = AnswerTable(library)
        alike = find_alike(library.questions, index)
        self.alike = [self.table.rows(alike[key]) for key in library.questions]
        vectors = index.vectors.astype(np.float64)
        wordings = encode_once(folder, WORDINGS, self.table.wordings, encoder)
        self.transfer = TransferModel(self.table, vectors)
        self._vectors, self._wordings = vectors, wordings.astype(np.float64)
        self.make_related = lru_cache(maxsize=N_RELATED_KEPT)(self._make_related)

    def _make_related(self, barred: frozenset[int]) -> RelatedModel:
        # Its matrices are small: threads would wait for one another longer than they work.
        with threadpool_limits(limits=1, user_api="blas"):
            return RelatedModel(self.table, self._vectors, self._wordings, barred=barred)

    def join(self, intervals: Intervals) -> Estimator:
        return Estimator(
            self._library,
            self.table,
            transfer=self.transfer,
            make_related=self.make_related,
            intervals=intervals,
            alike=self.alike,
        )


def _fit(folder: Path, models: _Models, origin: FitOrigin) -> Estimator:
    # Of many small matrices: threads would wait for one another longer than they work.
    with threadpool_limits(limits=1, user_api="blas"):
        related = models.make_related(thin_out(len(models.table.questions)))
        intervals = fit_intervals(models.table, models.transfer, related, models.alike)
    # A thousand, of which no request withholds the same questions.
    models.transfer.forget()
    saved = _SavedFit(
        **origin.model_dump(),
        transfer=_SavedWidths.of(intervals.transfer),
        related=_SavedWidths.of(intervals.related),
        void=dict(intervals.void),
    )
    saved = saved.model_copy(update={"sha256": saved.digest()})
    try:
        write_text(folder / FILE, saved.model_dump_json(indent=1) + "\n")
    except OSError as exc:
        raise IndexUnwritable(folder, f"{type(exc).__name__}: {exc}") from exc
    return models.join(intervals)


def _load(folder: Path, origin: FitOrigin, *, n_cultures: int) -> Intervals:
    """Return the intervals saved in `folder`, checked against what they should be made from."""
    saved = read_saved(folder / FILE, _SavedFit, origin=origin)
    if saved.digest() != saved.sha256:
        raise IndexInvalid(folder, found=f"an altered {FILE}", expected="it as it was saved")
    try:
        return Intervals(
            saved.transfer.open(n_evidence=2, n_cultures=n_cultures),
            saved.related.open(n_evidence=len(VARIANCES), n_cultures=n_cultures),
            saved.void,
        )
    except ValueError as exc:
        raise IndexInvalid(folder, found=f"{exc}", expected="one of each class") from exc
