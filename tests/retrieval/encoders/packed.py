"""A small model in the packed format, and its float32 weights."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HIDDEN, N_LAYERS, N_HEADS, INNER, N_POSITIONS = 32, 2, 2, 64, 16
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "▁ja", "▁nein", "x", "<mask>")
EPS = 1e-5
_SHORT = {
    "q": ("attention.self.query", HIDDEN, HIDDEN),
    "k": ("attention.self.key", HIDDEN, HIDDEN),
    "v": ("attention.self.value", HIDDEN, HIDDEN),
    "ao": ("attention.output.dense", HIDDEN, HIDDEN),
    "fi": ("intermediate.dense", INNER, HIDDEN),
    "fo": ("output.dense", HIDDEN, INNER),
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


class Packed(NamedTuple):
    """A whole file, and the weights in it by the names of transformers."""

    content: bytes
    weights: dict[str, NDArray[np.float32]]


def make_packed() -> Packed:
    """Return a model with random weights."""
    rng = np.random.default_rng(0)
    tensors: list[tuple[str, bytes, int]] = []
    weights: dict[str, NDArray[np.float32]] = {}

    def add_matrix(short: str, name: str, n_rows: int, n_columns: int) -> None:
        scales = rng.uniform(0.02, 0.05, (n_rows, n_columns // 32)).astype(np.float16)
        values = rng.integers(0, 16, (n_rows, n_columns // 32, 32), dtype=np.uint8)
        halves = values[..., :16] | (values[..., 16:] << 4)
        blocks = np.concatenate([scales[..., None].view(np.uint8), halves], axis=-1)
        tensors.append((short, blocks.tobytes(), 1))
        unpacked = (values.astype(np.float32) - 8) * scales.astype(np.float32)[..., None]
        weights[name] = unpacked.reshape(n_rows, n_columns)

    def add_vector(short: str, name: str, values: NDArray[np.float32]) -> None:
        tensors.append((short, values.astype("<f4").tobytes(), 0))
        weights[name] = values

    def random(*shape: int) -> NDArray[np.float32]:
        return rng.normal(scale=0.3, size=shape).astype(np.float32)

    add_matrix("emb.word", "embeddings.word_embeddings.weight", len(PIECES), HIDDEN)
    add_vector("emb.pos", "embeddings.position_embeddings.weight", random(N_POSITIONS, HIDDEN))
    add_vector("emb.type", "embeddings.token_type_embeddings.weight", random(2, HIDDEN))
    norms = {"emb.ln": "embeddings.LayerNorm"}
    for layer in range(N_LAYERS):
        long = f"encoder.layer.{layer}"
        for short, (name, n_rows, n_columns) in _SHORT.items():
            add_matrix(f"l{layer}.{short}.w", f"{long}.{name}.weight", n_rows, n_columns)
            add_vector(f"l{layer}.{short}.b", f"{long}.{name}.bias", random(n_rows))
        norms |= {f"l{layer}.{short}": f"{long}.{name}" for short, name in _NORMS.items()}
    for short, name in norms.items():
        add_vector(f"{short}.w", f"{name}.weight", 1 + random(HIDDEN))
        add_vector(f"{short}.b", f"{name}.bias", random(HIDDEN))
    return Packed(_write(tensors), weights)


def _write(tensors: list[tuple[str, bytes, int]]) -> bytes:
    sizes = (HIDDEN, N_LAYERS, N_HEADS, INNER, len(PIECES), N_POSITIONS, 2)
    head = b"E5S1" + struct.pack("<I7ifi", 1, *sizes, EPS, 32)
    encoded = [piece.encode() for piece in PIECES]
    starts = np.cumsum([0, *map(len, encoded)]).astype("<u4")
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(starts[-1]))
    head += starts.tobytes() + np.full(len(PIECES), -2.0, dtype="<f4").tobytes()
    head += b"".join(encoded)
    replaced = struct.pack("<IBI", ord("J"), 1, ord("j"))
    head += struct.pack("<iI", 1, len(replaced)) + replaced
    size = len(head) + 4 + sum(2 + len(name) + 21 for name, _, _ in tensors)
    directory, body = struct.pack("<i", len(tensors)), b""
    for name, content, kind in tensors:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, 0, size + len(body), len(content))
        body += content
    return head + directory + body
