"""One call to vLLM: which server, how long, how often."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

import aiohttp

from app.errors import (
    UpstreamError,
    UpstreamModelMissing,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.vllm.connections import Call, Connections
from app.vllm.pool import Retries, Server, ServerPool, Timeouts
from app.vllm.status_errors import retry_after, status_error
from app.vllm.wire import JsonObject, read_json

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 5.0
RETRYABLE = frozenset({429, 502, 503, 504})
FULL = frozenset({429, 503})
Restore: TypeAlias = Callable[[str], Awaitable[bool]]


class ServerHealth(NamedTuple):
    """Whether one server said that it is healthy, just now."""

    url: str
    is_healthy: bool


class Transport:
    """Sends calls to the servers of a pool, within time limits, again where that is safe.

    Only calls that reached no model are tried again: refused connections, and 429, 502, 503 or
    504 instead of an answer. `rng` draws the waits between; `on_retry` is told of each. A call for
    a model that a server does not know is sent again, once, where `restore` brings the model back.
    """

    def __init__(
        self,
        pool: ServerPool,
        *,
        api_key: str | None,
        timeouts: Timeouts,
        retries: Retries,
        retry_after_s: float,
        rng: random.Random,
        on_retry: Callable[[], None],
        restore: Restore,
    ) -> None:
        self._pool = pool
        self._connections = Connections(api_key=api_key, connect_s=timeouts.connect_s)
        self._timeouts = timeouts
        self._retries = retries
        self._retry_after_s = retry_after_s
        self._rng = rng
        self._on_retry = on_retry
        self._restore = restore

    async def open(self) -> None:
        """Open a session. Does nothing when there is one."""
        await self._connections.open()

    async def close(self) -> None:
        """Close the session and every connection with it."""
        await self._connections.close()

    async def read(self, call: Call) -> JsonObject:
        """Return the JSON object that is the reply to `call`."""
        async with self.reply(call) as response:
            return read_json(await response.read())

    @asynccontextmanager
    async def reply(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open the reply of the first server that gives one; it is closed with the block."""
        server, response = await self._first_reply(call)
        with server.occupied():
            try:
                yield response
            except (aiohttp.ClientError, ConnectionError) as exc:
                self._pool.failed(server)
                raise self._unavailable(server, exc) from exc
            finally:
                # After a whole reply this does nothing; otherwise it is how vLLM learns to stop.
                response.close()

    async def parts(
        self, response: aiohttp.ClientResponse, *, deadline: float
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a streamed reply as they come, each within its time limit."""
        limit_s, waited_for = self._timeouts.first_byte_s, "the start of its answer"
        while True:
            async with time_limit(waited_for, deadline=deadline, limit_s=limit_s):
                part = await response.content.readany()
            if not part:
                return
            yield part
            limit_s, waited_for = self._timeouts.idle_s, "the next part of its answer"

    async def health(self) -> tuple[ServerHealth, ...]:
        """Return for each server whether it is healthy; a silent one is not."""
        return tuple(await asyncio.gather(*map(self._health, self._pool.servers)))

    async def _health(self, server: Server) -> ServerHealth:
        call = Call("GET", "/health")
        try:
            reply = await self._connections.read(server.url, call, limit_s=HEALTH_TIMEOUT_S)
        except (aiohttp.ClientError, OSError):  # a TimeoutError is an OSError
            return ServerHealth(server.url, False)
        return ServerHealth(server.url, reply.status == 200)

    async def _first_reply(self, call: Call) -> tuple[Server, aiohttp.ClientResponse]:
        tried: list[Server] = []
        lacking: list[Server] = []
        while True:
            # A server that cannot get the model back is no reason to fail while another has it.
            server = self._pool.pick(avoid=[*tried, *lacking])
            try:
                with server.occupied():
                    return server, await self._try(server, call)
            except UpstreamModelMissing:
                if lacking or not await self._restore(call.model):
                    raise
                lacking.append(server)
                wait_s = 0.0
            except _Failed as failed:
                tried.append(server)
                wait = self._wait_s(failed, tried)
                if wait is None:
                    raise failed.error from failed.__cause__
                wait_s = wait
            self._on_retry()
            await asyncio.sleep(wait_s)

    def _wait_s(self, failed: _Failed, tried: Sequence[Server]) -> float | None:
        """Return the seconds until another try makes sense, None where none does."""
        if len(tried) > self._retries.n_retries:
            return None
        if self._pool.pick(avoid=tried) not in tried:
            return 0.0
        wait_s = max(failed.asked_s or 0.0, self._retries.wait_s(len(tried) - 1, self._rng))
        return wait_s if wait_s <= self._retries.longest_wait_s else None

    async def _try(self, server: Server, call: Call) -> aiohttp.ClientResponse:
        try:
            response = await self._connections.send(server.url, call)
            if response.status == 200:
                self._pool.worked(server)
                return response
            data = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            self._pool.failed(server)
            raise _Failed(self._unavailable(server, exc)) from exc
        except (aiohttp.ClientError, ConnectionError) as exc:
            self._pool.failed(server)
            raise self._unavailable(server, exc) from exc
        raise self._status_error(server, call, response, data)

    def _status_error(
        self, server: Server, call: Call, response: aiohttp.ClientResponse, data: bytes
    ) -> UpstreamError | _Failed:
        status = response.status
        asked_s = retry_after(response.headers.get("Retry-After"))
        wait_s = self._retry_after_s if asked_s is None else asked_s
        error = status_error(status, data, model=call.model, retry_after_s=wait_s)
        if status in FULL:
            self._pool.busy(server, for_s=wait_s)
        elif status >= 500:
            self._pool.failed(server)
        return _Failed(error, asked_s=asked_s) if status in RETRYABLE else error

    def _unavailable(self, server: Server, exc: Exception) -> UpstreamUnavailable:
        # Where the servers are is for the log, not for whoever asked.
        fields = {"url": server.url, "reason": str(exc) or type(exc).__name__}
        logger.warning("vllm_unreachable", extra={"fields": fields})
        return UpstreamUnavailable(type(exc).__name__, retry_after_s=self._retry_after_s)


@asynccontextmanager
async def time_limit(
    waited_for: str, *, deadline: float, limit_s: float = math.inf
) -> AsyncIterator[None]:
    """Stop the block after `limit_s`, or at `deadline` (time of the running loop).

    Raises:
        UpstreamTimeout: the block took longer; it names `waited_for`.
    """
    now = asyncio.get_running_loop().time()
    allowed_s = max(0.0, min(limit_s, deadline - now))
    try:
        async with asyncio.timeout(allowed_s):
            yield
    except TimeoutError as exc:
        raise UpstreamTimeout(waited_for, limit_s=round(allowed_s, 1)) from exc


class _Failed(Exception):  # never leaves this module
    """One try failed in a way that allows another; `asked_s` is the server's Retry-After."""

    def __init__(self, error: UpstreamError, *, asked_s: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.asked_s = asked_s
