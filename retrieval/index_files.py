"""Keep a question index on disk: vectors as .npy, and a manifest that is written last.

A vectors file is named by its content and the manifest names the vectors file, so replacing the
manifest is one atomic step: two processes that write at once leave one whole index or the other.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from files.whole import write_bytes, write_text
from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IndexInvalid, IndexMissing, IndexOutdated, IndexUnwritable
from retrieval.index import QuestionIndex, build_index
from retrieval.saved_files import read_saved
from survey_data.library import SurveyLibrary

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class IndexOrigin(BaseModel):
    """What an index is made from; two indexes of equal origin have the same vectors.

    `packs` maps a pack to the sha256 of its questions.jsonl; `questions_sha256` is of all keys
    and texts in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    encoder: str
    dim: int
    packs: dict[str, str]
    n_questions: int
    questions_sha256: str


class _Manifest(IndexOrigin):
    vectors_file: str
    vectors_sha256: str


class OpenedIndex(NamedTuple):
    """An index, and whether it had to be made anew because what was saved did not fit."""

    question_index: QuestionIndex
    rebuilt: bool


def origin_of(library: SurveyLibrary, encoder: Encoder) -> IndexOrigin:
    """Return what an index of this library by this encoder is made from."""
    lines = (json.dumps([key, question.text]) for key, question in library.questions.items())
    return IndexOrigin(
        encoder=encoder.model_id,
        dim=encoder.dim,
        packs={pack.manifest.id: pack.manifest.questions_sha256 for pack in library.packs},
        n_questions=len(library.questions),
        questions_sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def library_index(library: SurveyLibrary, encoder: Encoder) -> QuestionIndex:
    """Return a new index of all questions of `library`.

    Raises:
        VectorsInvalid: the library is empty, or the encoder gives no unit float32 vectors.
    """
    return build_index(
        list(library.questions.values()), answered=_mask_answered(library), encoder=encoder
    )


def save_index(folder: Path, index: QuestionIndex, *, origin: IndexOrigin) -> None:
    """Write `index` to `folder`, its manifest last; an older index there is replaced.

    Raises:
        IndexUnwritable: the folder or a file in it cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, index.vectors, allow_pickle=False)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    name = f"vectors-{digest[:16]}.npy"
    manifest = _Manifest(**origin.model_dump(), vectors_file=name, vectors_sha256=digest)
    try:
        write_bytes(folder / name, buffer.getvalue())
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        for old in folder.glob("vectors-*.npy"):
            if old.name != name:
                old.unlink(missing_ok=True)
    except OSError as exc:
        raise IndexUnwritable(folder, f"{type(exc).__name__}: {exc}") from exc


def load_index(folder: Path, library: SurveyLibrary, encoder: Encoder) -> QuestionIndex:
    """Return the index saved in `folder`, checked against the library and the encoder.

    Raises:
        IndexMissing: there is none, or its vectors are not there.
        IndexOutdated: it was made from other questions, by another encoder or in another format.
        IndexInvalid: a file in it was altered or cannot be read.
    """
    expected = origin_of(library, encoder)
    manifest = read_saved(folder / MANIFEST, _Manifest, origin=expected)
    return QuestionIndex(
        tuple(library.questions),
        _read_vectors(folder, manifest),
        answered=_mask_answered(library),
        model_id=manifest.encoder,
    )


def open_index(folder: Path, library: SurveyLibrary, encoder: Encoder) -> OpenedIndex:
    """Return the index saved in `folder`; made anew and saved where it is missing or outdated.

    Raises:
        IndexInvalid: the saved index was altered or cannot be read.
        IndexUnwritable: a new index cannot be saved.
        VectorsInvalid: the library is empty, or the encoder gives no unit float32 vectors.
    """
    try:
        return OpenedIndex(load_index(folder, library, encoder), rebuilt=False)
    except (IndexMissing, IndexOutdated):
        index = library_index(library, encoder)
        save_index(folder, index, origin=origin_of(library, encoder))
        return OpenedIndex(index, rebuilt=True)


def _mask_answered(library: SurveyLibrary) -> dict[str, tuple[str, ...]]:
    return {culture: library.keys_of(culture) for culture in library.cultures}


def _read_vectors(folder: Path, manifest: _Manifest) -> Vectors:
    # Only the name: a manifest must not reach out of its folder.
    path = folder / Path(manifest.vectors_file).name
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise IndexMissing(folder, found=f"no {path.name}", expected="the vectors") from exc
    except OSError as exc:
        raise IndexInvalid(folder, found=f"{exc}", expected=f"a readable {path.name}") from exc
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.vectors_sha256:
        raise IndexInvalid(
            folder, found=f"{path.name} with sha256 {digest}", expected=manifest.vectors_sha256
        )
    vectors: Vectors = np.load(io.BytesIO(content), allow_pickle=False)
    if vectors.shape != (manifest.n_questions, manifest.dim):
        raise IndexInvalid(
            folder,
            found=f"{path.name} of shape {list(vectors.shape)}",
            expected=f"{[manifest.n_questions, manifest.dim]}",
        )
    return vectors
