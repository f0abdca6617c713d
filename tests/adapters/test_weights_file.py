from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from adapters import weights_file
from adapters.errors import AdapterFault, AdapterRefused
from adapters.weights_file import find_zero_tensors, read_header
from tests.adapters.loras import Tensors, raw_safetensors

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def refusal_of(path: Path, content: bytes, **limits: Any) -> AdapterRefused:
    path.write_bytes(content)
    with pytest.raises(AdapterRefused) as caught:
        find_zero_tensors(path, read_header(path, **limits))
    return caught.value


def one_tensor(path: Path, dtype: str, bits: list[int]) -> Path:
    """Write a file with one tensor of the given bit patterns."""
    width = 4 if dtype == "F32" else 2
    data = b"".join(pattern.to_bytes(width, "little") for pattern in bits)
    entry = {"dtype": dtype, "shape": [len(bits)], "data_offsets": [0, len(data)]}
    path.write_bytes(raw_safetensors({"w": entry}, data))
    return path


def test_a_file_of_the_library_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    arrays: Tensors = {"a": np.ones((2, 3), np.float32), "b": np.zeros((4,), np.float16)}
    save_file(arrays, path, metadata={"format": "pt"})

    header = read_header(path)

    assert {name: tensor.shape for name, tensor in header.tensors.items()} == {
        "a": (2, 3),
        "b": (4,),
    }
    assert find_zero_tensors(path, header) == {"b"}


@pytest.mark.parametrize(
    ("dtype", "bits", "is_zero"),
    [
        ("F32", [0x0000_0000, 0x8000_0000], True),  # 0 and -0
        ("F32", [0x0000_0001], False),  # the smallest positive number
        ("F32", [0x7F7F_FFFF], False),  # the largest
        ("F16", [0x0000, 0x8000], True),
        ("F16", [0x7BFF], False),  # 65504
        ("BF16", [0x0000, 0x8000], True),
        ("BF16", [0x3F80], False),  # 1
        ("BF16", [], True),
    ],
)
def test_only_zeros_count_as_zero(
    tmp_path: Path, dtype: str, bits: list[int], is_zero: bool
) -> None:
    path = one_tensor(tmp_path / "w.safetensors", dtype, bits)

    assert (find_zero_tensors(path, read_header(path)) == {"w"}) is is_zero


@pytest.mark.parametrize(
    ("dtype", "one", "bad"),
    [
        ("F32", 0x3F80_0000, 0x7F80_0000),  # infinity
        ("F32", 0x3F80_0000, 0xFF80_0000),
        ("F32", 0x3F80_0000, 0x7FC0_0000),  # NaN
        ("F16", 0x3C00, 0x7C00),
        ("F16", 0x3C00, 0xFE01),
        ("BF16", 0x3F80, 0xFF80),
        ("BF16", 0x3F80, 0x7FC0),
    ],
)
def test_nan_and_infinity_are_refused(tmp_path: Path, dtype: str, one: int, bad: int) -> None:
    path = one_tensor(tmp_path / "w.safetensors", dtype, [one, one, bad])

    with pytest.raises(AdapterRefused) as caught:
        find_zero_tensors(path, read_header(path))

    assert caught.value.reason is AdapterFault.NOT_FINITE


def test_a_nan_after_the_first_chunk_is_found(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    values = np.ones(weights_file.CHUNK_BYTES // 4 + 1, np.float32)
    values[-1] = np.nan
    save_file({"w": values}, path)

    with pytest.raises(AdapterRefused) as caught:
        find_zero_tensors(path, read_header(path))

    assert caught.value.reason is AdapterFault.NOT_FINITE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", AdapterFault.TRUNCATED),
        (b"\x02\0\0", AdapterFault.TRUNCATED),
        ((2**63).to_bytes(8, "little") + b"{}", AdapterFault.OVERSIZED),
        ((100).to_bytes(8, "little") + b"{}", AdapterFault.TRUNCATED),
        (raw_safetensors({"w": GOOD}, b"1234567"), AdapterFault.TRUNCATED),
        (raw_safetensors({"w": GOOD}, b"123456789"), AdapterFault.HEADER),
        (raw_safetensors(b"[]"), AdapterFault.HEADER),
        (raw_safetensors(b" {}"), AdapterFault.HEADER),
        (raw_safetensors(b"{"), AdapterFault.HEADER),
        (raw_safetensors(b"{\xff}"), AdapterFault.HEADER),
        (raw_safetensors(b'{"w":' + b"[" * 100_000), AdapterFault.HEADER),
        (raw_safetensors(b'{"w": NaN}'), AdapterFault.HEADER),
        (raw_safetensors(b'{"__metadata__": {}, "__metadata__": {}}'), AdapterFault.HEADER),
        (raw_safetensors({"__metadata__": {"a": 1}}), AdapterFault.HEADER),
        (raw_safetensors({"w": 1}), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"more": 1}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"dtype": "F33"}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"dtype": ["F32"]}}, bytes(8)), AdapterFault.HEADER),
        (
            raw_safetensors({"w": GOOD | {"dtype": "F64", "shape": [1]}}, bytes(8)),
            AdapterFault.DTYPE,
        ),
        (raw_safetensors({"w": GOOD | {"shape": [3]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"shape": [-2]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"shape": [2.0]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"shape": [True, 2]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"shape": [1] * 9 + [2]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"data_offsets": [8, 16]}}, bytes(16)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD | {"data_offsets": [8, 0]}}, bytes(8)), AdapterFault.HEADER),
        (raw_safetensors({"w": GOOD, "v": GOOD}, bytes(8)), AdapterFault.HEADER),  # overlapping
    ],
)
def test_what_breaks_the_format_is_refused(
    tmp_path: Path, content: bytes, reason: AdapterFault
) -> None:
    assert refusal_of(tmp_path / "w.safetensors", content).reason is reason


def test_a_name_cannot_write_to_a_terminal_or_a_log(tmp_path: Path) -> None:
    name = "a\n\x1b[2Jb\ud800"
    content = raw_safetensors({name: GOOD | {"shape": [3]}}, bytes(8))

    assert r"a\n\x1b[2Jb\ud800" in str(refusal_of(tmp_path / "w.safetensors", content))


def test_a_header_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    refusal = refusal_of(
        tmp_path / "w.safetensors", raw_safetensors(b"{" + b" " * 100 + b"}"), max_header_bytes=99
    )

    assert refusal.reason is AdapterFault.OVERSIZED


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    save_file({"w": np.ones(1, np.float32)}, tmp_path / "there")
    (tmp_path / "here").symlink_to(tmp_path / "there")

    with pytest.raises(AdapterRefused) as caught:
        read_header(tmp_path / "here")

    assert caught.value.reason is AdapterFault.LINK


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(AdapterRefused) as caught:
        read_header(tmp_path / "pipe")

    assert caught.value.reason is AdapterFault.FILE_UNEXPECTED


WHOLE = save({"a": np.ones((2, 3), np.float32), "b": np.ones((4,), np.float16)})


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "w.safetensors"


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_every_truncation_is_refused(scratch: Path, cut: int) -> None:
    assert refusal_of(scratch, WHOLE[:cut]).reason in {AdapterFault.TRUNCATED, AdapterFault.HEADER}


@given(flips=st.lists(st.integers(0, 8 * len(WHOLE) - 1), min_size=1, max_size=6))
def test_flipped_bits_are_refused_or_change_values_only(scratch: Path, flips: list[int]) -> None:
    content = bytearray(WHOLE)
    for flip in flips:
        content[flip // 8] ^= 1 << flip % 8
    scratch.write_bytes(content)

    try:
        header = read_header(scratch)
        find_zero_tensors(scratch, header)
    except AdapterRefused:
        return
    assert sum(t.end - t.start for t in header.tensors.values()) <= len(WHOLE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I8"]) | JSON,
        "shape": st.lists(st.integers(-1, 2**70), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 2**70), max_size=3) | JSON,
    }
)


@given(header=st.dictionaries(st.text(max_size=4), ENTRY | JSON), data=st.binary(max_size=40))
def test_any_header_is_read_or_refused(
    scratch: Path, header: dict[str, object], data: bytes
) -> None:
    scratch.write_bytes(raw_safetensors(json.dumps(header).encode(), data))

    try:
        find_zero_tensors(scratch, read_header(scratch))
    except AdapterRefused:
        return
