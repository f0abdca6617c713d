"""Which weights answer for a culture, and are held while they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from adapters.errors import AdapterError, AdaptersOff, LoraServerSilent
from adapters.live import LiveAdapters
from prompting.recipe import ACTIVE_ADAPTER, NO_ADAPTER
from survey_data.cultures import Culture


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


class WeightsPool:
    """Maps a culture to the weights that answer for it, and holds them for as long as they do.

    Without adapters, which is without `LiveAdapters`, that is always the base model.
    """

    def __init__(self, base_model: str, live: LiveAdapters | None = None) -> None:
        self.base_model = base_model
        self.live = live

    @asynccontextmanager
    async def lease(
        self, culture: Culture | None, wanted: str, *, can_miss: bool = False
    ) -> AsyncIterator[Leased]:
        """Hold the weights for `culture` for the time of the block; None is a request without one.

        `wanted` is `none`, `auto` for the adapter that is active for the culture, or the name of
        one. With `auto` there may be none, and `missing` says why; with a name too if it
        `can_miss`, as where not the client named it.

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
            async with AsyncExitStack() as held:
                try:
                    version = await held.enter_async_context(self._named(wanted, culture))
                except LoraServerSilent:
                    raise
                except AdapterError as exc:
                    if not can_miss:
                        raise
                    leased = Leased(base, missing=str(exc))
                else:
                    leased = Leased(self._on(version))
                yield leased
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

    def _named(self, wanted: str, culture: Culture | None) -> AbstractAsyncContextManager[str]:
        if self.live is None:
            raise AdaptersOff
        return self.live.named(wanted, culture)

    def _on(self, version_name: str) -> ServedWeights:
        return ServedWeights(version_name, version_name, self.base_model)
