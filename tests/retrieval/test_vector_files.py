"""Texts that do not change are encoded once, and an altered file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import IndexInvalid, IndexUnwritable
from retrieval.vector_files import encode_once
from tests.retrieval.conftest import HashEncoder

TEXTS = ("one", "two", "three")


def test_what_was_encoded_is_read_back(tmp_path: Path) -> None:
    first = encode_once(tmp_path, "made", TEXTS, HashEncoder())
    encoder = HashEncoder()
    second = encode_once(tmp_path, "made", TEXTS, encoder)

    assert encoder.encoded == []
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("texts", "encoder"),
    [(("one", "two"), HashEncoder()), (TEXTS, HashEncoder(model_id="other"))],
)
def test_other_texts_and_other_encoders_take_its_place(
    tmp_path: Path, texts: tuple[str, ...], encoder: HashEncoder
) -> None:
    encode_once(tmp_path, "made", TEXTS, HashEncoder())
    encode_once(tmp_path, "other", TEXTS, HashEncoder())
    encode_once(tmp_path, "made", texts, encoder)

    assert encoder.encoded == list(texts)
    assert len(list(tmp_path.glob("made-*.npy"))) == 1
    assert len(list(tmp_path.glob("other-*.npy"))) == 1


def test_nothing_to_encode_is_no_vector(tmp_path: Path) -> None:
    for _ in range(2):
        assert encode_once(tmp_path, "made", (), HashEncoder()).shape == (0, 8)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 200])
def test_an_altered_file_is_refused(tmp_path: Path, content: bytes) -> None:
    encode_once(tmp_path, "made", TEXTS, HashEncoder())
    (file,) = tmp_path.glob("made-*.npy")
    file.write_bytes(content)

    with pytest.raises(IndexInvalid, match="milieu index"):
        encode_once(tmp_path, "made", TEXTS, HashEncoder())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexUnwritable, match="file"):
        encode_once(tmp_path / "file" / "deep", "made", TEXTS, HashEncoder())
