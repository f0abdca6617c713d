"""BERT as an ONNX graph whose matrices stay in 4 bits, as the packed file has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from retrieval.encoders.bert_folder import BertConfig
from retrieval.encoders.bert_graph import BertGraph
from retrieval.encoders.packed_file import PackedModel

_NAMES = (
    ("encoder.layer.", "l"),
    ("embeddings.LayerNorm", "emb.ln"),
    ("attention.self.query", "q"),
    ("attention.self.key", "k"),
    ("attention.self.value", "v"),
    ("attention.output.dense", "ao"),
    ("attention.output.LayerNorm", "aln"),
    ("intermediate.dense", "fi"),
    ("output.dense", "fo"),
    ("output.LayerNorm", "oln"),
    (".weight", ".w"),
    (".bias", ".b"),
)


class PackedGraph(BertGraph):
    """A BERT whose words are looked up outside of it.

    Its input is `embedded`, float32[1, length, hidden_size]: words, positions and type, summed.
    """

    def __init__(self, packed: PackedModel) -> None:
        sizes = packed.sizes
        config = BertConfig(
            model_type="bert",
            hidden_act="gelu",
            hidden_size=sizes.hidden,
            num_attention_heads=sizes.n_heads,
            num_hidden_layers=sizes.n_layers,
            max_position_embeddings=sizes.n_positions,
            layer_norm_eps=sizes.layer_norm_eps,
        )
        super().__init__(config, _Vectors(packed))
        self._packed = packed

    def _input(self) -> ValueInfoProto:
        shape: list[str | int | None] = [1, "length", self._config.hidden_size]
        return helper.make_tensor_value_info("embedded", TensorProto.FLOAT, shape)

    def _embed(self) -> str:
        return self._normalise("embedded", "embeddings.LayerNorm")

    def _multiply(self, hidden: str, name: str) -> str:
        n_rows = len(self._weights[name.replace(".weight", ".bias")])
        matrix = self._packed.matrix(_short(name), n_rows=n_rows)
        return self._multiply_blocks(hidden, name, matrix, n_bits=4)


class _Vectors(Mapping[str, NDArray[np.float32]]):
    """What of the weights is no matrix, by the names that transformers gives them."""

    def __init__(self, packed: PackedModel) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._packed.vector(_short(name))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _short(name: str) -> str:
    """Return what the file calls a weight: `encoder.layer.0.output.dense.bias` is `l0.fo.b`."""
    for long, short in _NAMES:
        name = name.replace(long, short)
    return name
