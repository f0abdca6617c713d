"""Calls that wait for each other are encoded together, and fail together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.encoder import Vectors
from retrieval.encoders.joint_encoding import JointEncoding


class Held:
    """Encodes a text as its length; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, texts: list[str]) -> Vectors:
        self.batches.append(texts)
        self.started.set()
        assert self.go.wait(timeout=30)
        if "bad" in texts:
            raise ValueError("bad text")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def waiting(encoding: JointEncoding) -> int:
    return len(encoding._waiting)


def test_calls_that_come_meanwhile_become_one_batch() -> None:
    held = Held()
    encoding = JointEncoding(held)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(encoding, ["a"])
        assert held.started.wait(timeout=30)
        others = [pool.submit(encoding, texts) for texts in (["bb", "ccc"], ["dddd"])]
        while waiting(encoding) < 2:
            pass
        held.go.set()
        found = [call.result(timeout=30).tolist() for call in (first, *others)]
    assert found == [[[1]], [[2], [3]], [[4]]]
    assert [sorted(batch) for batch in held.batches] == [["a"], ["bb", "ccc", "dddd"]]


def test_an_error_reaches_every_call_of_the_batch() -> None:
    held = Held()
    encoding = JointEncoding(held)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(encoding, ["a"])
        assert held.started.wait(timeout=30)
        others = [pool.submit(encoding, [text]) for text in ("bad", "good")]
        while waiting(encoding) < 2:
            pass
        held.go.set()
        assert first.result(timeout=30).tolist() == [[1]]
        for call in others:
            with pytest.raises(ValueError, match="bad text"):
                call.result(timeout=30)


def test_a_call_after_an_error_is_encoded() -> None:
    held = Held()
    held.go.set()
    encoding = JointEncoding(held)
    with pytest.raises(ValueError, match="bad text"):
        encoding(["bad"])
    assert encoding(["good"]).tolist() == [[4]]
