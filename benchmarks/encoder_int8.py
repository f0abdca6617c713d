"""The packaged encoder quantised to int8: the most exact of the ways that ONNX Runtime offers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from retrieval.encoders.bert_folder import (
    default_folder,
    read_bert_config,
    read_pooling,
    read_tokenizer,
    read_weights,
)
from retrieval.encoders.bert_graph import BertGraph
from retrieval.encoders.joint_encoding import JointEncoding
from retrieval.encoders.onnx_encoder import OnnxEncoder


class Int8Encoder(OnnxEncoder):
    """The packaged encoder with a model that `quantise` wrote."""

    def __init__(self, model: Path) -> None:
        folder = default_folder()
        config = read_bert_config(folder)
        self._first_token = read_pooling(folder).pooling_mode_cls_token
        self._tokenizer = read_tokenizer(folder, config)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.model_id = "int8"
        self.dim = config.hidden_size
        self._encode_jointly = JointEncoding(self._encode)


def quantise(file: Path) -> None:
    """Write the packaged encoder to `file`, its weights as int8 with a scale per channel."""
    folder = default_folder()
    weights, _ = read_weights(folder)
    model = onnx.load_model_from_string(BertGraph(read_bert_config(folder), weights).build())
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in tensors.keys() & weights.keys():
        tensors[name].CopyFrom(numpy_helper.from_array(weights[name], name))
    # Only a weight that no node computes is quantised, so it is transposed here.
    transposed = [
        node
        for node in model.graph.node
        if node.op_type == "Transpose" and node.input[0] in tensors
    ]
    for node in transposed:
        weight = np.ascontiguousarray(weights[node.input[0]].T)
        model.graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
        model.graph.node.remove(node)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "float32.onnx"
        onnx.save(model, whole)
        quantize_dynamic(
            whole,
            file,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
