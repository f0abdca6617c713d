"""Adapters that come and go on running servers without any request noticing.

One rule keeps every answer whole: a request holds a lease on the version that it was given, and a
version is unloaded only while nobody holds one. A version is immutable and has its own name
(`name@sha8`), so no server ever has two contents under one name, and no cache an old one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adapters.errors import AdapterError, AdaptersBusy, LoraServerSilent

logger = logging.getLogger(__name__)


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


Locate = Callable[[str], Path]
Verify = Callable[[LoraServer, str], Awaitable[None]]


async def _skip_verification(server: LoraServer, name: str) -> None:
    """Take the server's word for it."""


@dataclass(slots=True)
class SwapCounts:
    """What happened since the start, per version and not per server."""

    n_loads: int = 0
    n_unloads: int = 0
    n_evictions: int = 0
    n_repairs: int = 0


@dataclass(slots=True, eq=False)
class _Version:
    name: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_loaded: bool = False
    n_leases: int = 0
    last_used: int = 0
    failure: AdapterError | None = None


class HotSwap:
    """Keeps up to `capacity` versions loaded, the same ones on every server that can be reached.

    Attributes:
        counts: loads, unloads, evictions and repairs since the start.
    """

    def __init__(
        self,
        servers: Sequence[LoraServer],
        *,
        locate: Locate,
        verify: Verify = _skip_verification,
        capacity: int = 8,
        wait_s: float = 30.0,
    ) -> None:
        """Load on `servers` from the folders that `locate` gives; it is called in a thread.

        After a load, `verify` is called for every server; it raises if the adapter does not do
        what it should. A request waits up to `wait_s` for room while all versions are in use.

        Raises:
            ValueError: there is no server, or no room for any version.
        """
        if not servers or capacity < 1:
            raise ValueError(
                f"{len(servers)} servers, room for {capacity}; expected 1 or more each"
            )
        # What each server was made to load from here, and is not known to have unloaded.
        self._loaded_on: dict[LoraServer, set[str]] = {server: set() for server in servers}
        self._locate, self._verify = locate, verify
        self._capacity, self._wait_s = capacity, wait_s
        self._versions: dict[str, _Version] = {}
        self._held: dict[str, _Version] = {}
        self._freed = asyncio.Event()
        self._clock = 0
        self.counts = SwapCounts()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The versions that are loaded, the least recently used first."""
        found = (version for version in self._held.values() if version.is_loaded)
        return tuple(v.name for v in sorted(found, key=lambda version: version.last_used))

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[None]:
        """Hold version `name` loaded for the duration of the block; load it if it is not.

        Raises:
            AdaptersBusy: all versions that fit stayed in use for `wait_s`.
            LoraServerSilent: no server can be reached.
            AdapterError: the version cannot be found, loaded or verified.
        """
        version = self._versions.setdefault(name, _Version(name))
        deadline = asyncio.get_running_loop().time() + self._wait_s
        failed_before = version.failure
        # Counted before anything is awaited, so that nobody unloads it in between.
        version.n_leases += 1
        try:
            async with version.lock:
                if not version.is_loaded:
                    if version.failure not in (None, failed_before):
                        # Whoever waited for a failed load need not see it fail again.
                        raise version.failure.with_traceback(None)
                    await self._load(version, deadline)
            self._clock += 1
            version.last_used = self._clock
            yield
        finally:
            version.n_leases -= 1
            self._tell_freed()

    async def retire(self, name: str, *, is_wanted: Callable[[], bool] = lambda: False) -> None:
        """Unload version `name` once nobody holds it; requests that hold it finish on it.

        It is kept if `is_wanted` by then.
        """
        version = self._versions.get(name)
        while version is not None and not is_wanted():
            while version.n_leases:
                await self._freed.wait()
            if is_wanted() or await self._unload(version) or name not in self._held:
                return

    async def forget(self, name: str) -> None:
        """Unload version `name`, which nobody is given any more, from every server that has it.

        Even if an earlier service left it there: its files are about to be deleted, and a server
        that looks for them may crash.
        """
        version = self._versions.setdefault(name, _Version(name))
        async with version.lock:
            await self._clear(version)

    async def reconcile(self) -> None:
        """Make every reachable server hold what is loaded here, and no stray of ours.

        A restarted server gets its adapters back. A stray is what this process loaded on a server
        and could not unload; other processes may use the same servers, so nothing else is unloaded.
        No server is asked before the first lease.
        """
        if not self._versions:
            return
        for server, ours in self._loaded_on.items():
            with _log_silence():
                there = await server.loaded()
                # If one that is gone comes back, another process has loaded it.
                ours &= there | self._held.keys()
                for version in list(self._held.values()):
                    if version.name not in there:
                        await self._keep(server, version)
                for name in sorted(there & ours):
                    await self._clear_stray(server, self._versions[name])

    async def restore(self, name: str) -> bool:
        """Load version `name` again if a server lost it; return whether it is loaded now.

        For a request that holds it but is told that there is no such model.
        """
        version = self._held.get(name)
        if version is None:
            return False
        for server in self._loaded_on:
            with _log_silence():
                await self._keep(server, version)
        return version.is_loaded

    async def _keep(self, server: LoraServer, version: _Version) -> None:
        """Load a version again that a server lost, or give it up if it cannot be loaded."""
        try:
            async with version.lock:
                if version.is_loaded and version.name not in await server.loaded():
                    await self._load_on(server, version.name)
                    self.counts.n_repairs += 1
        except LoraServerSilent:
            raise
        except AdapterError as exc:
            fields = {"adapter": version.name, "reason": str(exc)}
            logger.error("adapter_lost", extra={"fields": fields})  # no fault of ours
            async with version.lock:
                await self._clear(version)

    async def _clear_stray(self, server: LoraServer, version: _Version) -> None:
        async with version.lock:
            if version.name not in self._held and version.name in self._loaded_on[server]:
                await self._unload_from(server, version.name)

    async def _load(self, version: _Version, deadline: float) -> None:
        await self._make_room(version, deadline)
        version.failure = None
        try:
            silent = 0
            for server in self._loaded_on:
                try:
                    await self._load_on(server, version.name)
                except LoraServerSilent:
                    # `reconcile` gives it the version when it is back.
                    silent += 1
                    if silent == len(self._loaded_on):
                        raise
        except BaseException as exc:
            await self._clear(version)
            if isinstance(exc, AdapterError):
                version.failure = exc
            raise
        version.is_loaded = True
        self.counts.n_loads += 1

    async def _load_on(self, server: LoraServer, name: str) -> None:
        path = await asyncio.to_thread(self._locate, name)
        # Before the answer, which may get lost.
        self._loaded_on[server].add(name)
        try:
            await server.load(name, path)
            await self._verify(server, name)
        except (LoraServerSilent, asyncio.CancelledError):
            # What is not verified must not answer here; `reconcile` loads it again.
            with suppress(LoraServerSilent):
                await self._unload_from(server, name)
            raise

    async def _unload_from(self, server: LoraServer, name: str) -> None:
        await server.unload(name)
        self._loaded_on[server].discard(name)

    async def _make_room(self, version: _Version, deadline: float) -> None:
        """Hold a place for `version`, evicting the least recently used one that nobody holds."""
        while len(self._held) >= self._capacity:
            idle = [held for held in self._held.values() if held.n_leases == 0]
            if idle:
                victim = min(idle, key=lambda held: held.last_used)
                self.counts.n_evictions += await self._unload(victim)
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await self._freed.wait()
            except TimeoutError as exc:
                raise AdaptersBusy(self._capacity, wait_s=self._wait_s) from exc
        self._held[version.name] = version

    async def _unload(self, version: _Version) -> bool:
        """Unload a version that nobody holds; return whether it was."""
        async with version.lock:
            if version.n_leases or version.name not in self._held:
                return False
            await self._clear(version)
            self.counts.n_unloads += 1
            return True

    async def _clear(self, version: _Version) -> None:
        version.is_loaded = False
        try:
            for server in self._loaded_on:
                # A restarted server holds nothing; on any other `reconcile` finds the stray.
                with _log_silence():
                    await self._unload_from(server, version.name)
        finally:
            self._held.pop(version.name, None)
            self._tell_freed()

    def _tell_freed(self) -> None:
        # Without an `await`, which a request that is being cancelled would not complete.
        self._freed.set()
        self._freed = asyncio.Event()


@contextmanager
def _log_silence() -> Iterator[None]:
    """Go on after the block if a server in it cannot be reached, and log that."""
    try:
        yield
    except LoraServerSilent as exc:
        logger.warning("lora_server_silent", extra={"fields": {"url": exc.url, "reason": str(exc)}})
