"""A vLLM at a URL of loopback that is elsewhere: what is sent there goes through a function."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Self

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from app.listening import open_listener

LOOPBACK = "127.0.0.1"
RETRY_AFTER_S = 1
# Of one hop, or of the body that follows, which is counted anew.
_OF_THE_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_KEYS = frozenset({"authorization"})


@dataclass(frozen=True)
class Asked:
    """A request to vLLM, without its key; `path` has the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Head:
    """What a reply begins with."""

    status: int
    headers: Mapping[str, str]


# Gives a `Head`, then the parts of the body as they come.
Forward = Callable[[Asked], AbstractAsyncContextManager[AsyncIterator[Head | bytes]]]


def strip_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are passed on, by their names in lower case."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name not in _OF_THE_HOP}


class Bridge:
    """An HTTP server on loopback, whose requests `forward` answers.

    Used as `async with`, which ends it. `lost` are the errors that say that whoever had a request
    is gone: then the reply is 503, which the client of vLLM tries again.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        wait_until_ready: Callable[[], Awaitable[object]],
        lost: tuple[type[Exception], ...],
    ) -> None:
        self._forward, self._wait, self._lost = forward, wait_until_ready, lost
        self._api_key = secrets.token_urlsafe(24)
        self._listener = open_listener(LOOPBACK, 0)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._answer, interface="asgi3", lifespan="off", log_config=None, access_log=False
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listener.listen()
        self._serving = asyncio.create_task(
            self._server.serve(sockets=[self._listener]), name="serve-bridge"
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._serving is not None
        self._server.should_exit = self._server.force_exit = True
        await self._serving
        self._listener.close()

    async def address(self) -> tuple[str, str]:
        """Return URL and key, once whoever answers is there."""
        await self._wait()
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}", self._api_key

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # Others on this machine reach the port too.
        if not secrets.compare_digest(
            request.headers.get("authorization", "").encode(), f"Bearer {self._api_key}".encode()
        ):
            await _refuse(send, 401, "wrong key")
            return
        query = f"?{request.url.query}" if request.url.query else ""
        headers = strip_headers(request.headers)
        with contextlib.suppress(ClientDisconnect):
            asked = Asked(
                request.method,
                request.url.path + query,
                {name: value for name, value in headers.items() if name not in _KEYS},
                await request.body(),
            )
            await self._pass_on(asked, receive, send)

    async def _pass_on(self, asked: Asked, receive: Receive, send: Send) -> None:
        has_begun = False
        leaving = asyncio.create_task(_wait_for_leaving(receive))
        try:
            async with self._forward(asked) as parts:
                while (part := await _next(parts, leaving)) is not None:
                    if isinstance(part, Head):
                        has_begun = True
                        await _begin(send, part)
                    else:
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            if not leaving.done():
                await send({"type": "http.response.body"})
        except self._lost as exc:
            # A reply that has begun is broken off, which is what its reader has to know.
            if has_begun:
                raise
            await _refuse(send, 503, f"the engine that had this request is gone: {exc}")
        finally:
            leaving.cancel()


async def _next(
    parts: AsyncIterator[Head | bytes], leaving: asyncio.Task[None]
) -> Head | bytes | None:
    """Return the next part; None at the end, or as soon as the client has left."""
    coming = asyncio.ensure_future(anext(parts, None))
    await asyncio.wait([coming, leaving], return_when=asyncio.FIRST_COMPLETED)
    if coming.done():
        return coming.result()
    coming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await coming
    return None


async def _wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _begin(send: Send, head: Head) -> None:
    headers = [(name.encode(), value.encode()) for name, value in head.headers.items()]
    await send({"type": "http.response.start", "status": head.status, "headers": headers})


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": {"message": reason, "type": "engine", "code": status}}).encode()
    headers = {"content-type": "application/json", "retry-after": str(RETRY_AFTER_S)}
    await _begin(send, Head(status, headers))
    await send({"type": "http.response.body", "body": body})
