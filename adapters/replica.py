"""One server of the model, and the versions that are proven on it.

A version is proven on a replica from the end of its verification there until it is unloaded, the
replica starts anew, or it is missing from what the replica lists. Only then may it answer there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from adapters.errors import AdapterError, LoraServerSilent

logger = logging.getLogger(__name__)

# A replica that takes longer to list what it has, or to unload, counts as silent for now.
PROBE_S = 5.0
# How long a replica that could not load a version is left alone with it.
COOLDOWN_S = 30.0


class LoraServer(Protocol):
    """One server of the model that takes adapters while it runs.

    Every method raises LoraServerSilent if the server cannot be reached.
    """

    @property
    def url(self) -> str:
        """Its address."""

    async def loaded(self) -> frozenset[str]:
        """Return the names of the adapters that it has."""

    async def load(self, name: str, path: Path) -> None:
        """Load the adapter in the folder `path` under `name`."""

    async def unload(self, name: str) -> None:
        """Unload the adapter; unloading what is not there does nothing."""


Verify = Callable[[LoraServer, str], Awaitable[None]]
# Returns what tells one run of a server from the next; None where nothing does.
Identify = Callable[[LoraServer], Awaitable[str | None]]


class Reach(NamedTuple):
    """Whether a replica answered when it was last asked, None before; `since` is a Unix time."""

    is_reachable: bool | None
    since: float
    reason: str = ""


class LoadFailure(NamedTuple):
    """Why a version is not on a replica, since when (Unix time), and when it is tried again."""

    reason: str
    since: float
    tried_again_at: float


class Replica:
    """Brings versions to one server and takes them away, and knows which are proven there.

    Attributes:
        reach: whether the server answers.
        proven: since when (Unix time) each version is proven here.
        failures: why versions could not be loaded here.
        proving: versions that are being loaded and verified.
    """

    def __init__(self, server: LoraServer, *, verify: Verify, identify: Identify) -> None:
        self._server, self._verify, self._identify = server, verify, identify
        self.reach = Reach(None, time.time())
        self.proven: dict[str, float] = {}
        self.failures: dict[str, LoadFailure] = {}
        self.proving: set[str] = set()
        # What was loaded from here, and is not known to have been unloaded.
        self._ours: set[str] = set()
        self._run: str | None = None
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._server.url

    def is_cooling_down(self, name: str) -> bool:
        """Whether version `name` failed here a short while ago."""
        failure = self.failures.get(name)
        return failure is not None and time.monotonic() < failure.tried_again_at

    async def prove(
        self, name: str, path: Path, *, is_wanted: Callable[[], bool] = lambda: True
    ) -> bool:
        """Load version `name` and verify it, unless it is proven or not wanted any more.

        Returns whether anything was done. What cannot be verified is not left on the server.

        Raises:
            LoraServerSilent: the server cannot be reached.
            AdapterError: it cannot be loaded or verified here; `failures` says so, too.
        """
        async with self._locks[name]:
            if name in self.proven or not is_wanted():
                return False
            self.proving.add(name)
            try:
                await self._load(name, path)
            except LoraServerSilent as exc:
                self._set_reach(is_reachable=False, reason=exc.reason)
                raise
            except AdapterError as exc:
                until = time.monotonic() + COOLDOWN_S
                self.failures[name] = LoadFailure(str(exc), time.time(), until)
                raise
            finally:
                self.proving.discard(name)
            self.failures.pop(name, None)
            self.proven[name] = time.time()
            self._set_reach(is_reachable=True)
        return True

    async def drop(self, name: str) -> None:
        """Unload version `name`. From the call on it is not proven here."""
        self.proven.pop(name, None)
        self.failures.pop(name, None)
        async with self._probing(), self._locks[name]:
            # It may have been proven while this waited.
            self.proven.pop(name, None)
            await self._unload(name)

    async def look(self) -> frozenset[str]:
        """Return what the server lists; what it lost, or had before it started, is not proven.

        Raises:
            LoraServerSilent: the server cannot be reached.
        """
        before = set(self.proven)
        async with self._probing():
            run = await self._identify(self._server)
            there = await self._server.loaded()
        if run is not None and self._run not in (None, run):
            self._forget(before, reason="the server started anew")
        self._run = run or self._run
        self._forget(before - there, reason="the server lost it")
        return there

    def lose(self, name: str) -> None:
        """Take note that the server said it has no version `name`."""
        self._forget([name], reason="the server said that it does not have it")

    def strays(self, there: frozenset[str], held: Iterable[str]) -> list[str]:
        """Return what is `there`, came from here, and is not among `held`."""
        # If one that is gone comes back, another process has loaded it.
        self._ours &= there | set(held)
        return sorted((there & self._ours) - set(held))

    async def _load(self, name: str, path: Path) -> None:
        # Before the answer, which may get lost.
        self._ours.add(name)
        try:
            if self._run is None:
                self._run = await self._identify(self._server)
            await self._server.load(name, path)
            await self._verify(self._server, name)
        except BaseException:
            # What is not verified must not answer here.
            with suppress(LoraServerSilent):
                async with self._probing():
                    await self._unload(name)
            raise

    async def _unload(self, name: str) -> None:
        await self._server.unload(name)
        self._ours.discard(name)

    def _forget(self, names: Iterable[str], *, reason: str) -> None:
        lost = [name for name in names if self.proven.pop(name, None) is not None]
        if lost:
            fields = {"url": self.url, "adapters": ",".join(sorted(lost)), "reason": reason}
            logger.warning("adapters_lost", extra={"fields": fields})

    @asynccontextmanager
    async def _probing(self) -> AsyncIterator[None]:
        """Limit the block in time, and note whether the server answered."""
        try:
            async with asyncio.timeout(PROBE_S):
                yield
        except TimeoutError as exc:
            reason = f"no answer within {PROBE_S:g} s"
            self._set_reach(is_reachable=False, reason=reason)
            raise LoraServerSilent(self.url, reason) from exc
        except LoraServerSilent as exc:
            self._set_reach(is_reachable=False, reason=exc.reason)
            raise
        self._set_reach(is_reachable=True)

    def _set_reach(self, *, is_reachable: bool, reason: str = "") -> None:
        if is_reachable is self.reach.is_reachable:
            return
        was_silent = self.reach.is_reachable is False
        self.reach = Reach(is_reachable, time.time(), reason)
        if not is_reachable:
            fields = {"url": self.url, "reason": reason}
            logger.warning("lora_server_silent", extra={"fields": fields})
        elif was_silent:
            logger.info("lora_server_back", extra={"fields": {"url": self.url}})
