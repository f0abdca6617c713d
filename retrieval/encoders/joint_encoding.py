"""Calls of several threads, encoded together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from retrieval.encoder import Vectors

BATCH_SIZE = 64


class _Call:
    """Texts that a thread wants encoded, and where it gets their vectors."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.result: Future[Vectors] = Future()


class JointEncoding:
    """Lets one thread encode at a time, for all that wait. Thread-safe.

    Calls that come while another one is encoding are encoded together, as one batch: that is
    faster than turns, and keeps a model to the number of threads it was given.
    """

    def __init__(self, encode: Callable[[list[str]], Vectors]) -> None:
        self._encode = encode
        self._model_lock = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: list[_Call] = []

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of `texts`, float32[n, dim]."""
        call = _Call(list(texts))
        with self._waiting_lock:
            self._waiting.append(call)
        with self._model_lock:
            if not call.result.done():
                with self._waiting_lock:
                    batch, self._waiting = self._waiting, []
                self._encode_batch(batch)
        return call.result.result()

    def _encode_batch(self, batch: list[_Call]) -> None:
        try:
            vectors = self._encode([text for call in batch for text in call.texts])
        except BaseException as exc:
            for call in batch:
                call.result.set_exception(exc)
            raise
        for call in batch:
            call.result.set_result(vectors[: len(call.texts)])
            vectors = vectors[len(call.texts) :]
