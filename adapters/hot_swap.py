"""Adapters that come and go on running servers without any request noticing.

One rule keeps every answer whole: a request holds a lease on the version that it was given, and a
version is unloaded only while nobody holds one. A version is immutable and has its own name
(`name@sha8`), so no server ever has two contents under one name, and no cache an old one.

Which versions are held is decided here, once for all servers; each server is brought there and kept
there by itself (`adapters.replica`), so that one that is down, slow or unable to load a version
keeps no other from answering with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.errors import AdapterError, AdaptersBusy, LoraServerSilent
from adapters.replica import Identify, LoraServer, Replica, Verify
from adapters.spread import GRACE_S, spread

__all__ = ["HotSwap", "LoraServer", "SwapCounts"]

logger = logging.getLogger(__name__)

SILENT_INTERVAL_S = 0.25

Locate = Callable[[str], Path]


async def _skip_verification(server: LoraServer, name: str) -> None:
    """Take the server's word for it."""


async def _skip_identification(server: LoraServer) -> str | None:
    """Know no run of a server from the next."""
    return None


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
        replicas: the servers, and what is proven on each.
    """

    def __init__(
        self,
        servers: Sequence[LoraServer],
        *,
        locate: Locate,
        verify: Verify = _skip_verification,
        identify: Identify = _skip_identification,
        capacity: int = 8,
        wait_s: float = 30.0,
        grace_s: float = GRACE_S,
    ) -> None:
        """Load on `servers` from the folders that `locate` gives; it is called in a thread.

        After a load, `verify` is called for every server; it raises if the adapter does not do
        what it should. By `identify` it is noticed that a server was started anew. A request waits
        up to `wait_s` for room while all versions are in use, and up to `grace_s` for other servers
        once one can answer it.

        Raises:
            ValueError: there is no server, or no room for any version.
        """
        if not servers or capacity < 1:
            raise ValueError(
                f"{len(servers)} servers, room for {capacity}; expected 1 or more each"
            )
        self.replicas = tuple(Replica(s, verify=verify, identify=identify) for s in servers)
        self._locate = locate
        self._capacity, self._wait_s, self._grace_s = capacity, wait_s, grace_s
        self._versions: dict[str, _Version] = {}
        self._held: dict[str, _Version] = {}
        self._freed = asyncio.Event()
        self._lost = asyncio.Event()
        # What goes on after whoever began it: slow loads, and looks at servers.
        self._stragglers: set[asyncio.Task[None]] = set()
        self._looking: dict[Replica, asyncio.Task[None]] = {}
        self._clock = 0
        self.counts = SwapCounts()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The versions that are loaded, the least recently used first."""
        found = (version for version in self._held.values() if version.is_loaded)
        return tuple(v.name for v in sorted(found, key=lambda version: version.last_used))

    @property
    def has_room(self) -> bool:
        """Whether one more version can be held without unloading another."""
        return len(self._held) < self._capacity

    def find_ready(self, name: str) -> frozenset[str] | None:
        """Return the addresses of the servers on which version `name` is proven.

        Only those that answer, unless none of them does. None if no such version is held.
        """
        if name not in self._held:
            return None
        proven = [replica for replica in self.replicas if name in replica.proven]
        answering = [replica for replica in proven if replica.reach.is_reachable]
        return frozenset(replica.url for replica in answering or proven)

    def lose(self, name: str, url: str) -> None:
        """Take note that the server at `url` said it has no version `name`; it is looked at."""
        for replica in self.replicas:
            if replica.url == url:
                replica.lose(name)
        self._lost.set()

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
            if not version.is_loaded:
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
        await asyncio.gather(*self._look_everywhere())

    async def tend(self, interval_s: float) -> None:
        """Begin to reconcile each server, then wait `interval_s`, less if a version gets lost.

        A server that takes long is not waited for. One that is silent is soon looked at again.
        """
        for task in self._look_everywhere():
            self._leave(task)
        if any(replica.reach.is_reachable is False for replica in self.replicas):
            interval_s = min(interval_s, SILENT_INTERVAL_S)
        self._lost.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await self._lost.wait()

    async def restore(self, name: str) -> bool:
        """Load version `name` again where a server lost it; return whether one has it now.

        For a request that holds it but is told that there is no such model.
        """
        version = self._held.get(name)
        if version is None:
            return False

        async def keep(replica: Replica) -> None:
            with _log_silence():
                await replica.look()
                await self._keep(replica, version)
            if name not in replica.proven:
                raise LoraServerSilent(replica.url, f"it does not have {name}")

        await self._spread(keep)
        return bool(self.find_ready(name))

    async def close(self) -> None:
        """End what is still being loaded or looked at."""
        tasks = (*self._stragglers, *self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look_everywhere(self) -> list[asyncio.Task[None]]:
        """Begin to bring each server to what is held, unless that is under way."""
        if not self._versions:
            return []
        for replica in self.replicas:
            if replica not in self._looking or self._looking[replica].done():
                self._looking[replica] = asyncio.create_task(self._bring(replica))
        return list(self._looking.values())

    async def _bring(self, replica: Replica) -> None:
        """Bring one server to what is held here."""
        with _log_silence():
            there = await replica.look()
            strays = replica.strays(there, self._held)
            for version in list(self._held.values()):
                if not replica.is_cooling_down(version.name):
                    await self._keep(replica, version)
            for name in strays:
                async with self._versions[name].lock:
                    if name not in self._held:
                        await replica.drop(name)

    async def _keep(self, replica: Replica, version: _Version) -> None:
        """Prove a loaded version on a server where it is not; give it up if no server has it."""
        name = version.name
        if not version.is_loaded or name in replica.proven:
            return
        try:
            path = await asyncio.to_thread(self._locate, name)
            proved = await replica.prove(name, path, is_wanted=lambda: version.is_loaded)
            self.counts.n_repairs += proved
        except LoraServerSilent:
            raise
        except AdapterError as exc:
            fields = {"url": replica.url, "adapter": name, "reason": str(exc)}
            logger.error("adapter_lost", extra={"fields": fields})  # no fault of ours
            if any(name in other.proven for other in self.replicas):
                return
            async with version.lock:
                await self._clear(version)

    async def _load(self, version: _Version, deadline: float) -> None:
        await self._make_room(version, deadline)
        version.failure = None
        try:
            path = await asyncio.to_thread(self._locate, version.name)

            async def prove(replica: Replica) -> None:
                await replica.prove(version.name, path)
                if version.name not in self._held:
                    # It was unloaded everywhere while this server was slow.
                    await replica.drop(version.name)

            failures = await self._spread(prove)
            if not any(version.name in replica.proven for replica in self.replicas):
                raise _find_cause(failures)
        except BaseException as exc:
            await self._clear(version)
            if isinstance(exc, AdapterError):
                version.failure = exc
            raise
        version.is_loaded = True
        self.counts.n_loads += 1

    async def _spread(
        self, work: Callable[[Replica], Coroutine[Any, Any, None]]
    ) -> list[AdapterError]:
        return await spread(work, self.replicas, leave=self._leave, grace_s=self._grace_s)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Let `task` go on by itself, and log how it fails."""

        def end(task: asyncio.Task[None]) -> None:
            self._stragglers.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                fields = {"reason": str(error) or type(error).__name__}
                logger.warning("adapters_not_reconciled", extra={"fields": fields})

        if task not in self._stragglers:
            self._stragglers.add(task)
            task.add_done_callback(end)

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

        async def drop(replica: Replica) -> None:
            # A restarted server holds nothing; on any other `reconcile` finds the stray.
            with _log_silence():
                await replica.drop(version.name)

        try:
            await asyncio.gather(*map(drop, self.replicas))
        finally:
            self._held.pop(version.name, None)
            self._tell_freed()

    def _tell_freed(self) -> None:
        # Without an `await`, which a request that is being cancelled would not complete.
        self._freed.set()
        self._freed = asyncio.Event()


def _find_cause(failures: Sequence[AdapterError]) -> AdapterError:
    """Return the failure that tells most: that a server is silent only if all were."""
    return min(failures, key=lambda error: isinstance(error, LoraServerSilent))


@contextmanager
def _log_silence() -> Iterator[None]:
    """Go on after the block if a server in it cannot be reached; its replica has logged it."""
    with suppress(LoraServerSilent):
        yield
