"""Server-sent events, as a client reads them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from app.errors import UpstreamInvalid

MAX_EVENT_BYTES = 4 * 2**20


async def event_data(parts: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Yield the data of each server-sent event in `parts`, however they are cut.

    Raises:
        UpstreamInvalid: an event is larger than 4 MiB.
    """
    buffer = b""
    lines: list[str] = []
    async for part in parts:
        buffer += part
        *whole, buffer = buffer.split(b"\n")
        if len(buffer) > MAX_EVENT_BYTES:
            raise UpstreamInvalid("an endless event", expected="events of up to 4 MiB")
        for raw in whole:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            if line.startswith("data:"):
                lines.append(line[5:].removeprefix(" "))
            elif not line and lines:
                yield "\n".join(lines)
                lines = []
