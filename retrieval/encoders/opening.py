"""The encoder that a name stands for."""

from __future__ import annotations

from retrieval.encoder import DEFAULT_ENCODER, Encoder
from retrieval.encoders.bert_folder import default_folder
from retrieval.encoders.bert_graph import Precision
from retrieval.encoders.onnx_encoder import OnnxEncoder
from retrieval.errors import EncoderUnavailable


def open_encoder(
    name: str = DEFAULT_ENCODER,
    *,
    n_threads: int = 1,
    precision: Precision = Precision.INT8,
) -> Encoder:
    """Return the encoder `name`: the packaged default, a folder, or a name on the hub.

    The default runs on ONNX Runtime, in `precision`; every other one is loaded in its own by
    sentence-transformers, which is imported then and takes seconds. `n_threads` is for one batch.

    Raises:
        EncoderUnavailable: there is no such encoder, or it cannot be loaded.
    """
    if name == DEFAULT_ENCODER:
        return OnnxEncoder(default_folder(), name=name, n_threads=n_threads, precision=precision)
    try:
        # Here, not above: it imports torch, which the default does not need.
        from retrieval.encoders.sentence_transformers_encoder import SentenceTransformerEncoder
    except ImportError as exc:
        raise EncoderUnavailable(name, f"{type(exc).__name__}: {exc}") from exc
    return SentenceTransformerEncoder(name, n_threads=n_threads)
