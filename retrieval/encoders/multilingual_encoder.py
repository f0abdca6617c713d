"""multilingual-e5-small in 4 bits on ONNX Runtime: a hundred languages, loaded when first used.

It tells what is asked from what is found by a prefix. Source: Wang et al. (2024), "Multilingual E5
Text Embeddings: A Technical Report".
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from retrieval.encoder import Vectors
from retrieval.encoders.joint_encoding import JointEncoding
from retrieval.encoders.onnx_session import open_session
from retrieval.encoders.packed_file import (
    MULTILINGUAL_ENCODER,
    SHA256,
    PackedModel,
    open_packed_file,
)
from retrieval.encoders.packed_graph import PackedGraph

DIM = 384
ASKED, FOUND = "query: ", "passage: "
# A question has some 25 pieces. What is longer is cut, as the English encoder cuts it.
MAX_PIECES = 256
MAX_CHARACTERS = 8 * MAX_PIECES


class MultilingualModel:
    """The weights, loaded when a text is first encoded, and after `unload`. Thread-safe."""

    def __init__(self, path: Path, *, n_threads: int = 1, sha256: str = SHA256) -> None:
        """Take the file; `n_threads` are for one text."""
        self._path, self._n_threads, self._sha256 = path, n_threads, sha256
        self._loading = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return "_loaded" in self.__dict__

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text with its prefix; overlong ones are cut.

        Raises:
            EncoderUnavailable: the file cannot be read, or is another one.
        """
        with self._loading:
            encode = self._loaded
        return encode(texts)

    def unload(self) -> None:
        """Let go of the weights; the next text loads them again."""
        with self._loading:
            self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> JointEncoding:
        packed = open_packed_file(self._path, sha256=self._sha256)
        return JointEncoding(_Running(packed, n_threads=self._n_threads).encode)


class MultilingualEncoder:
    """Encodes texts of one kind, `ASKED` or `FOUND`. Several may share a model."""

    dim = DIM

    def __init__(self, model: MultilingualModel, prefix: str) -> None:
        self._model, self._prefix = model, prefix
        self.model_id = f"{MULTILINGUAL_ENCODER}@{SHA256[:8]}-{prefix.rstrip(': ')}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; overlong texts are cut.

        Raises:
            EncoderUnavailable: the model cannot be loaded.
        """
        return self._model.encode([self._prefix + text for text in texts])


class _Running:
    """A loaded model."""

    def __init__(self, packed: PackedModel, *, n_threads: int) -> None:
        sizes = packed.sizes
        self._packed = packed
        self._session = open_session(PackedGraph(packed), n_threads=n_threads)
        types = packed.vector("emb.type").reshape(sizes.n_types, sizes.hidden)
        self._places = packed.vector("emb.pos").reshape(-1, sizes.hidden) + types[0]

    def encode(self, texts: list[str]) -> Vectors:
        vectors = np.zeros((len(texts), self._packed.sizes.hidden), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            pieces = self._packed.tokenizer.encode(text[:MAX_CHARACTERS], at_most=MAX_PIECES)
            vector[:] = self._encode_pieces(pieces)
        return vectors

    def _encode_pieces(self, pieces: list[int]) -> Vectors:
        words = self._packed.rows("emb.word", pieces, n_rows=self._packed.sizes.n_words)
        embedded = (words + self._places[: len(pieces)])[None]
        [[hidden]] = self._session.run(None, {"embedded": embedded})
        pooled = hidden.mean(axis=0)
        unit: Vectors = pooled / np.linalg.norm(pooled)
        return unit
