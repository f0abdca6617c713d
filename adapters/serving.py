"""Adapters on running servers: what is active, and how it changes while requests are answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from adapters.active import find_active
from adapters.claims import VersionClaims
from adapters.completion import complete, track
from adapters.errors import (
    AdapterError,
    AdapterForOthers,
    AdaptersBusy,
    AdapterUnknown,
    LoraServerSilent,
)
from adapters.hot_swap import HotSwap, SwapCounts
from adapters.manifest import AdapterManifest
from adapters.readiness import ReplicaStatus, describe_replicas
from adapters.registry import AdapterRegistry
from adapters.states import AdapterState, measure_effect_nat
from adapters.verification import Verifier
from survey_data.cultures import Culture

logger = logging.getLogger(__name__)

# How long a version that could not be loaded is left alone.
COOLDOWN_S = 30.0
# How long a change may still take when the service ends.
CLOSE_S = 5.0


class _LoadFailure(NamedTuple):
    """Why a version could not be loaded, and until when (monotonic) it is not tried again."""

    error: AdapterError
    until_s: float


class AdapterServing:
    """The adapters of a registry on running servers: what is active, and how it changes.

    Every change is blue/green. The new version is loaded, warmed up and verified while the old one
    answers; then the registry is told, and the alias is switched by one assignment. Running
    requests finish on the old version, which is unloaded after the last of them. A change that has
    begun is completed even if the caller does not wait for it.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        hot: HotSwap,
        verifier: Verifier,
        *,
        claims: VersionClaims | None = None,
    ) -> None:
        """Serve the adapters of `registry`; `claims` are those of the servers of `hot`."""
        self._registry, self._hot, self._verifier = registry, hot, verifier
        self._preloading: asyncio.Task[None] | None = None
        self._claims = claims
        # Versions that another process is about to remove.
        self._leaving_elsewhere: frozenset[str] = frozenset()
        # Newest first: the active version, and those before it, which answer if it cannot.
        self._versions: Mapping[str, tuple[str, ...]] = {}
        self._failures: dict[str, _LoadFailure] = {}
        # Versions on their way out, which nobody is given any more.
        self._leaving: set[str] = set()
        self._changing = asyncio.Lock()
        self.changes: set[asyncio.Task[Any]] = set()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> SwapCounts:
        """Loads, unloads, evictions and repairs since the start."""
        return self._hot.counts

    @property
    def hot(self) -> HotSwap:
        """The servers, and what is proven on each."""
        return self._hot

    @property
    def n_loaded(self) -> int:
        """How many versions the servers hold."""
        return len(self._hot.loaded)

    @property
    def active(self) -> dict[str, str]:
        """The version that is active for each culture, by alpha-3 code, in order."""
        return {culture: versions[0] for culture, versions in sorted(self._versions.items())}

    @property
    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """The servers, and how far each is with the versions that should be on it."""
        return describe_replicas(self._hot, self.active.values())

    @asynccontextmanager
    async def hold_named(self, text: str, culture: Culture | None) -> AsyncIterator[str]:
        """Hold the adapter that `text` means, and yield its version name."""
        manifest = await asyncio.to_thread(self._resolve, text)
        if culture is not None and not manifest.serves(culture.code):
            raise _refuse_culture(manifest, culture.code)
        async with AsyncExitStack() as held:
            await self._hold(held, manifest.version_name)
            yield manifest.version_name

    @asynccontextmanager
    async def hold_active(
        self, culture: Culture
    ) -> AsyncIterator[tuple[str | None, tuple[str, ...]]]:
        """Hold the version that answers for `culture`; yield its name, None if there is none.

        With it come the reasons why newer versions do not answer.
        """
        reasons: list[str] = []
        is_full = False
        async with AsyncExitStack() as held:
            for version in self._versions.get(culture.code, ()):
                # One wait for room is enough.
                if is_full and version not in self._hot.loaded:
                    continue
                try:
                    await self._hold(held, version)
                except LoraServerSilent:
                    raise
                except AdaptersBusy:
                    is_full = True
                    reasons.append(f"there was no room for {version}")
                except AdapterError:
                    reasons.append(f"{version} could not be loaded")
                else:
                    yield version, tuple(reasons)
                    return
            yield None, tuple(reasons)

    @complete
    async def activate(self, text: str, cultures: Sequence[str] = ()) -> tuple[str, ...]:
        """Make an adapter the active one of `cultures`, by default of all that it serves.

        Returns:
            The cultures, alpha-3 codes.

        Raises:
            AdapterUnknown, AdapterAmbiguous, AdapterForOthers, AdapterRefused: it is not there, not
                for one of the cultures, altered, without effect or with an effect other than
                recorded. Nothing has changed.
            AdaptersBusy, LoraServerSilent, AdapterLoadFailed: it cannot be loaded now. Likewise.
            RegistryInvalid, RegistryBusy: as the registry does.
        """
        async with self._changing:
            manifest = await asyncio.to_thread(self._resolve, text)
            version = manifest.version_name
            codes = tuple(cultures) or manifest.cultures
            # One that serves any culture has no cultures of its own.
            for code in codes or ("all cultures",):
                if not codes or not manifest.serves(code):
                    raise _refuse_culture(manifest, code)
            self._failures.pop(version, None)
            async with AsyncExitStack() as held:
                await self._hold(held, version)
                await asyncio.to_thread(self._registry.activate, codes, version, verified=True)
                await self._switch()
        fields = {"adapter": version, "cultures": ",".join(codes)}
        logger.info("adapter_activated", extra={"fields": fields})
        return codes

    @complete
    async def deactivate(self, culture: str) -> None:
        """Let the base model answer for `culture`; `rollback` brings the adapter back."""
        async with self._changing:
            await asyncio.to_thread(self._registry.deactivate, culture)
            await self._switch()
        logger.info("adapter_deactivated", extra={"fields": {"culture": culture}})

    @complete
    async def rollback(self, culture: str) -> str | None:
        """Go back to what was active for `culture` before; return it, None for the base model.

        Raises:
            NothingToRollBack: there is nothing before.
            AdapterError: what was active before cannot be loaded; nothing has changed.
        """
        async with self._changing:
            states = (await asyncio.to_thread(self._registry.states)).get(culture, ())
            before = states[-2] if len(states) > 1 else None
            async with AsyncExitStack() as held:
                if before is not None:
                    self._failures.pop(before, None)
                    await self._hold(held, before)
                found = await asyncio.to_thread(self._registry.rollback, culture)
                await self._switch()
        fields = {"culture": culture, "adapter": found or "none"}
        logger.info("adapter_rolled_back", extra={"fields": fields})
        return found

    @complete
    async def remove(self, text: str) -> str:
        """Unload an adapter once nobody uses it, delete it, and return its version name.

        From the call on no request is given it.

        Raises:
            AdapterUnknown, AdapterAmbiguous: there is no such adapter.
            AdapterInUse: it is active for a culture.
        """
        version = await asyncio.to_thread(self._registry.resolve, text)
        if version in self._leaving:
            raise AdapterUnknown(version)
        await asyncio.to_thread(self._registry.check_removable, version)
        self._leaving.add(version)
        held = ExitStack()
        try:
            # Other changes do not wait for the last request on it.
            if self._claims is not None:
                held.enter_context(self._claims.leaving(version))
                await self._hot.retire(version)
                await self._claims.wait_for_others(version)
            await self._hot.retire(version)
            await self._hot.forget(version)
            async with self._changing:
                await asyncio.to_thread(self._registry.remove, version)
                self._failures.pop(version, None)
                await self._switch()
        finally:
            held.close()
            self._leaving.discard(version)
        logger.info("adapter_removed", extra={"fields": {"adapter": version}})
        return version

    async def states(self) -> tuple[AdapterState, ...]:
        """Return every adapter in the registry with its state here."""
        found = []
        for manifest in await asyncio.to_thread(self._registry.entries):
            # It may have been removed just now.
            with suppress(AdapterUnknown):
                found.append(await self._state(manifest))
        return tuple(found)

    async def state(self, text: str) -> AdapterState:
        """Return one adapter by its name, as `states` does.

        Raises:
            AdapterUnknown, AdapterAmbiguous: it does not name one.
        """
        return await self._state(await asyncio.to_thread(self._read_entry, text))

    async def open(self) -> None:
        """Take over what the registry has active; `watch`, or the first request, loads it.

        Raises:
            RegistryInvalid: active.json is not as it was written.
        """
        await self._switch()

    async def watch(self, interval_s: float) -> None:
        """Keep the servers as they should be, and follow other processes' changes, forever."""
        while True:
            try:
                self._give_up_leaving()
                async with self._changing:
                    await self._follow()
                self._preload()
            except AdapterError as exc:
                fields = {"reason": str(exc)}
                logger.warning("adapters_not_reconciled", extra={"fields": fields})
            except Exception:
                # Nobody else would bring a restarted server its adapters back.
                logger.exception("adapters_not_reconciled")
            await self._hot.tend(interval_s)

    async def close(self) -> None:
        """Let changes that are under way end, and stop waiting for requests on retired versions."""
        if self.changes:
            await asyncio.wait(self.changes, timeout=CLOSE_S)
        tasks = [*self.changes, *self._retiring]
        tasks += [] if self._preloading is None else [self._preloading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._hot.close()

    def _preload(self) -> None:
        """Begin to load what is active and not loaded, as far as there is room for it."""
        if self._preloading is None or self._preloading.done():
            self._preloading = asyncio.create_task(self._load_active(), name="preload")

    async def _load_active(self) -> None:
        for version in dict.fromkeys(self.active.values()):
            is_idle = version in self._hot.loaded or self._is_cooling_down(version)
            if is_idle or not self._hot.has_room:
                continue
            # A silent server is logged where it is noticed, and a failed load as well.
            with suppress(AdapterError):
                async with AsyncExitStack() as held:
                    await self._hold(held, version)

    async def _hold(self, held: AsyncExitStack, version: str) -> None:
        """Hold `version` until `held` is closed. One that cannot be loaded cools down first."""
        if version in self._leaving or version in self._leaving_elsewhere:
            raise AdapterUnknown(version)
        if self._is_cooling_down(version):
            raise self._failures[version].error.with_traceback(None)
        try:
            await held.enter_async_context(self._hot.lease(version))
        except (AdaptersBusy, LoraServerSilent):
            raise
        except AdapterError as exc:
            self._failures[version] = _LoadFailure(exc, time.monotonic() + COOLDOWN_S)
            fields = {"adapter": version, "reason": str(exc)}
            logger.error("adapter_load_failed", extra={"fields": fields})  # the caller is told, too
            raise
        self._failures.pop(version, None)

    def _is_cooling_down(self, version: str) -> bool:
        failure = self._failures.get(version)
        return failure is not None and time.monotonic() < failure.until_s

    async def _follow(self) -> None:
        """Switch to what another process has activated, having loaded and verified it here.

        It switches even if that fails: the previous version keeps answering, and says so.
        """
        states = await asyncio.to_thread(self._registry.states)
        wanted = {culture: found[0] for culture, of in states.items() if (found := find_active(of))}
        active = self.active
        async with AsyncExitStack() as held:
            new = {version for culture, version in wanted.items() if active.get(culture) != version}
            for version in sorted(new):
                try:
                    await self._hold(held, version)
                except LoraServerSilent:
                    raise
                except AdapterError as exc:
                    fields = {"adapter": version, "reason": str(exc)}
                    logger.warning("adapter_not_followed", extra={"fields": fields})
            # Not read again: what was activated meanwhile has not been loaded.
            self._point_at(states)

    def _give_up_leaving(self) -> None:
        """Unload what other processes are about to remove, once nobody here uses it."""
        if self._claims is None:
            return
        before, now = self._leaving_elsewhere, self._claims.list_leaving() - self._leaving
        self._leaving_elsewhere = now
        for name in now - before:
            task = asyncio.create_task(self._hot.retire(name), name=f"retire-{name}")
            track(task, self._retiring, event="adapter_not_unloaded", kind="task")

    async def _switch(self) -> None:
        self._point_at(await asyncio.to_thread(self._registry.states))

    def _point_at(self, states: Mapping[str, tuple[str | None, ...]]) -> None:
        """Point every culture's alias at what the registry says, and unload what none uses."""
        before = self._find_answering()
        self._versions = {c: found for c, of in states.items() if (found := find_active(of))}
        for name in before - self._find_answering():
            retiring = self._hot.retire(name, is_wanted=partial(self._answers, name))
            task = asyncio.create_task(retiring, name=f"retire-{name}")
            track(task, self._retiring, event="adapter_not_unloaded", kind="task")

    def _find_answering(self) -> set[str]:
        """Return for every culture the first of its versions that is not cooling down."""
        return {
            next((v for v in versions if not self._is_cooling_down(v)), versions[0])
            for versions in self._versions.values()
        }

    def _answers(self, version: str) -> bool:
        return version in self._find_answering()

    def _read_entry(self, text: str) -> AdapterManifest:
        return self._registry.get(self._registry.resolve(text))

    def _resolve(self, text: str) -> AdapterManifest:
        manifest = self._read_entry(text)
        self._verifier.check_base(manifest)
        return manifest

    async def _state(self, manifest: AdapterManifest) -> AdapterState:
        name = manifest.version_name
        canaries = await asyncio.to_thread(self._registry.canaries, name)
        cultures = tuple(culture for culture, version in self.active.items() if version == name)
        return AdapterState(
            manifest, cultures, name in self._hot.loaded, measure_effect_nat(canaries)
        )


def _refuse_culture(manifest: AdapterManifest, culture: str) -> AdapterForOthers:
    return AdapterForOthers(manifest.version_name, culture=culture, cultures=manifest.cultures)
