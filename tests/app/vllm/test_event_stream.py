"""Server-sent events, however the network cuts them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UpstreamInvalid
from app.vllm.event_stream import event_data


@given(st.lists(st.integers(0, 60), max_size=6), st.sampled_from(["\n", "\r\n"]))
async def test_events_are_read_however_they_are_cut(cuts: list[int], end: str) -> None:
    lines = ["data: {ä}", "", ": ping", "data:b", "data: c", "id: 1", "", "", "data: [DONE]", ""]
    whole = "".join(line + end for line in lines).encode()

    async def parts() -> AsyncIterator[bytes]:
        edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
        for start, stop in pairwise(edges):
            yield whole[start:stop]

    assert [data async for data in event_data(parts())] == ["{ä}", "b\nc", "[DONE]"]


async def test_an_endless_event_is_invalid() -> None:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 2**20

    with pytest.raises(UpstreamInvalid, match="endless"):
        await anext(event_data(parts()))
