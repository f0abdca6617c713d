"""BERT as an ONNX graph, made from a configuration and named weights.

It takes one text at a time, so there is no padding and no mask. Source: Devlin et al. (2019),
"BERT: Pre-training of Deep Bidirectional Transformers"; the names of the weights are those of
transformers' `BertModel`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from retrieval.encoders.bert_folder import BertConfig, Weights

OPSET = 20  # the first with Gelu
IR_VERSION = 10
MICROSOFT = "com.microsoft"
# Of a matrix in int8, so many weights in a row share a scale, and so do the values they multiply.
BLOCK = 64
_HALF = 128
# The values are rounded to int8 as well, and products summed as integers.
_INT8_PRODUCTS = 4
# The weights that are half of a small BERT, and of which a text needs a few rows.
WORDS = "embeddings.word_embeddings.weight"


Tensor = NDArray[np.float32] | NDArray[np.uint8]


class Precision(StrEnum):
    """What the matrices are multiplied in; everything else is float32."""

    FLOAT32 = "float32"
    INT8 = "int8"


class Quantised(NamedTuple):
    """A matrix [rows, columns] as `(values - zero) * scales`, block by block of its rows.

    In 8 bits zero is 128; in 4 bits it is 8, and a byte holds two values, the first in its low
    half.

    Attributes:
        values: uint8[rows, blocks, bytes of a block].
        scales: float32[rows, blocks].
    """

    values: NDArray[np.uint8]
    scales: NDArray[np.float32]


def quantise(matrix: NDArray[np.float32]) -> Quantised:
    """Return a matrix float32[rows, n * BLOCK] in int8, each block by its largest value."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2), np.finfo(np.float32).tiny) / (_HALF - 1)
    values = np.rint(blocks / scales[:, :, None]) + _HALF
    return Quantised(values.astype(np.uint8), scales.astype(np.float32))


class BertGraph:
    """The nodes of a BERT, added in the order in which they compute.

    Each method adds nodes, and returns the name of their result.
    """

    def __init__(
        self, config: BertConfig, weights: Weights, *, precision: Precision = Precision.FLOAT32
    ) -> None:
        """Take the weights. In int8 a matrix whose columns are no multiple of BLOCK stays."""
        self._config = config
        self._weights = weights
        self._precision = precision
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: dict[str, TensorProto] = {}
        self._used: dict[str, Tensor] = {}

    def build(self) -> bytes:
        """Return the serialised model, whose weights are external and handed in beside it.

        Input: `input_ids`, int64[1, length]. Output: `hidden`, float32[1, length, hidden_size], the
        last layer's vector of each token.

        Raises:
            KeyError: a weight is not there.
        """
        hidden = self._embed()
        for layer in range(self._config.num_hidden_layers):
            hidden = self._layer(hidden, f"encoder.layer.{layer}")
        self._add("Identity", [hidden], output="hidden")
        shape: list[str | int | None] = [1, "length", self._config.hidden_size]
        result = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)
        tensors = [*self._constants, *self._inputs.values()]
        graph = helper.make_graph(self._nodes, "bert", [self._input()], [result], tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        serialised: bytes = model.SerializeToString()
        return serialised

    @property
    def used(self) -> Mapping[str, Tensor]:
        """The weights that the built graph wants, by name."""
        return self._used

    def _input(self) -> ValueInfoProto:
        return helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])

    def _embed(self) -> str:
        """Words, positions and the first token type, summed and normalised."""
        words = self._find_words()
        zero, one = self._constant([0]), self._constant([1])
        length = self._add("Shape", [words], start=1, end=2)
        position_weights = self._weight("embeddings.position_embeddings.weight")
        positions = self._add("Slice", [position_weights, zero, length])
        type_weights = self._weight("embeddings.token_type_embeddings.weight")
        first_type = self._add("Slice", [type_weights, zero, one])
        summed = self._add("Add", [self._add("Add", [words, first_type]), positions])
        return self._normalise(summed, "embeddings.LayerNorm")

    def _find_words(self) -> str:
        return self._add("Gather", [self._weight(WORDS), "input_ids"])

    def _layer(self, hidden: str, name: str) -> str:
        attended = self._attend(hidden, f"{name}.attention.self")
        attended = self._project(attended, f"{name}.attention.output.dense")
        summed = self._add("Add", [attended, hidden])
        hidden = self._normalise(summed, f"{name}.attention.output.LayerNorm")
        inner = self._add("Gelu", [self._project(hidden, f"{name}.intermediate.dense")])
        summed = self._add("Add", [self._project(inner, f"{name}.output.dense"), hidden])
        return self._normalise(summed, f"{name}.output.LayerNorm")

    def _attend(self, hidden: str, name: str) -> str:
        size = self._config.hidden_size // self._config.num_attention_heads
        query = self._split(self._project(hidden, f"{name}.query"), order=[0, 2, 1, 3])
        key = self._split(self._project(hidden, f"{name}.key"), order=[0, 2, 3, 1])
        value = self._split(self._project(hidden, f"{name}.value"), order=[0, 2, 1, 3])
        scale = self._number(1 / math.sqrt(size))
        scores = self._add("Mul", [self._add("MatMul", [query, key]), scale])
        shares = self._add("Softmax", [scores], axis=-1)
        mixed = self._add("MatMul", [shares, value])
        mixed = self._add("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self._add("Reshape", [mixed, self._constant([0, 0, self._config.hidden_size])])

    def _split(self, hidden: str, *, order: list[int]) -> str:
        """Parts the components of each token among the heads, and puts the axes in `order`."""
        heads = self._config.num_attention_heads
        shape = self._constant([0, 0, heads, self._config.hidden_size // heads])
        return self._add("Transpose", [self._add("Reshape", [hidden, shape])], perm=order)

    def _project(self, hidden: str, name: str) -> str:
        product = self._multiply(hidden, f"{name}.weight")
        return self._add("Add", [product, self._weight(f"{name}.bias")])

    def _multiply(self, hidden: str, name: str) -> str:
        n_columns = self._weights[name].shape[1]
        if self._precision is Precision.FLOAT32 or n_columns % BLOCK:
            weight = self._add("Transpose", [self._weight(name)], perm=[1, 0])
            return self._add("MatMul", [hidden, weight])
        return self._multiply_blocks(hidden, name, quantise(self._weights[name]), n_bits=8)

    def _multiply_blocks(self, hidden: str, name: str, matrix: Quantised, *, n_bits: int) -> str:
        n_out, n_blocks = matrix.scales.shape
        n_in = n_blocks * matrix.values.shape[2] * 8 // n_bits
        return self._add(
            "MatMulNBits",
            [hidden, *(self._use(f"{name}.{part}", t) for part, t in matrix._asdict().items())],
            domain=MICROSOFT,
            **{"K": n_in, "N": n_out, "bits": n_bits, "block_size": n_in // n_blocks},
            accuracy_level=_INT8_PRODUCTS,
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
        return self._use(name, self._weights[name])

    def _use(self, name: str, values: Tensor) -> str:
        data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = TensorProto(name=name, dims=values.shape, data_type=data_type)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=name)
        self._inputs[name], self._used[name] = tensor, values
        return name

    def _constant(self, values: Iterable[int]) -> str:
        return self._keep(np.array(list(values), dtype=np.int64))

    def _number(self, value: float) -> str:
        return self._keep(np.array(value, dtype=np.float32))

    def _keep(self, values: np.ndarray[tuple[int, ...], np.dtype[np.int64 | np.float32]]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name


class WordGraph(BertGraph):
    """A BERT whose words are looked up outside of it, so that their weights need not be in memory.

    Its input is `words`, float32[1, length, hidden_size]: rows of `WORDS`.
    """

    def _input(self) -> ValueInfoProto:
        shape: list[str | int | None] = [1, "length", self._config.hidden_size]
        return helper.make_tensor_value_info("words", TensorProto.FLOAT, shape)

    def _find_words(self) -> str:
        return "words"
