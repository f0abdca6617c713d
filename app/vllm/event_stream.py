"""Server-sent events, as a client reads them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from app.errors import UpstreamInvalid

MAX_EVENT_BYTES = 4 * 2**20
DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def event_data(parts: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Yield the data of each server-sent event in `parts`, however they are cut.

    Lines end in LF, CR or both, and a byte order mark may come first. A last event needs no blank
    line after it, and [DONE] no line end; anything else that is cut short is left out.

    Raises:
        UpstreamInvalid: an event is larger than 4 MiB.
    """
    lines: list[str] = []
    async with aclosing(_split_lines(parts)) as whole:
        async for raw in whole:
            line = raw.decode("utf-8", "replace")
            if line.startswith("data:"):
                lines.append(line[5:].removeprefix(" "))
            elif not line and lines:
                yield "\n".join(lines)
                lines = []
    if lines:
        yield "\n".join(lines)


async def _split_lines(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield each line as soon as its end has come."""
    buffer, is_first, ended_in_cr = b"", True, False
    async for part in parts:
        # The LF of a CR LF that was cut in two.
        rest = part[1:] if ended_in_cr and part.startswith(b"\n") else part
        ended_in_cr = rest.endswith(b"\r") or (ended_in_cr and not part)
        *whole, buffer = _LINE_END.split(buffer + rest)
        if len(buffer) > MAX_EVENT_BYTES:
            raise UpstreamInvalid("an endless event", expected="events of up to 4 MiB")
        for line in whole:
            yield line.removeprefix(_BYTE_ORDER_MARK) if is_first else line
            is_first = False
    if buffer.startswith(b"data:") and buffer[5:].strip() == DONE.encode():
        yield buffer
