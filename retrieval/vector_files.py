"""Vectors of texts that never change, kept on disk so that they are encoded once."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from files.whole import write_bytes
from retrieval.encoder import Encoder, Vectors
from retrieval.errors import IndexInvalid, IndexUnwritable
from retrieval.index import check_vectors

_DIGITS = 16


def encode_once(folder: Path, name: str, texts: Sequence[str], encoder: Encoder) -> Vectors:
    """Return the vectors of `texts`, from a file `name-…` in `folder` where they are there.

    A file is named by what it is made from and by what it holds; those made from other texts or by
    another encoder are replaced.

    Raises:
        IndexInvalid: the file was altered or cannot be read.
        IndexUnwritable: new vectors cannot be saved.
    """
    made_from = _digest(json.dumps([encoder.model_id, *texts]).encode())
    for path in folder.glob(f"{name}-{made_from}-*.npy"):
        return _read(path, shape=(len(texts), encoder.dim))
    vectors = encoder.encode(list(texts))
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    path = folder / f"{name}-{made_from}-{_digest(buffer.getvalue())}.npy"
    try:
        write_bytes(path, buffer.getvalue())
        for old in folder.glob(f"{name}-*.npy"):
            if old != path:
                old.unlink(missing_ok=True)
    except OSError as exc:
        raise IndexUnwritable(folder, f"{type(exc).__name__}: {exc}") from exc
    return vectors


def _read(path: Path, *, shape: tuple[int, int]) -> Vectors:
    try:
        content = path.read_bytes()
        if not path.stem.endswith(_digest(content)):
            raise ValueError("not what its name says")
        vectors: Vectors = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError) as exc:
        raise IndexInvalid(
            path.parent, found=f"a {path.name} that cannot be read ({exc})", expected="a whole one"
        ) from exc
    check_vectors(vectors)
    if vectors.shape != shape:
        found = f"{path.name} of shape {list(vectors.shape)}"
        raise IndexInvalid(path.parent, found=found, expected=f"{list(shape)}")
    return vectors


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
