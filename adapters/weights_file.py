"""Reads untrusted safetensors files: the header first, then the numbers in chunks.

The format: eight bytes, little-endian, with the length of the header; the header, JSON that gives
each tensor's dtype, shape and place; then the tensors, without gaps. Nothing in the file is
believed before it is checked against the file's size, and memory is bounded by the header's limit
and the size of a chunk.

Source: the format section of the safetensors documentation.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from adapters.errors import AdapterFault, AdapterRefused

MAX_HEADER_BYTES = 16 * 2**20
CHUNK_BYTES = 4 * 2**20
MAX_DIMENSIONS = 8
LENGTH_BYTES = 8
_METADATA = "__metadata__"
_DAMAGED = "Copy the file again from where it was made."
# Bytes per number. Formats of less than a byte are not listed: LoRA weights never have them.
ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
ADAPTER_DTYPES = frozenset({"F32", "F16", "BF16"})


# BF16 is the upper half of a float32, which numpy has no type for.
_KINDS: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: how it is stored, and its place counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a file says, checked against the file's size."""

    tensors: Mapping[str, Tensor]
    data_start: int


def read_header(
    path: Path, *, max_header_bytes: int = MAX_HEADER_BYTES, dtypes: frozenset[str] = ADAPTER_DTYPES
) -> Header:
    """Return the header of the safetensors file at `path`; no tensor is read.

    Raises:
        AdapterRefused: `FILE_MISSING`, `LINK` or `FILE_UNEXPECTED`, it is not a file; `TRUNCATED`,
            it ends before its header or its tensors do; `OVERSIZED`, the header is longer than
            `max_header_bytes`; `DTYPE`, a tensor has none of `dtypes`; `HEADER`, anything else
            that breaks the format.
    """
    with _open(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        raw = _read_raw_header(file, path=path, n_bytes=n_bytes, max_header_bytes=max_header_bytes)
    data_start = LENGTH_BYTES + len(raw)
    try:
        tensors = {name: _read_tensor(name, entry) for name, entry in _read_entries(raw).items()}
        _check_dtypes(tensors, path=path, dtypes=dtypes)
        end = _find_end(tensors)
        if end < n_bytes - data_start:
            raise ValueError(f"{n_bytes - data_start - end} bytes after the last tensor")
    except ValueError as exc:
        raise AdapterRefused(
            AdapterFault.HEADER,
            found=f"{exc} in {path.name}",
            expected="a safetensors file",
            remedy=_DAMAGED,
        ) from exc
    if end > n_bytes - data_start:
        raise _refuse_truncated(path, f"{n_bytes - data_start} bytes of tensors", str(end))
    return Header(tensors, data_start)


def find_zero_tensors(path: Path, header: Header) -> frozenset[str]:
    """Return the names of the tensors that hold nothing but zeros, having read every number.

    A tensor without numbers counts as zero. `header` is that of the file, with `ADAPTER_DTYPES`.

    Raises:
        AdapterRefused: `NOT_FINITE`, a number is NaN or infinite; `TRUNCATED`, the file became
            shorter than its header was.
    """
    zero = set()
    with _open(path) as file:
        for name, tensor in header.tensors.items():
            only_zeros = True
            for numbers in _read_numbers(file, tensor, at=header.data_start, path=path):
                if not np.isfinite(numbers).all():
                    raise AdapterRefused(
                        AdapterFault.NOT_FINITE,
                        found=f"NaN or infinity in tensor '{_clip(name)}' of {path.name}",
                        expected="finite numbers",
                        remedy="Train the adapter again, with a lower learning rate.",
                    )
                only_zeros = only_zeros and not numbers.any()
            if only_zeros:
                zero.add(name)
    return frozenset(zero)


def _read_raw_header(file: BinaryIO, *, path: Path, n_bytes: int, max_header_bytes: int) -> bytes:
    length_field = file.read(LENGTH_BYTES)
    if len(length_field) < LENGTH_BYTES:
        raise _refuse_truncated(path, f"{len(length_field)} bytes", f"{LENGTH_BYTES} for a length")
    length = int.from_bytes(length_field, "little")
    if length > max_header_bytes:
        raise AdapterRefused(
            AdapterFault.OVERSIZED,
            found=f"a header of {length} bytes in {path.name}",
            expected=f"at most {max_header_bytes}",
            remedy=_DAMAGED,
        )
    if length > n_bytes - LENGTH_BYTES:
        raise _refuse_truncated(
            path, f"{n_bytes} bytes", f"{LENGTH_BYTES} and a header of {length}"
        )
    raw = file.read(length)
    if len(raw) < length:
        raise _refuse_truncated(path, f"{len(raw)} bytes of a header", f"{length}")
    return raw


def _read_entries(raw: bytes) -> dict[str, Any]:
    try:
        # Spaces may follow the header, nothing may stand before it.
        if not raw.startswith(b"{"):
            raise ValueError("it does not start with '{'")
        entries: dict[str, Any] = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"a header that is no JSON object ({_clip(str(exc))})") from exc
    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("metadata that does not map texts to texts")
    return entries


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _read_tensor(name: str, entry: object) -> Tensor:
    here = f"tensor '{_clip(name)}'"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{here} without dtype, shape and data_offsets alone")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"{here} of the unknown dtype {_clip(str(dtype))}")
    if not _are_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{here} of the shape {_clip(str(shape))}")
    if not _are_counts(place) or len(place) != 2:
        raise ValueError(f"{here} at the place {_clip(str(place))}")
    start, end = place
    if end - start != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError(f"{here} with {end - start} bytes for {dtype} of shape {tuple(shape)}")
    return Tensor(dtype, tuple(shape), start, end)


def _are_counts(value: object) -> bool:
    # Beyond 64 bits tools disagree on what is meant; true and false are integers to Python.
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_dtypes(tensors: Mapping[str, Tensor], *, path: Path, dtypes: frozenset[str]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in dtypes:
            raise AdapterRefused(
                AdapterFault.DTYPE,
                found=f"{tensor.dtype} in tensor '{_clip(name)}' of {path.name}",
                expected=f"one of {', '.join(sorted(dtypes))}",
                remedy="Save the weights in one of those.",
            )


def _find_end(tensors: Mapping[str, Tensor]) -> int:
    """Return where the last tensor ends, having checked that there is no gap before any."""
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != at:
            raise ValueError(f"tensor '{_clip(name)}' at byte {tensor.start}, not at {at}")
        at = tensor.end
    return at


def _read_numbers(
    file: BinaryIO, tensor: Tensor, *, at: int, path: Path
) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Yield the numbers of a tensor in chunks; `at` is where the header ends."""
    kind = _KINDS[tensor.dtype]
    file.seek(at + tensor.start)
    left = tensor.end - tensor.start
    while left:
        data = file.read(min(left, CHUNK_BYTES))
        if not data or len(data) % kind.itemsize:
            raise _refuse_truncated(path, "an end within a tensor", "all of it")
        left -= len(data)
        numbers = np.frombuffer(data, kind)
        is_bfloat = tensor.dtype == "BF16"
        yield (numbers.astype("<u4") << 16).view("<f4") if is_bfloat else numbers


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        # Not through a link, and without waiting for the other end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise AdapterRefused(
            AdapterFault.LINK if exc.errno == errno.ELOOP else AdapterFault.FILE_MISSING,
            found=f"{path.name}, which cannot be opened ({exc})",
            expected="a file with weights",
        ) from exc
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise AdapterRefused(
                AdapterFault.FILE_UNEXPECTED, found=f"{path.name}, no plain file", expected="a file"
            )
        yield file


def _refuse_truncated(path: Path, found: str, expected: str) -> AdapterRefused:
    return AdapterRefused(
        AdapterFault.TRUNCATED, found=f"{found} in {path.name}", expected=expected, remedy=_DAMAGED
    )


def _clip(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
