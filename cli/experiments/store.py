"""The store of the settings, which services follow, as `milieu experiments` works on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from app.settings import Settings
from app.state.event_store import open_event_store
from app.state.retrieval import read_library
from cli.console import read_quiet_settings
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from survey_data.cultures import read_catalogue

T = TypeVar("T")


def run_in_store(
    work: Callable[[EventStore, ExperimentRegistry], Awaitable[T]],
    *,
    settings: Settings | None = None,
    saves: bool = False,
) -> T:
    """Return what `work` does with the store of the settings, and its experiments.

    `settings` are by default those of the environment. `saves` is whether a definition is saved,
    which has to be of covered cultures.
    """
    settings = settings or read_quiet_settings()

    async def run() -> T:
        cultures = list_covered(settings) if saves else ()
        async with await open_event_store(settings) as store:
            registry = ExperimentRegistry(store, cultures=cultures, models=(settings.model,))
            return await work(store, registry)

    return asyncio.run(run())


def list_covered(settings: Settings) -> Collection[str]:
    """Return the codes of the cultures that the surveys of the settings cover."""
    return read_library(settings, read_catalogue()).cultures
