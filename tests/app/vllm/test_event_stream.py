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


@given(st.lists(st.integers(0, 60), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
async def test_line_ends_and_a_mark_at_the_start_cut_no_event(cuts: list[int], end: str) -> None:
    lines = ["data: ä", "", "event: x", "data: b", "data: c", "", "data: last", ""]
    whole = b"\xef\xbb\xbf" + "".join(line + end for line in lines).encode()

    assert await read(cut(whole, cuts)) == ["ä", "b\nc", "last"]


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n"])
async def test_the_last_event_needs_no_blank_line(end: str) -> None:
    assert await read([b"data: a\n\n", f"data: [DONE]{end}".encode()]) == ["a", "[DONE]"]


async def test_what_is_cut_short_is_no_event() -> None:
    assert await read([b'data: a\n\ndata: {"b":']) == ["a"]


async def test_an_event_is_there_as_soon_as_it_has_ended() -> None:
    """With CR alone too, of which the LF may be on its way."""
    feeds = iter([b"data: a\r\r"])

    async def parts() -> AsyncIterator[bytes]:
        for part in feeds:
            yield part
        raise AssertionError("more was waited for")

    assert await anext(event_data(parts())) == "a"


def cut(whole: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    return [whole[start:stop] for start, stop in pairwise(edges)]


async def read(parts: list[bytes]) -> list[str]:
    async def sent() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return [data async for data in event_data(sent())]


async def test_an_endless_event_is_invalid() -> None:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 2**20

    with pytest.raises(UpstreamInvalid, match="endless"):
        await anext(event_data(parts()))
