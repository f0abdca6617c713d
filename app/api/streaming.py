"""The response that sends events while they are made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

EVENT_STREAM = "text/event-stream"


class EventStream(StreamingResponse):
    """Server-sent events, or lines of another form.

    Whatever makes them is closed with the response, however that ends.

    A client may leave before the first event is sent, or while one is. Then only the garbage
    collector would close the generators, some day, and until then they hold an adapter and a call
    to vLLM.
    """

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        source: AsyncGenerator[object, None],
        *,
        media_type: str = EVENT_STREAM,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send `events`, which are made of what `source` yields; that one may have begun."""
        super().__init__(events, media_type=media_type, headers=headers)
        self._events, self._source = events, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send every event."""
        async with aclosing(self._source), aclosing(self._events):
            await super().__call__(scope, receive, send)
