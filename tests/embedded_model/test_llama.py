from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from embedded_model.errors import GgufInvalid
from embedded_model.gguf import open_gguf
from embedded_model.llama import build_config, read_tensors, restore_rows
from embedded_model.unpack import write_model
from tests.embedded_model.tiny_gguf import F32, metadata, stored, weights, write_gguf


def test_rows_of_pairs_become_halves() -> None:
    # One head of four rows: GGUF holds 0 beside 2, and 1 beside 3.
    rows = np.array([[0.0], [2.0], [1.0], [3.0]], "<f4")

    assert restore_rows(rows, n_heads=1).ravel().tolist() == [0.0, 1.0, 2.0, 3.0]


def test_every_tensor_comes_back_under_its_name(tmp_path: Path) -> None:
    expected = weights()
    gguf = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(), stored(expected)))

    found = dict(read_tensors(gguf))

    assert found.keys() == expected.keys()
    for name, values in expected.items():
        # Four bits for a range of at most 0.9 are steps of 0.06, of which half is the error.
        assert np.abs(found[name] - values).max() < 0.035, name


def test_the_unpacked_model_computes_what_the_original_does(tmp_path: Path) -> None:
    # Quantised once, so that nothing is lost by the second time.
    first = open_gguf(write_gguf(tmp_path / "1.gguf", metadata(), stored(weights())))
    exact = dict(read_tensors(first))
    again = open_gguf(write_gguf(tmp_path / "2.gguf", metadata(), as_floats(exact)))
    unpacked, original = tmp_path / "unpacked", tmp_path / "original"
    for folder in (unpacked, original):
        folder.mkdir()
    write_model(again, unpacked)
    LlamaConfig(**build_config(again)).save_pretrained(original)
    save_file(exact, original / "model.safetensors", {"format": "pt"})

    tokens = torch.arange(3, 20)[None]
    found, expected = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(tokens).logits
        for folder in (unpacked, original)
    )

    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def as_floats(of: dict[str, np.ndarray]) -> dict[str, tuple[int, np.ndarray]]:
    return {name: (F32, values) for name, (_, values) in stored(of).items()}


def test_transformers_reads_the_configuration(tmp_path: Path) -> None:
    gguf = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(), stored(weights())))
    write_model(gguf, tmp_path)

    config = AutoConfig.from_pretrained(tmp_path)

    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (2, 1, 32)
    assert config.rms_norm_eps == 1e-5
    assert config.rope_parameters["rope_theta"] == 10000.0
    assert config.tie_word_embeddings


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    gguf = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(architecture="mamba"), {}))

    with pytest.raises(GgufInvalid, match="architecture 'mamba', expected 'llama'"):
        build_config(gguf)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    gguf = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(block_count=None), {}))

    with pytest.raises(GgufInvalid, match=r"expected llama\.block_count"):
        build_config(gguf)


def test_a_tensor_of_no_llama_is_refused(tmp_path: Path) -> None:
    tensors = {"blk.0.ssm_a.weight": (F32, np.ones(2, "<f4"))}
    gguf = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(), tensors))

    with pytest.raises(GgufInvalid, match=r"tensor blk\.0\.ssm_a\.weight"):
        list(read_tensors(gguf))
