"""Which weights answer for a culture, and how that changes while requests are answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from adapters.active import active_of
from adapters.errors import (
    AdapterError,
    AdapterForOthers,
    AdaptersBusy,
    AdaptersOff,
    LoraServerSilent,
)
from adapters.hot_swap import HotSwap, SwapCounts
from adapters.manifest import AdapterManifest
from adapters.proving import Prover
from adapters.registry import AdapterRegistry
from survey_data.cultures import Culture

logger = logging.getLogger(__name__)

# What a request may ask for besides an adapter by its name.
NO_ADAPTER, ACTIVE_ADAPTER = "none", "auto"
# A version that could not be loaded is left alone for as long.
REST_S = 30.0


class ServedWeights(NamedTuple):
    """A model name that the server knows, the adapter in it, if any, and the model it is on."""

    model: str
    adapter: str | None
    base_model: str


@dataclass(frozen=True, slots=True)
class Leased:
    """Weights to answer with; `missing` says why they hold no adapter where one was asked for.

    `notes` is what a client should know of an adapter that there is.
    """

    weights: ServedWeights
    missing: str | None = None
    notes: tuple[str, ...] = ()


class AdapterState(NamedTuple):
    """An adapter of the registry, where it is active, whether it is loaded and was proven."""

    manifest: AdapterManifest
    cultures: tuple[str, ...]
    is_loaded: bool
    is_proven: bool


class WeightsPool:
    """Maps a culture to the weights that answer for it, and holds them for as long as they do.

    Without adapters, which is without `LiveAdapters`, that is always the base model.
    """

    def __init__(self, base_model: str, live: LiveAdapters | None = None) -> None:
        self.base_model = base_model
        self.live = live

    @asynccontextmanager
    async def lease(self, culture: Culture | None, wanted: str) -> AsyncIterator[Leased]:
        """Hold the weights for `culture` for the time of the block; None is a request without one.

        `wanted` is `none`, `auto` for the adapter that is active for the culture, or the name of
        one. With `auto` there may be none, and `missing` says why.

        Raises:
            AdaptersOff: an adapter is named, and the servers take none.
            AdapterUnknown, AdapterAmbiguous, AdapterForOthers: the name is not of one that serves
                this culture.
            AdapterError: the named adapter cannot be loaded.
            LoraServerSilent: no server can be reached.
        """
        base = ServedWeights(self.base_model, None, self.base_model)
        if wanted == NO_ADAPTER:
            yield Leased(base)
        elif wanted != ACTIVE_ADAPTER:
            if self.live is None:
                raise AdaptersOff
            async with self.live.named(wanted, culture) as version:
                yield Leased(self._on(version))
        elif culture is None or self.live is None:
            why = "no culture was asked for" if culture is None else "the servers take no adapters"
            yield Leased(base, missing=why)
        else:
            async with self.live.active_for(culture) as (found, reasons):
                if found is None:
                    missing = "; ".join(reasons) or f"no adapter is active for {culture.name}"
                    yield Leased(base, missing=missing)
                else:
                    yield Leased(self._on(found), notes=reasons)

    def _on(self, version_name: str) -> ServedWeights:
        return ServedWeights(version_name, version_name, self.base_model)


class LiveAdapters:
    """The adapters of a registry on running servers: what is active, and how it changes.

    Every change is blue/green. The new version is loaded, warmed up and proven while the old one
    answers; then the registry is told, and the alias is switched by one assignment. Requests that
    run finish on the old version, which is unloaded after the last of them.
    """

    def __init__(self, registry: AdapterRegistry, hot: HotSwap, prover: Prover) -> None:
        self._registry, self._hot, self._prover = registry, hot, prover
        # Newest first: the active version, and those before it, which answer if it cannot.
        self._versions: dict[str, tuple[str, ...]] = {}
        self._broken_until: dict[str, float] = {}
        self._changing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> SwapCounts:
        """Loads, unloads, evictions and repairs since the start."""
        return self._hot.counts

    @property
    def n_loaded(self) -> int:
        """How many versions the servers hold."""
        return len(self._hot.loaded)

    @asynccontextmanager
    async def named(self, text: str, culture: Culture | None) -> AsyncIterator[str]:
        """Hold the adapter that `text` means, and yield its version name. See `lease`."""
        manifest = await asyncio.to_thread(self._named, text)
        if culture is not None and not manifest.serves(culture.code):
            raise _for_others(manifest, culture.code)
        async with self._hot.lease(manifest.version_name):
            yield manifest.version_name

    @asynccontextmanager
    async def active_for(
        self, culture: Culture
    ) -> AsyncIterator[tuple[str | None, tuple[str, ...]]]:
        """Hold the version that answers for `culture`; yield its name, None where there is none.

        With it come the reasons why newer versions do not answer.
        """
        reasons: list[str] = []
        async with AsyncExitStack() as held:
            for version in self._versions.get(culture.code, ()):
                if time.monotonic() < self._broken_until.get(version, 0.0):
                    reasons.append(f"{version} could not be loaded")
                    continue
                try:
                    await held.enter_async_context(self._hot.lease(version))
                except LoraServerSilent:
                    raise
                except AdaptersBusy:
                    reasons.append(f"there was no room for {version}")
                except AdapterError as exc:
                    self._broken_until[version] = time.monotonic() + REST_S
                    reasons.append(f"{version} could not be loaded")
                    fields = {"adapter": version, "culture": culture.code, "reason": str(exc)}
                    logger.error("adapter_load_failed", extra={"fields": fields})
                else:
                    yield version, tuple(reasons)
                    return
            yield None, tuple(reasons)

    async def activate(self, version_name: str, cultures: Sequence[str]) -> tuple[str, ...]:
        """Make an adapter the active one of `cultures`, all that it serves where none is given.

        Returns:
            The cultures, alpha-3 codes.

        Raises:
            AdapterUnknown, AdapterForOthers, AdapterRefused: it is not there, not for one of the
                cultures, altered, without effect or with another effect than recorded. Nothing
                has changed.
            AdaptersBusy, LoraServerSilent, AdapterLoadFailed: it cannot be loaded now.
            RegistryInvalid, RegistryBusy: as the registry does.
        """
        async with self._changing:
            manifest = await asyncio.to_thread(self._named, version_name)
            codes = tuple(cultures) or manifest.cultures
            # One that serves any culture has no cultures of its own.
            for code in codes or ("all cultures",):
                if not codes or not manifest.serves(code):
                    raise _for_others(manifest, code)
            self._broken_until.pop(manifest.version_name, None)
            async with self._hot.lease(manifest.version_name):
                for code in codes:
                    await asyncio.to_thread(
                        self._registry.activate, code, manifest.version_name, proven=True
                    )
                await self._switch()
        return codes

    async def deactivate(self, culture: str) -> None:
        """Let the base model answer for `culture`; `rollback` brings the adapter back."""
        async with self._changing:
            await asyncio.to_thread(self._registry.deactivate, culture)
            await self._switch()

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
                    await held.enter_async_context(self._hot.lease(before))
                found = await asyncio.to_thread(self._registry.rollback, culture)
                await self._switch()
        return found

    async def remove(self, version_name: str) -> None:
        """Unload an adapter once nobody uses it, then delete it.

        Raises:
            AdapterUnknown: there is no such adapter.
            AdapterInUse: it is active for a culture.
        """
        async with self._changing:
            await asyncio.to_thread(self._registry.check_removable, version_name)
            await self._hot.retire(version_name)
            await asyncio.to_thread(self._registry.remove, version_name)
            await self._switch()

    async def states(self) -> tuple[AdapterState, ...]:
        """Return every adapter of the registry with what is done with it here."""
        entries = await asyncio.to_thread(self._registry.entries)
        return tuple([await self._state(entry) for entry in entries])

    async def state(self, text: str) -> AdapterState:
        """Return one adapter by its name, as `states` does.

        Raises:
            AdapterUnknown, AdapterAmbiguous: it is not the name of one.
        """
        return await self._state(await asyncio.to_thread(self._named, text))

    async def restore(self, model: str) -> bool:
        """Load `model` again where a server lost it; return whether it is an adapter, and there."""
        return await self._hot.restore(model)

    async def open(self) -> None:
        """Take over what the registry has active; loading waits for the first request.

        Raises:
            RegistryInvalid: active.json is not as it was written.
        """
        await self._switch()

    async def watch(self, interval_s: float) -> None:
        """Keep the servers as they should be, and follow other processes' changes, for ever."""
        while True:
            try:
                async with self._changing:
                    await self._follow()
                await self._hot.reconcile()
            except AdapterError as exc:
                fields = {"reason": str(exc)}
                logger.warning("adapters_not_reconciled", extra={"fields": fields})
            await asyncio.sleep(interval_s)

    async def close(self) -> None:
        """Stop waiting for requests on retired versions."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def _follow(self) -> None:
        """Switch to what another process has activated, once it is loaded and proven here."""
        states = await asyncio.to_thread(self._registry.states)
        wanted = {culture: found[0] for culture, of in states.items() if (found := active_of(of))}
        async with AsyncExitStack() as held:
            for culture, version in wanted.items():
                if self._versions.get(culture, ("",))[0] != version:
                    await held.enter_async_context(self._hot.lease(version))
            await self._switch()

    async def _switch(self) -> None:
        """Let every culture's alias be what the registry says, and unload what none uses."""
        states = await asyncio.to_thread(self._registry.states)
        versions = {culture: found for culture, of in states.items() if (found := active_of(of))}
        before = {found[0] for found in self._versions.values()}
        self._versions = versions
        for name in before - {found[0] for found in versions.values()}:
            task = asyncio.create_task(self._hot.retire(name), name=f"retire-{name}")
            self._retiring.add(task)
            task.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        self._retiring.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            fields = {"task": task.get_name(), "reason": str(error)}
            logger.warning("adapter_not_unloaded", extra={"fields": fields})

    def _named(self, text: str) -> AdapterManifest:
        manifest = self._registry.get(self._registry.resolve(text))
        self._prover.check_base(manifest)
        return manifest

    async def _state(self, manifest: AdapterManifest) -> AdapterState:
        name = manifest.version_name
        canaries = await asyncio.to_thread(self._registry.canaries, name)
        cultures = tuple(
            culture for culture, found in sorted(self._versions.items()) if found[0] == name
        )
        return AdapterState(manifest, cultures, name in self._hot.loaded, bool(canaries))


def _for_others(manifest: AdapterManifest, culture: str) -> AdapterForOthers:
    cultures = manifest.cultures or ("any alpha-3 code",)
    return AdapterForOthers(manifest.version_name, culture=culture, cultures=cultures)
