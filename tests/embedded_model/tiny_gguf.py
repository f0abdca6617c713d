"""A tiny Llama as a GGUF file, written as llama.cpp's converter writes one, and its package."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedded_model.source import ModelSource

Array = npt.NDArray[Any]
F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
HIDDEN, INNER, N_HEADS, N_KV_HEADS, N_LAYERS = 64, 96, 2, 1, 2
KV = HIDDEN // N_HEADS * N_KV_HEADS
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
# How byte-level BPE spells a space and a line's end.
SPACE, LINE = "Ġ", "Ċ"
LETTERS = (*"abcdehlnortuw0123456789.%", SPACE, LINE)
MERGES = (f"{SPACE} {SPACE}", f"{LINE} {LINE}", "h e", "l l", "he ll", "hell o")
MATRICES = {
    "attn_q": ("self_attn.q_proj", (HIDDEN, HIDDEN)),
    "attn_k": ("self_attn.k_proj", (KV, HIDDEN)),
    "attn_v": ("self_attn.v_proj", (KV, HIDDEN)),
    "attn_output": ("self_attn.o_proj", (HIDDEN, HIDDEN)),
    "ffn_gate": ("mlp.gate_proj", (INNER, HIDDEN)),
    "ffn_up": ("mlp.up_proj", (INNER, HIDDEN)),
    "ffn_down": ("mlp.down_proj", (HIDDEN, INNER)),
}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def metadata(**changed: Any) -> dict[str, Any]:
    """The metadata of the tiny Llama; `changed` by their last part, None for leaving it out."""
    tokens = [*CONTROL, *LETTERS, *(pair.replace(" ", "") for pair in MERGES)]
    fields = {
        "general.architecture": "llama",
        "llama.block_count": N_LAYERS,
        "llama.context_length": 128,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": N_HEADS,
        "llama.attention.head_count_kv": N_KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)),
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": TEMPLATE,
    }
    for name in list(fields):
        last = name.rpartition(".")[2]
        if last in changed:
            fields[name] = changed[last]
    return {name: value for name, value in fields.items() if value is not None}


def weights(seed: int = 3) -> dict[str, Array]:
    """Random weights of the tiny Llama, by their names in transformers."""
    draw = np.random.default_rng(seed)
    n_tokens = len(metadata()["tokenizer.ggml.tokens"])
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (n_tokens, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    for layer in range(N_LAYERS):
        for name, shape in MATRICES.values():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
        for name in NORMS.values():
            shapes[f"model.layers.{layer}.{name}.weight"] = (HIDDEN,)
    return {name: draw.normal(0, 0.1, shape).astype("<f4") for name, shape in shapes.items()}


def stored(of: Mapping[str, Array]) -> dict[str, tuple[int, Array]]:
    """`of` as a converter stores it: by GGUF's names, with types, queries and keys in pairs."""
    tensors = {
        "token_embd.weight": (Q8_0, of["model.embed_tokens.weight"]),
        "output_norm.weight": (F32, of["model.norm.weight"]),
    }
    for layer in range(N_LAYERS):
        for name, (named, _) in MATRICES.items():
            matrix = of[f"model.layers.{layer}.{named}.weight"]
            if name in ("attn_q", "attn_k"):
                matrix = pair_rows(matrix, N_HEADS if name == "attn_q" else N_KV_HEADS)
            tensors[f"blk.{layer}.{name}.weight"] = (Q4_1, matrix)
        for name, named in NORMS.items():
            tensors[f"blk.{layer}.{name}.weight"] = (
                F32,
                of[f"model.layers.{layer}.{named}.weight"],
            )
    return tensors


def pair_rows(matrix: Array, n_heads: int) -> Array:
    """Rows i and i + half of each head side by side."""
    rows = []
    for head in np.split(matrix, n_heads):
        half = len(head) // 2
        for i in range(half):
            rows += [head[i], head[half + i]]
    return np.stack(rows)


def pack(type_id: int, values: Array) -> bytes:
    """`values` quantised, row by row, in blocks of 32."""
    if type_id in (F32, F16):
        return values.astype("<f4" if type_id == F32 else "<f2").tobytes()
    blocks = values.reshape(-1, 32)
    return b"".join(_pack_q4_1(b) if type_id == Q4_1 else _pack_q8_0(b) for b in blocks)


def _pack_q4_1(block: Array) -> bytes:
    least, scale = np.float16(block.min()), np.float16((block.max() - block.min()) / 15)
    steps = [round(float(np.clip((x - least) / scale, 0, 15))) for x in block]
    packed = bytes(steps[i] | steps[i + 16] << 4 for i in range(16))
    return scale.tobytes() + least.tobytes() + packed


def _pack_q8_0(block: Array) -> bytes:
    scale = np.float16(abs(block).max() / 127)
    return scale.tobytes() + struct.pack("32b", *(round(float(x / scale)) for x in block))


def write_gguf(
    path: Path,
    fields: Mapping[str, Any],
    tensors: Mapping[str, tuple[int, Array]],
    *,
    version: int = 3,
) -> Path:
    """Write a GGUF file, and return its path."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(fields))
    head += b"".join(_text(name) + _value(value) for name, value in fields.items())
    data = b""
    for name, (type_id, values) in tensors.items():
        shape = values.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", type_id, len(data))
        data += _padded(pack(type_id, values))
    path.write_bytes(_padded(head) + data)
    return path


def write_package(site: Path, gguf: Path, *, version: str = "1.0") -> ModelSource:
    """Put `gguf` into an installed package in `site`, which is on the path, and return it."""
    package, about = site / "tiny_llm", site / f"tiny_llm-{version}.dist-info"
    for folder in (package, about):
        folder.mkdir(parents=True)
    (package / "tiny.gguf").write_bytes(gguf.read_bytes())
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-llm\nVersion: {version}\n")
    sha256 = hashlib.sha256(gguf.read_bytes()).hexdigest()
    return ModelSource("tiny", "tiny-llm", "1.0", "tiny_llm/tiny.gguf", sha256)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    return struct.pack("<I", 9) + _items(value)


def _items(items: Sequence[Any]) -> bytes:
    if isinstance(items[0], str):
        return struct.pack("<IQ", 8, len(items)) + b"".join(map(_text, items))
    return struct.pack(f"<IQ{len(items)}i", 5, len(items), *items)


def _padded(data: bytes) -> bytes:
    return data + bytes(math.ceil(len(data) / 32) * 32 - len(data))
