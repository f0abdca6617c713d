"""Which vLLM server gets the next call, and how many calls there may be at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from app.errors import UpstreamBusy
from app.vllm.routing import choose_server

LONGEST_COOLDOWN_S = 30.0
# No wait is longer than this many doublings of the first; 2 to the power of 1,024 is no float.
_MAX_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of one call, in seconds.

    Attributes:
        connect_s: until a connection is there.
        first_byte_s: of a stream, until its first event.
        idle_s: of a stream, between two events.
        total_s: for everything, queueing and retries included.
    """

    connect_s: float = 2.0
    first_byte_s: float = 60.0
    idle_s: float = 60.0
    total_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call that did not reach a model is tried again, and how long to wait before.

    The n-th wait is drawn from [½, 1] · `base_s` · 2ⁿ, at most `cap_s`. A server that asks for
    more than `longest_wait_s` is not waited for.
    """

    n_retries: int = 2
    base_s: float = 0.1
    cap_s: float = 2.0
    longest_wait_s: float = 5.0

    def wait_s(self, attempt: int, rng: random.Random) -> float:
        """Return the seconds to wait after the `attempt`-th try failed, counted from 0."""
        ceiling = _double(self.base_s, attempt, cap_s=self.cap_s)
        return ceiling * rng.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls may be under way, how many may wait, and for how long (seconds)."""

    max_in_flight: int = 64
    max_queued: int = 256
    queue_s: float = 30.0
    retry_after_s: float = 1.0


@dataclass(slots=True, eq=False)
class Server:
    """One vLLM server; after a failure it is left alone until its cooldown is over."""

    url: str
    n_in_flight: int = 0
    n_failures: int = 0
    cools_until: float = field(default=0.0, repr=False)

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Count one call as under way while the block runs."""
        self.n_in_flight += 1
        try:
            yield
        finally:
            self.n_in_flight -= 1


class ServerPool:
    """The servers: by route and load, and one that failed is left out for a time that doubles."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        cooldown_s: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not urls:
            raise ValueError("there is no server; give at least one URL")
        self.servers = tuple(Server(url.rstrip("/")) for url in urls)
        self._cooldown_s = cooldown_s
        self._now = now

    def pick(
        self,
        avoid: Collection[Server] = (),
        *,
        route: str | None = None,
        where: Collection[str] | None = None,
    ) -> Server:
        """Return the server for the next call, one of `avoid` only if no other is ready.

        Of the ready ones that which `route` prefers, or else the least busy. `where` limits the
        servers to those addresses. When all cool down, the one that is ready first is tried, so a
        single server always is.

        Raises:
            ValueError: none of the servers is at one of the addresses.
        """
        now = self._now()
        servers = [server for server in self.servers if where is None or server.url in where]
        ready = [server for server in servers if server.cools_until <= now]
        fresh = [server for server in ready if server not in avoid]
        if candidates := fresh or ready:
            return choose_server(candidates, route)
        return min(servers, key=lambda server: server.cools_until)

    def failed(self, server: Server) -> None:
        """Leave `server` out for a while, longer each time in a row."""
        cooldown_s = _double(self._cooldown_s, server.n_failures, cap_s=LONGEST_COOLDOWN_S)
        server.n_failures += 1
        server.cools_until = self._now() + cooldown_s

    def busy(self, server: Server, *, for_s: float) -> None:
        """Leave `server` out while its queue is full; that is no failure."""
        server.cools_until = self._now() + min(LONGEST_COOLDOWN_S, for_s)

    def worked(self, server: Server) -> None:
        """Forget the failures of `server`."""
        server.n_failures = 0
        server.cools_until = 0.0


class Limiter:
    """Lets so many calls through at once, makes so many wait, and turns the rest away."""

    def __init__(self, limits: Limits, *, on_change: Callable[[int], None]) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._on_change = on_change
        self.n_in_flight = 0
        self.n_queued = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one place for the time of the block.

        Raises:
            UpstreamBusy: too many wait already (at once), or no place came free in time.
        """
        await self._enter()
        try:
            yield
        finally:
            self._count(-1)
            self._slots.release()

    def check_room(self) -> None:
        """Raise UpstreamBusy where a call would be turned away at once."""
        if self._slots.locked() and self.n_queued >= self._limits.max_queued:
            reason = f"{self.n_in_flight} requests run and {self.n_queued} wait"
            raise UpstreamBusy(reason, retry_after_s=self._limits.retry_after_s)

    async def _enter(self) -> None:
        limits = self._limits
        if not self._slots.locked():
            # At once, without a timer for a wait that there is not.
            await self._slots.acquire()
            self._count(+1)
            return
        self.check_room()
        self.n_queued += 1
        try:
            async with asyncio.timeout(limits.queue_s):
                await self._slots.acquire()
        except TimeoutError as exc:
            reason = f"no place came free within {limits.queue_s:g} s"
            raise UpstreamBusy(reason, retry_after_s=limits.retry_after_s) from exc
        finally:
            self.n_queued -= 1
        self._count(+1)

    def _count(self, change: int) -> None:
        self.n_in_flight += change
        self._on_change(self.n_in_flight)


def _double(first_s: float, n_times: int, *, cap_s: float) -> float:
    return min(cap_s, first_s * 2.0 ** min(n_times, _MAX_DOUBLINGS))
