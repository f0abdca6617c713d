"""A Llama of random weights, for tests that need some small base model, not a good one."""

from __future__ import annotations

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from embedded_model.errors import PackageMissing
from embedded_model.gguf import open_gguf
from embedded_model.source import SMOLLM2, find_file
from embedded_model.tokenizer import write_tokenizer

# From three layers on, peft names modules by their last part.
N_LAYERS, HIDDEN, INNER, HEAD = 3, 64, 96, 16
N_HEADS, N_KV_HEADS = 4, 2
# Those of SmolLM2's tokenizer.
N_TOKENS, BEGIN, END = 49_152, 1, 2
_QUERIES, _KEYS = N_HEADS * HEAD, N_KV_HEADS * HEAD
_MATRICES = {
    "self_attn.q_proj": (_QUERIES, HIDDEN),
    "self_attn.k_proj": (_KEYS, HIDDEN),
    "self_attn.v_proj": (_KEYS, HIDDEN),
    "self_attn.o_proj": (HIDDEN, _QUERIES),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
_NORMS = ("input_layernorm", "post_attention_layernorm")
_SPECIAL = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END}
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "dtype": "float32",
    "head_dim": HEAD,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "max_position_embeddings": 2048,
    "model_type": "llama",
    "num_attention_heads": N_HEADS,
    "num_hidden_layers": N_LAYERS,
    "num_key_value_heads": N_KV_HEADS,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
    "vocab_size": N_TOKENS,
} | _SPECIAL


@cache
def tiny_llama() -> Path:
    """Return a folder with the model's config and weights, written once per process."""
    folder = _make_folder()
    save_file(_draw_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in (("config", _CONFIG), ("generation_config", _SPECIAL)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2))
    return folder


@cache
def tiny_chat_llama() -> Path:
    """Return a folder with the model and SmolLM2's tokenizer, written once per process.

    The test is skipped if the package that brings the tokenizer is missing.
    """
    try:
        gguf = open_gguf(find_file(SMOLLM2))
    except PackageMissing as exc:
        pytest.skip(str(exc))
    folder = Path(shutil.copytree(tiny_llama(), _make_folder(), dirs_exist_ok=True))
    write_tokenizer(gguf, folder)
    return folder


def _make_folder() -> Path:
    folder = Path(mkdtemp(prefix="milieu-tiny-llama-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _draw_weights() -> dict[str, npt.NDArray[np.float16]]:
    draw = np.random.default_rng(0)
    layers = [f"model.layers.{i}" for i in range(N_LAYERS)]
    shapes = {f"{layer}.{of}": shape for layer in layers for of, shape in _MATRICES.items()}
    shapes["model.embed_tokens"] = (N_TOKENS, HIDDEN)
    norms = ["model.norm", *(f"{layer}.{norm}" for layer in layers for norm in _NORMS)]
    # As wide as makes one token likelier than another, and an answer depend on what was asked.
    tensors = {
        f"{name}.weight": (draw.standard_normal(shape, np.float32) / 8).astype(np.float16)
        for name, shape in shapes.items()
    }
    return tensors | {f"{name}.weight": np.ones(HIDDEN, np.float16) for name in norms}
