"""Weights are read from their file as they are asked for, and are those that it holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from retrieval.encoders.bert_folder import BertConfig, default_folder, read_weights
from retrieval.encoders.bert_graph import WORDS, BertGraph, Precision, WordGraph
from retrieval.encoders.onnx_session import open_session
from tests.retrieval.encoders import packed


def write(folder: Path, dtype: type[np.floating]) -> dict[str, NDArray[np.floating]]:
    generator = np.random.default_rng(0)
    tensors = {
        "first": generator.normal(size=(3, 5)).astype(dtype),
        "second": generator.normal(size=7).astype(dtype),
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "np"})
    return tensors


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_are_what_was_written(tmp_path: Path, dtype: type[np.floating]) -> None:
    written = write(tmp_path, dtype)
    weights, _ = read_weights(tmp_path)
    assert sorted(weights) == ["first", "second"]
    for name, tensor in written.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], tensor.astype(np.float32))


def test_the_packaged_weights_are_read_as_safetensors_reads_them() -> None:
    weights, _ = read_weights(default_folder())
    expected = load_file(default_folder() / "model.safetensors")
    for name in (WORDS, "encoder.layer.5.output.dense.weight", "encoder.layer.0.output.dense.bias"):
        np.testing.assert_array_equal(weights[name], expected[name])


def test_weights_stay_in_their_file_until_they_are_looked_at(tmp_path: Path) -> None:
    write(tmp_path, np.float32)
    weights, _ = read_weights(tmp_path)
    base = weights["first"].base
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_a_type_that_no_weight_has_is_refused(tmp_path: Path) -> None:
    save_file({"counts": np.arange(3)}, tmp_path / "model.safetensors")
    weights, _ = read_weights(tmp_path)
    with pytest.raises(ValueError, match="counts is I64, expected F32 or F16"):
        weights["counts"]


@pytest.mark.parametrize("n_left", [4, 40, -1])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, n_left: int) -> None:
    write(tmp_path, np.float32)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:n_left])
    with pytest.raises((SafetensorError, json.JSONDecodeError)):
        read_weights(tmp_path)


@pytest.mark.parametrize("precision", list(Precision))
def test_words_looked_up_outside_of_the_graph_give_the_same_to_the_last_bit(
    precision: Precision,
) -> None:
    made = packed.make_packed()
    config = BertConfig(
        model_type="bert",
        hidden_act="gelu",
        hidden_size=packed.HIDDEN,
        num_attention_heads=packed.N_HEADS,
        num_hidden_layers=packed.N_LAYERS,
        max_position_embeddings=packed.N_POSITIONS,
        layer_norm_eps=packed.EPS,
    )
    ids = [0, 3, 1, 2]
    inside = open_session(BertGraph(config, made.weights, precision=precision), n_threads=1)
    outside = open_session(WordGraph(config, made.weights, precision=precision), n_threads=1)
    [expected] = inside.run(None, {"input_ids": np.array([ids], dtype=np.int64)})
    words = np.asarray(made.weights[WORDS], dtype=np.float32)[ids][None]
    [found] = outside.run(None, {"words": words})
    np.testing.assert_array_equal(found, expected)
