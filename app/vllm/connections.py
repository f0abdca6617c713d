"""Connections to vLLM's servers. The only place that opens them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import aiohttp

from app.traces import trace_call
from app.vllm.wire import JsonObject

# vLLM closes a connection that was idle for 5 s; a request must not be sent into that moment.
KEEP_ALIVE_S = 3.0


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of a server.

    `model` decides which servers can answer, and `route` which of them is preferred. Of one that
    `streams` the reply is read in parts.
    """

    method: str
    path: str
    model: str = ""
    body: JsonObject | None = None
    request_id: str | None = None
    route: str | None = None
    streams: bool = False


class RawReply(NamedTuple):
    """A reply that was read to its end, whatever its status."""

    status: int
    data: bytes


class Connections:
    """Sends single calls with vLLM's key, as often as it is told to: no retries, no judgement.

    Used as `async with Connections(…)`, or by `open` and `close`. Methods raise what aiohttp does.
    """

    def __init__(self, *, api_key: str | None, connect_s: float) -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connect_s = connect_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open a session. Does nothing when there is one."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )

    async def close(self) -> None:
        """Close the session and every connection with it."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self, url: str, call: Call, *, limit_s: float | None = None
    ) -> aiohttp.ClientResponse:
        """Send `call` to the server at `url` and return its reply, which the caller closes."""
        if self._session is None:
            raise RuntimeError("the client is not open; use it in `async with`")
        request_id = {"X-Request-Id": call.request_id} if call.request_id else {}
        about = {"server.address": url, "gen_ai.request.model": call.model}
        with trace_call(f"{call.method} {call.path}", about) as trace:
            return await self._session.request(
                call.method,
                url + call.path,
                json=call.body,
                headers=self._headers | request_id | dict(trace),
                timeout=aiohttp.ClientTimeout(total=limit_s, sock_connect=self._connect_s),
                allow_redirects=False,
            )

    async def read(self, url: str, call: Call, *, limit_s: float) -> RawReply:
        """Send `call` to the server at `url` and return its whole reply."""
        async with await self.send(url, call, limit_s=limit_s) as response:
            return RawReply(response.status, await response.read())
