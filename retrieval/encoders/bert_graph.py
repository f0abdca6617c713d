"""BERT as an ONNX graph, made from a configuration and named weights.

Source: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers"; the names of
the weights are those of transformers' `BertModel`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from retrieval.encoders.bert_folder import BertConfig, Weights

OPSET = 20  # the first with Gelu
IR_VERSION = 10
# Large enough that a masked token gets no weight, small enough that a sum stays finite.
MASKED = -1e30


class BertGraph:
    """The nodes of a BERT, added in the order in which they compute.

    Each method adds nodes, and returns the name of their result.
    """

    def __init__(self, config: BertConfig, weights: Weights) -> None:
        self._config = config
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._used: dict[str, TensorProto] = {}

    def build(self) -> bytes:
        """Return the serialised model, whose weights are external and handed in beside it.

        Inputs: `input_ids` and `attention_mask`, int64[n, length]. Output: `hidden`,
        float32[n, length, hidden_size], the last layer's vector of each token.

        Raises:
            KeyError: a weight is not there.
        """
        hidden = self._embed()
        mask = self._mask()
        for layer in range(self._config.num_hidden_layers):
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}")
        self._add("Identity", [hidden], output="hidden")
        ids = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        shape: list[str | int | None] = ["n", "length", self._config.hidden_size]
        result = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)
        tensors = [*self._constants, *self._used.values()]
        graph = helper.make_graph(self._nodes, "bert", ids, [result], tensors)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        serialised: bytes = model.SerializeToString()
        return serialised

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the weights that the built graph wants."""
        return tuple(self._used)

    def _embed(self) -> str:
        """Words, positions and the first token type, summed and normalised."""
        words = self._add(
            "Gather", [self._weight("embeddings.word_embeddings.weight"), "input_ids"]
        )
        zero, one = self._constant([0]), self._constant([1])
        length = self._add("Shape", ["input_ids"], start=1, end=2)
        position_weights = self._weight("embeddings.position_embeddings.weight")
        positions = self._add("Slice", [position_weights, zero, length])
        type_weights = self._weight("embeddings.token_type_embeddings.weight")
        first_type = self._add("Slice", [type_weights, zero, one])
        summed = self._add("Add", [self._add("Add", [words, first_type]), positions])
        return self._normalise(summed, "embeddings.LayerNorm")

    def _mask(self) -> str:
        """What is added to attention scores, float32[n, 1, 1, length]: 0, or MASKED."""
        seen = self._add("Cast", ["attention_mask"], to=TensorProto.BOOL)
        seen = self._add("Unsqueeze", [seen, self._constant([1, 2])])
        return self._add("Where", [seen, self._number(0.0), self._number(MASKED)])

    def _layer(self, hidden: str, mask: str, name: str) -> str:
        attended = self._attend(hidden, mask, f"{name}.attention.self")
        attended = self._project(attended, f"{name}.attention.output.dense")
        summed = self._add("Add", [attended, hidden])
        hidden = self._normalise(summed, f"{name}.attention.output.LayerNorm")
        inner = self._add("Gelu", [self._project(hidden, f"{name}.intermediate.dense")])
        summed = self._add("Add", [self._project(inner, f"{name}.output.dense"), hidden])
        return self._normalise(summed, f"{name}.output.LayerNorm")

    def _attend(self, hidden: str, mask: str, name: str) -> str:
        size = self._config.hidden_size // self._config.num_attention_heads
        query = self._split(self._project(hidden, f"{name}.query"), order=[0, 2, 1, 3])
        key = self._split(self._project(hidden, f"{name}.key"), order=[0, 2, 3, 1])
        value = self._split(self._project(hidden, f"{name}.value"), order=[0, 2, 1, 3])
        scale = self._number(1 / math.sqrt(size))
        scores = self._add("Mul", [self._add("MatMul", [query, key]), scale])
        shares = self._add("Softmax", [self._add("Add", [scores, mask])], axis=-1)
        mixed = self._add("MatMul", [shares, value])
        mixed = self._add("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self._add("Reshape", [mixed, self._constant([0, 0, self._config.hidden_size])])

    def _split(self, hidden: str, *, order: list[int]) -> str:
        """Parts the components of each token among the heads, and puts the axes in `order`."""
        heads = self._config.num_attention_heads
        shape = self._constant([0, 0, heads, self._config.hidden_size // heads])
        return self._add("Transpose", [self._add("Reshape", [hidden, shape])], perm=order)

    def _project(self, hidden: str, name: str) -> str:
        weight = self._add("Transpose", [self._weight(f"{name}.weight")], perm=[1, 0])
        return self._add(
            "Add", [self._add("MatMul", [hidden, weight]), self._weight(f"{name}.bias")]
        )

    def _normalise(self, hidden: str, name: str) -> str:
        return self._add(
            "LayerNormalization",
            [hidden, self._weight(f"{name}.weight"), self._weight(f"{name}.bias")],
            axis=-1,
            epsilon=self._config.layer_norm_eps,
        )

    def _add(self, operator: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _weight(self, name: str) -> str:
        weight = self._weights[name]
        tensor = TensorProto(name=name, dims=weight.shape, data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=name)
        self._used[name] = tensor
        return name

    def _constant(self, values: Iterable[int]) -> str:
        return self._keep(np.array(list(values), dtype=np.int64))

    def _number(self, value: float) -> str:
        return self._keep(np.array(value, dtype=np.float32))

    def _keep(self, values: np.ndarray[tuple[int, ...], np.dtype[np.int64 | np.float32]]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name
