"""A sentence encoder of type BERT on ONNX Runtime: no torch, loaded in half a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from retrieval.encoder import Vectors
from retrieval.encoders.bert_folder import (
    read_bert_config,
    read_pooling,
    read_tokenizer,
    read_weights,
)
from retrieval.encoders.bert_graph import WORDS, Precision, WordGraph
from retrieval.encoders.joint_encoding import JointEncoding
from retrieval.encoders.onnx_session import open_session
from retrieval.errors import EncoderUnavailable


class OnnxEncoder:
    """A BERT that makes unit vectors, float32, on the CPU. Safe to call from several threads.

    The graph is built from the weights at each start, in milliseconds, in int8 in a tenth of a
    second.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        n_threads: int = 1,
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        """Load the encoder in `folder`, laid out as sentence-transformers does.

        `name` is what it is called in `model_id` and in errors; `n_threads` is for one batch;
        `precision` is what it multiplies in.

        Raises:
            EncoderUnavailable: the folder holds no supported encoder.
        """
        try:
            config = read_bert_config(folder)
            self._first_token = read_pooling(folder).pooling_mode_cls_token
            self._tokenizer = read_tokenizer(folder, config)
            weights, digest = read_weights(folder)
            self._words = weights[WORDS]
            graph = WordGraph(config, weights, precision=precision)
            self._session = open_session(graph, n_threads=n_threads)
        except (OSError, ValueError, KeyError, SafetensorError) as exc:
            reason = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise EncoderUnavailable(name, reason) from exc
        suffix = "" if precision is Precision.FLOAT32 else f"-{precision}"
        self.model_id = f"{name}@{digest[:8]}{suffix}"
        self.dim = config.hidden_size
        self._encode_jointly = JointEncoding(self._encode)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; overlong texts are cut.

        Calls that come while another one is encoding are encoded together, as one batch.
        """
        return self._encode_jointly(texts)

    def _encode(self, texts: list[str]) -> Vectors:
        # The tokenizer's own threads would not survive a fork.
        ids = [self._tokenizer.encode(text).ids for text in texts]
        vectors = np.zeros((len(ids), self.dim), dtype=np.float32)
        # In int8 the last bit of a sum moves a vector by 1e-3, and it depends on what else is in a
        # batch. One by one takes as long.
        for vector, tokens in zip(vectors, ids, strict=True):
            vector[:] = self._encode_tokens(tokens)
        return vectors

    def _encode_tokens(self, ids: list[int]) -> Vectors:
        [[hidden]] = self._session.run(None, {"words": self._words[ids][None]})
        pooled = hidden[0] if self._first_token else hidden.mean(axis=0)
        unit: Vectors = pooled / np.linalg.norm(pooled)
        return unit
