"""One call to vLLM: which server, how long, how often."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
from app.vllm.routing import Placement
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


class Reply(NamedTuple):
    """A reply that has begun: all of it, or the first part of one that is streamed."""

    response: aiohttp.ClientResponse
    start: bytes


@dataclass(slots=True)
class _Course:
    """What became of a call so far.

    Attributes:
        tried: servers that failed it, in order.
        lacking: servers that said they do not have its model.
        n_broken: how often a server broke down over it.
        is_restored: whether its model was brought back for it.
    """

    tried: list[Server] = field(default_factory=list)
    lacking: list[Server] = field(default_factory=list)
    n_broken: int = 0
    is_restored: bool = False

    @property
    def avoided(self) -> list[Server]:
        return [*self.tried, *self.lacking]


class Transport:
    """Sends calls to the servers of a pool, within time limits, again where that is safe.

    Calls that reached no model are tried again: refused connections, and 429, 502, 503 or 504
    instead of an answer. One that a server broke down over before the first byte of its answer is
    sent to another server, once: it may be the call that breaks them. `rng` draws the waits
    between; `on_retry` is told of each.

    A call for an adapter goes only where `placement` says that it is proven. If the server does not
    know it all the same, the next one is asked; where none has it, it is brought back, once.
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
        placement: Placement,
    ) -> None:
        self._pool = pool
        self._connections = Connections(api_key=api_key, connect_s=timeouts.connect_s)
        self._timeouts = timeouts
        self._retries = retries
        self._retry_after_s = retry_after_s
        self._rng = rng
        self._on_retry = on_retry
        self._placement = placement

    async def open(self) -> None:
        """Open a session. Does nothing when there is one."""
        await self._connections.open()

    async def close(self) -> None:
        """Close the session and every connection with it."""
        await self._connections.close()

    async def read(self, call: Call) -> JsonObject:
        """Return the JSON object that is the reply to `call`."""
        async with self.reply(call) as reply:
            return read_json(reply.start)

    @asynccontextmanager
    async def reply(self, call: Call) -> AsyncIterator[Reply]:
        """Open the reply of the first server that gives one; it is closed with the block."""
        server, reply = await self._first_reply(call)
        with server.occupied():
            try:
                yield reply
            except (aiohttp.ClientError, ConnectionError) as exc:
                self._pool.failed(server)
                raise self._unavailable(server, exc) from exc
            finally:
                # After a whole reply this does nothing; otherwise it is how vLLM learns to stop.
                reply.response.close()

    async def parts(self, reply: Reply, *, deadline: float) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a streamed reply as they come, each within its time limit."""
        part, limit_s = reply.start, self._timeouts.idle_s
        while part:
            yield part
            async with time_limit(
                "the next part of its answer", deadline=deadline, limit_s=limit_s
            ):
                part = await reply.response.content.readany()

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

    async def _first_reply(self, call: Call) -> tuple[Server, Reply]:
        course = _Course()
        while True:
            where = await self._find_where(call, course)
            server = self._pool.pick(course.avoided, route=call.route, where=where)
            try:
                with server.occupied():
                    return server, await self._try(server, call)
            except UpstreamModelMissing:
                self._placement.lose(call.model, server.url)
                if where is None:
                    # A server that cannot get the model back is no reason to fail while another
                    # has it.
                    if course.lacking or not await self._placement.restore(call.model):
                        raise
                elif len(course.lacking) > len(self._pool.servers):
                    raise self._nowhere(call) from None
                course.lacking.append(server)
                wait_s = 0.0
            except _Failed as failed:
                course.tried.append(server)
                course.n_broken += failed.is_broken
                wait = self._wait_s(failed, course, call.route, where)
                if wait is None:
                    raise failed.error from failed.__cause__
                wait_s = wait
            self._on_retry()
            await asyncio.sleep(wait_s)

    async def _find_where(self, call: Call, course: _Course) -> frozenset[str] | None:
        """Return where the model of `call` is, None for anywhere; bring it back if it is nowhere.

        Raises:
            UpstreamUnavailable: it is an adapter, and no server can get it back now.
        """
        where = self._placement.find_ready(call.model)
        if where is None or where:
            return where
        if not course.is_restored:
            course.is_restored = True
            await self._placement.restore(call.model)
            where = self._placement.find_ready(call.model)
        if not where:
            raise self._nowhere(call)
        return where

    def _nowhere(self, call: Call) -> UpstreamUnavailable:
        reason = f"no server has {call.model} at the moment"
        return UpstreamUnavailable(reason, retry_after_s=self._retry_after_s)

    def _wait_s(
        self, failed: _Failed, course: _Course, route: str | None, where: Collection[str] | None
    ) -> float | None:
        """Return the seconds until another try makes sense, None where none does."""
        tried = course.tried
        if len(tried) > self._retries.n_retries or course.n_broken > 1:
            return None
        if self._pool.pick(tried, route=route, where=where) not in tried:
            return 0.0
        if failed.is_broken:
            return None
        wait_s = max(failed.asked_s or 0.0, self._retries.wait_s(len(tried) - 1, self._rng))
        return wait_s if wait_s <= self._retries.longest_wait_s else None

    async def _try(self, server: Server, call: Call) -> Reply:
        try:
            response = await self._connections.send(server.url, call)
            try:
                if response.status == 200:
                    reply = Reply(response, await self._read_start(response, call))
                    self._pool.worked(server)
                    return reply
                data = await response.read()
            except BaseException:
                response.close()
                raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            self._pool.failed(server)
            raise _Failed(self._unavailable(server, exc)) from exc
        except (aiohttp.ClientError, ConnectionError) as exc:
            self._pool.failed(server)
            raise _Failed(self._unavailable(server, exc), is_broken=True) from exc
        raise self._status_error(server, call, response, data)

    async def _read_start(self, response: aiohttp.ClientResponse, call: Call) -> bytes:
        if not call.streams:
            return await response.read()
        limit_s = self._timeouts.first_byte_s
        async with time_limit("the start of its answer", deadline=math.inf, limit_s=limit_s):
            return await response.content.readany()

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
        if status in RETRYABLE:
            return _Failed(error, asked_s=asked_s)
        return _Failed(error, is_broken=True) if status >= 500 else error

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
    """One try failed in a way that allows another; `asked_s` is the server's Retry-After.

    Where it `is_broken`, the server may have worked on it, and only another one is tried.
    """

    def __init__(
        self, error: UpstreamError, *, asked_s: float | None = None, is_broken: bool = False
    ) -> None:
        super().__init__(error)
        self.error = error
        self.asked_s = asked_s
        self.is_broken = is_broken
