"""Reads GGUF files: metadata, and tensors as float32.

The format, little-endian: magic, version, number of tensors and of metadata entries; the entries;
name, shape (fastest dimension first), type and offset of every tensor; padding; the tensors.
Quantised tensors are rows of blocks of 32 numbers. Only the types that the embedded model's file
holds are known.

Source: docs/gguf.md of ggml-org/ggml; block layouts in its ggml-common.h.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from embedded_model.errors import GgufInvalid

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Octets: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
BLOCK = 32
ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
_NUMBERS = {**dict(enumerate("BbHhIif?")), 10: "Q", 11: "q", 12: "d"}


class StoredTensor(NamedTuple):
    """A tensor in a file: its shape (rows first), its type's number, and its first byte."""

    shape: tuple[int, ...]
    type_id: int
    start: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """An opened GGUF file: what it says of itself, and where its tensors are."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    _content: mmap.mmap = field(repr=False)

    def read(self, name: str) -> Floats:
        """Return the tensor `name` as float32, in its shape.

        Raises:
            GgufInvalid: there is no such tensor, its type is unknown, or the file ends within it.
        """
        try:
            tensor = self.tensors[name]
        except KeyError:
            raise GgufInvalid(self.path, found="no such tensor", expected=name) from None
        layout = _LAYOUTS.get(tensor.type_id)
        n_numbers = math.prod(tensor.shape)
        if layout is None or n_numbers % layout.n_numbers:
            found = f"type {tensor.type_id}, shape {tensor.shape} of {name}"
            raise GgufInvalid(self.path, found=found, expected="F32, F16, Q4_1 or Q8_0")
        n_bytes = n_numbers // layout.n_numbers * layout.n_bytes
        if tensor.start + n_bytes > len(self._content):
            raise GgufInvalid(self.path, found=f"an end within {name}", expected="all of it")
        octets = np.frombuffer(self._content, np.uint8, n_bytes, tensor.start)
        return layout.decode(octets.reshape(-1, layout.n_bytes)).reshape(tensor.shape)


def open_gguf(path: Path) -> GgufFile:
    """Return the GGUF file at `path`, its metadata read and its tensors left where they are.

    Raises:
        GgufInvalid: it is none, of an unknown version, or ends too early.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise GgufInvalid(path, found="an empty file", expected="GGUF") from None
    if content[:4] != MAGIC:
        raise GgufInvalid(path, found=f"{content[:4]!r} at its start", expected=f"{MAGIC!r}")
    reader = _Reader(content, at=len(MAGIC))
    try:
        version, n_tensors, n_entries = reader.unpack("IQQ")
        if version not in VERSIONS:
            raise GgufInvalid(path, found=f"version {version}", expected="2 or 3")
        metadata = {reader.text(): reader.value() for _ in range(n_entries)}
        tensors = {reader.text(): reader.tensor() for _ in range(n_tensors)}
    except (struct.error, KeyError, UnicodeDecodeError, OverflowError) as exc:
        raise GgufInvalid(path, found=f"a damaged header ({exc!r})", expected="GGUF") from exc
    step = metadata.get(ALIGNMENT, 32)
    start = math.ceil(reader.at / step) * step
    placed = {name: each._replace(start=start + each.start) for name, each in tensors.items()}
    return GgufFile(path, metadata, placed, content)


class _Reader:
    """Reads one value after another."""

    def __init__(self, content: mmap.mmap, *, at: int) -> None:
        self.content = content
        self.at = at

    def unpack(self, codes: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{codes}", self.content, self.at)
        self.at += struct.calcsize(f"<{codes}")
        return values

    def text(self) -> str:
        (n_bytes,) = self.unpack("Q")
        (octets,) = self.unpack(f"{n_bytes}s")
        decoded: str = octets.decode()
        return decoded

    def value(self) -> Any:
        (type_id,) = self.unpack("I")
        return self._value_of(type_id)

    def tensor(self) -> StoredTensor:
        (n_dimensions,) = self.unpack("I")
        shape = self.unpack(f"{n_dimensions}Q")
        type_id, start = self.unpack("IQ")
        return StoredTensor(tuple(reversed(shape)), type_id, start)

    def _value_of(self, type_id: int) -> Any:
        if type_id == _STRING:
            return self.text()
        if type_id == _ARRAY:
            item_type, n_items = self.unpack("IQ")
            if item_type in _NUMBERS:
                return list(self.unpack(f"{n_items}{_NUMBERS[item_type]}"))
            return [self._value_of(item_type) for _ in range(n_items)]
        return self.unpack(_NUMBERS[type_id])[0]


def _decode_q4_1(blocks: Octets) -> Floats:
    """Each block: scale and least value as float16, then 16 bytes: 16 low halves, 16 high ones."""
    scale, least = (blocks[:, at : at + 2].copy().view("<f2").astype("<f4") for at in (0, 2))
    packed = blocks[:, 4:]
    numbers = np.concatenate([packed & 15, packed >> 4], axis=1).astype("<f4")
    return np.asarray(numbers * scale + least)


def _decode_q8_0(blocks: Octets) -> Floats:
    """Each block: scale as float16, then 32 signed bytes."""
    scale = blocks[:, :2].copy().view("<f2").astype("<f4")
    return np.asarray(blocks[:, 2:].copy().view("i1").astype("<f4") * scale)


def _decode_f32(blocks: Octets) -> Floats:
    return blocks.copy().view("<f4")


def _decode_f16(blocks: Octets) -> Floats:
    return blocks.copy().view("<f2").astype("<f4")


class _Layout(NamedTuple):
    """How many numbers and bytes a block has, and what makes numbers of (n, bytes) blocks."""

    n_numbers: int
    n_bytes: int
    decode: Callable[[Octets], Floats]


_LAYOUTS = {
    0: _Layout(1, 4, _decode_f32),
    1: _Layout(1, 2, _decode_f16),
    3: _Layout(BLOCK, 20, _decode_q4_1),
    8: _Layout(BLOCK, 34, _decode_q8_0),
}
