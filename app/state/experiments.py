"""Experiments in a running service: the store, what runs, and who is in which arm."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from app.answering.alignment import PeopleAlignment
from app.answering.arms import ArmSelector, Deciding
from app.answering.recording import Recorder
from app.settings import Settings
from app.state.event_store import make_unit_hasher, open_event_store
from experiments.assigner import N_REMEMBERED, Assigner
from experiments.definition import DAY_S
from experiments.errors import StoreRefused, StoreUnavailable
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from experiments.unit import UnitHasher

logger = logging.getLogger(__name__)

# What is too old is deleted at the start, and then this often.
TIDY_INTERVAL_S = 6 * 3600.0


@dataclass(frozen=True)
class LiveExperiments:
    """What a service has of experiments; closed with it."""

    store: EventStore
    registry: ExperimentRegistry
    hasher: UnitHasher
    assigner: Assigner


@asynccontextmanager
async def open_experiments(
    settings: Settings, *, cultures: Collection[str]
) -> AsyncIterator[LiveExperiments]:
    """Open the store of the settings, read what runs, and follow it from then on.

    `cultures` are the alpha-3 codes that the surveys cover.

    Raises:
        StoreUnavailable, StoreOutdated, DriverMissing: the store cannot be opened.
        SecretChanged, SecretFileInvalid, SecretNotKept: units cannot be hashed as before.
    """
    async with AsyncExitStack() as stack:
        store = await open_event_store(settings)
        stack.push_async_callback(store.close)
        hasher = await asyncio.to_thread(make_unit_hasher, settings)
        assigner = Assigner(store, hasher)
        registry = ExperimentRegistry(
            store,
            cultures=cultures,
            models=(settings.model,),
            refresh_s=settings.experiments.refresh_s,
            on_forgotten=assigner.forget_all,
        )
        await registry.refresh()
        await _recall(store, registry, assigner)
        tasks = [asyncio.create_task(registry.watch(), name="watch-experiments")]
        retention_days = settings.experiments.retention_days
        if retention_days is not None:
            tidying = _tidy(store, keep_s=retention_days * DAY_S)
            tasks.append(asyncio.create_task(tidying, name="tidy-events"))
        stack.push_async_callback(_end, tasks)
        fields = {"store": store.place, "n_running": len(registry.running)}
        logger.info("experiments_opened", extra={"fields": fields})
        yield LiveExperiments(store, registry, hasher, assigner)


def make_arm_selector(settings: Settings, experiments: LiveExperiments | None) -> ArmSelector:
    """Return what selects recipes, with the experiments where there are any."""
    deciding = None if experiments is None else Deciding(experiments.registry, experiments.assigner)
    return ArmSelector(settings.answer.recipe, deciding)


def make_recorder(
    settings: Settings, experiments: LiveExperiments | None, *, alignment: PeopleAlignment
) -> Recorder:
    """Return what records answers, nowhere without experiments."""
    if experiments is None:
        return Recorder(None, None, alignment=alignment)
    texts = settings.experiments.texts
    return Recorder(experiments.store, experiments.hasher, alignment=alignment, texts=texts)


async def _recall(store: EventStore, registry: ExperimentRegistry, assigner: Assigner) -> None:
    """Remember the arms of the running experiments, unless that takes too long."""
    try:
        for experiment in registry.running:
            arms = await store.list_remembered(experiment.name, most=N_REMEMBERED)
            assigner.recall(experiment.name, arms)
    except StoreUnavailable as exc:
        # Each unit is asked for when it comes.
        logger.warning("arms_not_recalled", extra={"fields": {"reason": exc.reason}})


async def _tidy(store: EventStore, *, keep_s: float) -> None:
    while True:
        before_ms = round((time.time() - keep_s) * 1000.0)
        try:
            forgotten = await store.forget_before(before_ms)
        except (StoreUnavailable, StoreRefused) as exc:
            logger.warning("old_events_not_deleted", extra={"fields": {"reason": exc.reason}})
        else:
            logger.info("old_events_deleted", extra={"fields": forgotten._asdict()})
        await asyncio.sleep(TIDY_INTERVAL_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
