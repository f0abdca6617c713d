"""A Llama model in GGUF, as the configuration and tensors that transformers and vLLM read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from embedded_model.errors import GgufInvalid
from embedded_model.gguf import Floats, GgufFile

ARCHITECTURE = "llama"
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# Whose rows the GGUF converter orders for rotary embeddings of neighbouring pairs.
_HEADS = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}


def build_config(gguf: GgufFile) -> dict[str, Any]:
    """Return the fields of config.json.

    Raises:
        GgufInvalid: the file holds no Llama, or does not say what is needed.
    """
    of = _Fields(gguf)
    found = of["general.architecture"]
    if found != ARCHITECTURE:
        raise GgufInvalid(gguf.path, found=f"architecture '{found}'", expected=f"'{ARCHITECTURE}'")
    hidden, heads = of["llama.embedding_length"], of["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": of["tokenizer.ggml.bos_token_id"],
        "dtype": "float32",
        "eos_token_id": of["tokenizer.ggml.eos_token_id"],
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": of["llama.feed_forward_length"],
        "max_position_embeddings": of["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": of["llama.block_count"],
        "num_key_value_heads": of["llama.attention.head_count_kv"],
        "pad_token_id": of["tokenizer.ggml.padding_token_id"],
        # The file has it as float32, of which the shortest decimal is what was meant.
        "rms_norm_eps": float(str(np.float32(of["llama.attention.layer_norm_rms_epsilon"]))),
        "rope_parameters": {"rope_theta": of["llama.rope.freq_base"], "rope_type": "default"},
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "vocab_size": len(of["tokenizer.ggml.tokens"]),
    }


def read_tensors(gguf: GgufFile) -> Iterator[tuple[str, Floats]]:
    """Yield the name in transformers and the weights of every tensor, as float32.

    Raises:
        GgufInvalid: a tensor has no counterpart in a Llama, or cannot be read.
    """
    of = _Fields(gguf)
    for stored in gguf.tensors:
        *block, part = stored.removesuffix(".weight").split(".")
        outer, inner = _OUTER.get(part), _INNER.get(part)
        if not block and outer:
            yield f"{outer}.weight", gguf.read(stored)
        elif block[:1] == ["blk"] and inner:
            weights = gguf.read(stored)
            if part in _HEADS:
                weights = restore_rows(weights, n_heads=of[f"llama.{_HEADS[part]}"])
            yield f"model.layers.{block[1]}.{inner}.weight", weights
        else:
            raise GgufInvalid(gguf.path, found=f"tensor {stored}", expected="those of a Llama")


def restore_rows(weights: Floats, *, n_heads: int) -> Floats:
    """Return the rows of a query or key projection in the order that transformers has them.

    transformers rotates row i of a head with row i + half of it, GGUF row 2i with row 2i + 1.
    """
    n_rows, n_in = weights.shape
    pairs = weights.reshape(n_heads, n_rows // n_heads // 2, 2, n_in)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(n_rows, n_in))


class _Fields:
    """The metadata of a file; a missing field is named."""

    def __init__(self, gguf: GgufFile) -> None:
        self._path = gguf.path
        self._metadata: Mapping[str, Any] = gguf.metadata

    def __getitem__(self, name: str) -> Any:
        try:
            return self._metadata[name]
        except KeyError:
            raise GgufInvalid(self._path, found="no such field", expected=name) from None
