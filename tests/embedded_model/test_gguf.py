from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from embedded_model.errors import GgufInvalid
from embedded_model.gguf import open_gguf
from tests.embedded_model.tiny_gguf import F16, F32, Q4_1, Q8_0, metadata, write_gguf


def test_metadata_comes_back_as_written(tmp_path: Path) -> None:
    fields = metadata()

    found = open_gguf(write_gguf(tmp_path / "m.gguf", fields, {})).metadata

    epsilon = "llama.attention.layer_norm_rms_epsilon"
    assert found[epsilon] == pytest.approx(fields[epsilon])
    assert {**found, epsilon: 0} == {**fields, epsilon: 0}


def test_four_bits_are_scaled_and_shifted_low_halves_first(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (Q4_1, np.arange(32, dtype="<f4"))})
    # Scale 0.5, least -1; the first byte holds 3 and 15, all others 0 and 1.
    block = struct.pack("<ee16B", 0.5, -1.0, 3 | 15 << 4, *[1 << 4] * 15)
    path.write_bytes(path.read_bytes()[:-32] + block + bytes(12))

    found = open_gguf(path).read("a")

    # 3 · 0.5 - 1, then 0 · 0.5 - 1; 15 · 0.5 - 1, then 1 · 0.5 - 1.
    assert found.tolist() == [0.5, *[-1.0] * 15, 6.5, *[-0.5] * 15]
    assert found.dtype == np.float32


def test_eight_bits_are_scaled(tmp_path: Path) -> None:
    values = np.array([127.0, -128.0, *range(30)], "<f4")
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (Q8_0, np.arange(32, dtype="<f4"))})
    block = struct.pack("<e32b", 0.25, *values.astype(int).tolist())
    path.write_bytes(path.read_bytes()[:-64] + block + bytes(30))

    assert open_gguf(path).read("a").tolist() == (values / 4).tolist()


@pytest.mark.parametrize("type_id", [F32, F16])
def test_floats_come_back_in_their_shape(tmp_path: Path, type_id: int) -> None:
    first, second = np.arange(6, dtype="<f4").reshape(2, 3), np.array([0.5, -2.0], "<f4")

    tensors = {"a": (type_id, first), "b": (type_id, second)}
    found = open_gguf(write_gguf(tmp_path / "m.gguf", metadata(), tensors))

    assert found.read("a").tolist() == first.tolist()
    assert found.read("b").tolist() == second.tolist()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))

    with pytest.raises(GgufInvalid, match="at its start"):
        open_gguf(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").touch()

    with pytest.raises(GgufInvalid, match="an empty file"):
        open_gguf(tmp_path / "m.gguf")


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {}, version=4)

    with pytest.raises(GgufInvalid, match="found version 4, expected 2 or 3"):
        open_gguf(path)


@pytest.mark.parametrize("n_bytes", [10, 60, 400])
def test_a_header_that_ends_too_early_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = write_gguf(tmp_path / "m.gguf", metadata(), {})
    path.write_bytes(path.read_bytes()[:n_bytes])

    with pytest.raises(GgufInvalid, match="a damaged header"):
        open_gguf(path)


def test_a_tensor_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (F32, np.ones((8, 8), "<f4"))})
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(GgufInvalid, match="an end within a"):
        open_gguf(path).read("a")


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (F32, np.ones(2, "<f4"))})
    # The type stands before the offset, which ends the header: 24 + 9 + 4 + 8 bytes from its start.
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 45, 12)
    path.write_bytes(content)

    with pytest.raises(GgufInvalid, match=r"type 12, shape \(2,\) of a"):
        open_gguf(path).read("a")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(GgufInvalid, match=r"no such tensor, expected blk\.0"):
        open_gguf(write_gguf(tmp_path / "m.gguf", {}, {})).read("blk.0")
