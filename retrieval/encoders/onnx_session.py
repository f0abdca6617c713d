"""ONNX Runtime, which is loaded here alone: it computes, and tells nobody of it."""

from __future__ import annotations

import os

from retrieval.encoders.bert_graph import BertGraph

# Otherwise it keeps an id of the machine in the home folder, and tells Microsoft of each use. It
# looks for this when it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def open_session(graph: BertGraph, *, n_threads: int) -> onnxruntime.InferenceSession:
    """Return a session that computes `graph` on the CPU, in `n_threads`."""
    model = graph.build()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that wait for the next batch sleep, so that an idle service uses no core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_external_initializers(
        list(graph.used),
        [onnxruntime.OrtValue.ortvalue_from_numpy(values) for values in graph.used.values()],
    )
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
