"""Chooses the weights that answer for a culture, and holds them while they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from adapters.errors import AdapterError, AdaptersOff, LoraServerSilent
from adapters.serving import AdapterServing
from prompting.recipe import ACTIVE_ADAPTER, NO_ADAPTER
from survey_data.cultures import Culture


class ServedWeights(NamedTuple):
    """A model name that the server knows, the adapter in it, if any, and the model it is on.

    `reader` is the name of the base model with the adapter that reads what a prompt tells of a
    people, if it has one.
    """

    model: str
    adapter: str | None
    base_model: str
    reader: str | None = None

    @property
    def bare(self) -> ServedWeights:
        """The model without an adapter."""
        return ServedWeights(self.base_model, None, self.base_model, self.reader)

    def choose_model(self, *, reads: bool) -> str:
        """Return the name to ask for a prompt that tells of a people, or does not."""
        return self.reader if reads and self.reader and self.adapter is None else self.model


@dataclass(frozen=True, slots=True)
class Lease:
    """Weights to answer with, held until the lease ends.

    Attributes:
        weights: the model, with or without an adapter.
        unavailable_because: why there is no adapter although one was asked for.
        notes: what a client should know about the adapter it gets.
    """

    weights: ServedWeights
    unavailable_because: str | None = None
    notes: tuple[str, ...] = ()


class WeightsPool:
    """Maps a culture to the weights that answer for it, and holds them while they do.

    Without `AdapterServing` there are no adapters, and it is always the base model.
    """

    def __init__(
        self, base_model: str, live: AdapterServing | None = None, *, reader: str | None = None
    ) -> None:
        self.base_model, self.live, self._reader = base_model, live, reader

    @asynccontextmanager
    async def lease(
        self, culture: Culture | None, wanted: str, *, optional: bool = False
    ) -> AsyncIterator[Lease]:
        """Hold the weights for `culture`, None for a request without one, during the block.

        `wanted` is `none`, `auto` for the adapter that is active for the culture, or an adapter's
        name. `auto` falls back to the base model if no adapter is active, and so does an `optional`
        name, such as one from an experiment; `unavailable_because` then says why.

        Raises:
            AdaptersOff: an adapter is named, and the servers take none.
            AdapterError: the named adapter does not serve this culture, or cannot be loaded.
            LoraServerSilent: no server can be reached.
        """
        base = ServedWeights(self.base_model, None, self.base_model, self._reader)
        if wanted == NO_ADAPTER:
            yield Lease(base)
        elif wanted != ACTIVE_ADAPTER:
            async with AsyncExitStack() as held:
                try:
                    if self.live is None:
                        raise AdaptersOff
                    version = await held.enter_async_context(self.live.hold_named(wanted, culture))
                except AdapterError as exc:
                    if not optional or isinstance(exc, LoraServerSilent):
                        raise
                    leased = Lease(base, unavailable_because=str(exc))
                else:
                    leased = Lease(self._weights_on(version))
                yield leased
        elif culture is None or self.live is None:
            why = "no culture was asked for" if culture is None else "the servers take no adapters"
            yield Lease(base, unavailable_because=why)
        else:
            async with self.live.hold_active(culture) as (found, reasons):
                if found is None:
                    why = "; ".join(reasons) or f"no adapter is active for {culture.name}"
                    yield Lease(base, unavailable_because=why)
                else:
                    yield Lease(self._weights_on(found), notes=reasons)

    def _weights_on(self, version_name: str) -> ServedWeights:
        return ServedWeights(version_name, version_name, self.base_model, self._reader)
