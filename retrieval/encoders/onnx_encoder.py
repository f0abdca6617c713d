"""A sentence encoder of type BERT on ONNX Runtime: no torch, loaded in half a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError

from retrieval.encoder import Vectors
from retrieval.encoders.bert_folder import (
    BertConfig,
    Weights,
    read_bert_config,
    read_pooling,
    read_tokenizer,
    read_weights,
)
from retrieval.encoders.bert_graph import BertGraph
from retrieval.encoders.joint_encoding import BATCH_SIZE, JointEncoding
from retrieval.errors import EncoderUnavailable

Ids = NDArray[np.int64]


class OnnxEncoder:
    """A BERT that makes unit vectors on the CPU, in float32. Safe to call from several threads.

    The graph is built from the weights at each start, which takes milliseconds.
    """

    def __init__(self, folder: Path, *, name: str, n_threads: int = 1) -> None:
        """Load the encoder in `folder`, laid out as sentence-transformers does.

        `name` is what it is called in `model_id` and in errors; `n_threads` is for one batch.

        Raises:
            EncoderUnavailable: the folder holds no supported encoder.
        """
        try:
            config = read_bert_config(folder)
            self._first_token = read_pooling(folder).pooling_mode_cls_token
            self._tokenizer = read_tokenizer(folder, config)
            weights, digest = read_weights(folder)
            self._session = _open_session(config, weights, n_threads=n_threads)
        except (OSError, ValueError, KeyError, SafetensorError) as exc:
            reason = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise EncoderUnavailable(name, reason) from exc
        self.model_id = f"{name}@{digest[:8]}"
        self.dim = config.hidden_size
        self._encode_jointly = JointEncoding(self._encode)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; overlong texts are cut.

        Calls that come while another one is encoding are encoded together, as one batch.
        """
        return self._encode_jointly(texts)

    def _encode(self, texts: list[str]) -> Vectors:
        # One by one: the tokenizer's own threads would not survive a fork.
        ids = [self._tokenizer.encode(text).ids for text in texts]
        vectors = np.zeros((len(ids), self.dim), dtype=np.float32)
        by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(ids), BATCH_SIZE):
            rows = by_length[start : start + BATCH_SIZE]
            vectors[rows] = self._encode_batch([ids[row] for row in rows])
        return vectors

    def _encode_batch(self, ids: list[list[int]]) -> Vectors:
        padded, mask = _pad(ids)
        [hidden] = self._session.run(None, {"input_ids": padded, "attention_mask": mask})
        if self._first_token:
            pooled = hidden[:, 0]
        else:
            weights = mask[:, :, None].astype(np.float32)
            pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        unit: Vectors = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit


def _open_session(
    config: BertConfig, weights: Weights, *, n_threads: int
) -> onnxruntime.InferenceSession:
    graph = BertGraph(config, weights)
    model = graph.build()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that wait for the next batch sleep, so that an idle service uses no core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_external_initializers(
        list(graph.used),
        [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in graph.used],
    )
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _pad(ids: list[list[int]]) -> tuple[Ids, Ids]:
    """Return the token ids as int64[n, length], zero after a text's end, and 1 where they are."""
    padded = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
    mask = np.zeros_like(padded)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return padded, mask
