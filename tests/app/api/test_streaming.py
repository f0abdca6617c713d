"""What makes a stream of events is closed when its client leaves, without the garbage collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from starlette.types import Message

from app.api.streaming import EventStream

SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}}


@pytest.mark.parametrize("leaves_at", [1, 2, 3])
async def test_who_leaves_while_something_is_sent_holds_nothing(leaves_at: int) -> None:
    held: set[str] = set()
    left = asyncio.Event()
    n_sent = 0

    async def made() -> AsyncGenerator[str, None]:
        held.add("adapter")
        try:
            for piece in "abc":
                yield piece
        finally:
            held.remove("adapter")

    async def events(source: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        async with aclosing(source):
            async for piece in source:
                yield f"data: {piece}\n\n"

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal n_sent
        n_sent += 1
        if n_sent == leaves_at:
            left.set()
            # As with a client that reads no more.
            await asyncio.Event().wait()

    source = made()
    await anext(source)
    assert held
    await EventStream(events(source), source)(SCOPE, receive, send)

    assert not held
