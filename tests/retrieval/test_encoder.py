"""The cache gives the same vectors as the encoder behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrieval.encoder import CachedEncoder

MakeEncoder = Callable[..., Any]


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


def test_what_the_cache_knows_is_neither_encoded_nor_forgotten(hash_encoder: MakeEncoder) -> None:
    inner = hash_encoder()
    [vector] = hash_encoder().encode(["a"])
    cached = CachedEncoder(inner, max_entries=1)
    cached.know({"a": vector})
    for text in ("b", "a", "c", "a"):
        cached.encode([text])
    assert inner.encoded == ["b", "c"]
    np.testing.assert_array_equal(cached.encode(["a"]), [vector])


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
