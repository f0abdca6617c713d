"""What `milieu experiments` does on the store of the settings, which services follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from app.resources import read_library
from app.settings import Settings
from app.state.event_store import make_unit_hasher, open_event_store
from app.state.experiment_report import PLAN, PLAN_JSON, read_report
from app.state.start_notes import start_notes
from cli.experiments.planning import DurationPlan, Traffic, plan_duration
from experiments.analysis.result import Analysis
from experiments.assignment import Standing, assign, find_first
from experiments.definition import Experiment, State
from experiments.export import export_parquet
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from experiments.stores.scripts import Forgotten, StoredRevision
from experiments.unit import Unit
from survey_data.cultures import read_catalogue


class KeptPlan(NamedTuple):
    """A plan, the experiment it is for, and whether it is kept with it."""

    experiment: Experiment
    planned: DurationPlan
    is_kept: bool


class Started(NamedTuple):
    """An experiment that runs now, and what to know of it."""

    experiment: Experiment
    notes: tuple[str, ...]


class Tidied(NamedTuple):
    """What was deleted, and the undecided experiments whose events stayed."""

    forgotten: Forgotten
    kept: tuple[str, ...]


class Found(NamedTuple):
    """What a unit gets in an experiment.

    Attributes:
        arm: empty where it takes no part.
        is_remembered: whether the store holds the arm; else the hash alone says it.
        elsewhere: the experiment that started earlier and has the unit; empty for none.
    """

    experiment: Experiment
    standing: Standing
    arm: str
    is_remembered: bool
    elsewhere: str


async def create_experiment(settings: Settings, experiment: Experiment) -> Experiment:
    """Keep a draft.

    Raises:
        DefinitionInvalid, ExperimentTaken: as `ExperimentBook.define` says.
    """
    async with _opened(settings, cultures=_covered(settings)) as (_, registry):
        return await registry.define(experiment)


async def list_experiments(settings: Settings) -> tuple[StoredRevision, ...]:
    """Return the latest revision of every experiment, the first created first."""
    async with _opened(settings) as (_, registry):
        return await registry.all()


async def show_experiment(settings: Settings, name: str) -> tuple[StoredRevision, ...]:
    """Return all revisions of an experiment, oldest first.

    Raises:
        ExperimentUnknown: there is none of that name.
    """
    async with _opened(settings) as (_, registry):
        return await registry.revisions(name)


async def revise_experiment(
    settings: Settings, name: str, change: Callable[[Experiment], Experiment]
) -> tuple[Experiment, Experiment]:
    """Keep what `change` makes of an experiment, and return it after what it was.

    Raises:
        ExperimentUnknown, DefinitionInvalid, ChangeRefused, RevisionConflict: as
            `ExperimentBook.revise` says.
    """
    async with _opened(settings, cultures=_covered(settings)) as (_, registry):
        latest = (await registry.revisions(name))[-1].experiment
        return latest, await registry.revise(change(latest), base=latest.revision)


async def start_experiment(settings: Settings, name: str, *, allow_unsent: bool) -> Started:
    """Let an experiment run.

    Raises:
        ExperimentUnknown, TransitionRefused, LayerOverlap, MetricNotSent, RevisionConflict: as
            `ExperimentBook.start` says.
    """
    async with _opened(settings) as (_, registry):
        started = await registry.start(name, allow_unsent=allow_unsent)
        notes = start_notes(started, registry.running, settings, sorted(_covered(settings)))
        return Started(started, notes)


async def stop_experiment(settings: Settings, name: str) -> Experiment:
    """End a running experiment.

    Raises:
        ExperimentUnknown, TransitionRefused, RevisionConflict: as `ExperimentBook.stop` says.
    """
    async with _opened(settings) as (_, registry):
        return await registry.stop(name)


async def decide_experiment(settings: Settings, name: str, decision: str) -> Experiment:
    """Keep what came of a stopped experiment.

    Raises:
        ExperimentUnknown, DefinitionInvalid, TransitionRefused, RevisionConflict: as
            `ExperimentBook.decide` says.
    """
    async with _opened(settings) as (_, registry):
        return await registry.decide(name, decision)


async def analyse_experiment(settings: Settings, name: str) -> Analysis:
    """Return what the events of an experiment say now.

    Raises:
        ExperimentUnknown: there is none of that name.
    """
    library = read_library(settings, read_catalogue())
    async with _opened(settings) as (store, _):
        return await read_report(store, name, library)


async def plan_experiment(
    settings: Settings, name: str, traffic: Traffic, *, power: float
) -> KeptPlan:
    """Return how long an experiment will take, and keep that with a draft.

    With an experiment that has started it is not kept: the analysis uses what was planned, and
    may not use what was planned after a look.

    Raises:
        ExperimentUnknown: there is none of that name.
        OptionInvalid: what is expected does not fit the metric, or cannot be.
    """
    async with _opened(settings) as (store, registry):
        experiment = (await registry.revisions(name))[-1].experiment
        found = plan_duration(experiment, traffic, power=power)
        is_kept = experiment.state is State.DRAFT
        if is_kept:
            await store.attach(name, PLAN, PLAN_JSON.dump_json(found.plan).decode())
        return KeptPlan(experiment, found, is_kept)


async def find_arm(settings: Settings, name: str, unit: Unit, *, culture: str = "") -> Found:
    """Return what a unit gets in an experiment; nothing is written.

    Without a culture it is that of a request which the experiment applies to.

    Raises:
        ExperimentUnknown: there is none of that name.
    """
    hashed = make_unit_hasher(settings).hash(unit)
    async with _opened(settings) as (store, registry):
        experiment = (await registry.revisions(name))[-1].experiment
        of_request = culture or next(iter(experiment.cultures), "")
        found = assign(experiment, unit, culture=of_request)
        if found.arm is None:
            return Found(experiment, found.standing, "", False, "")
        first = find_first(await store.running(), unit, culture=of_request)
        elsewhere = "" if first is None or first.name == name else first.name
        arm = await store.arm_of(name, hashed)
        return Found(experiment, found.standing, arm or found.arm.name, bool(arm), elsewhere)


async def forget_unit(settings: Settings, unit: Unit) -> Forgotten:
    """Delete all that is kept of a unit."""
    async with _opened(settings) as (store, _):
        return await store.forget_unit(make_unit_hasher(settings).hash(unit))


async def forget_before(settings: Settings, moment: datetime) -> Tidied:
    """Delete the events before a moment."""
    async with _opened(settings) as (store, registry):
        forgotten = await store.forget_before(round(moment.timestamp() * 1000.0))
        latest = [each.experiment for each in await registry.all()]
    undecided = (State.RUNNING, State.STOPPED)
    return Tidied(forgotten, tuple(each.name for each in latest if each.state in undecided))


async def export_events(settings: Settings, folder: Path, *, with_texts: bool) -> Path:
    """Write all that is kept as Parquet files, and return their manifest.

    Raises:
        ExportRefused: the folder holds files.
        DriverMissing: polars is not installed.
    """
    async with _opened(settings) as (store, _):
        return await export_parquet(store, folder, with_texts=with_texts)


@asynccontextmanager
async def _opened(
    settings: Settings, *, cultures: Collection[str] = ()
) -> AsyncIterator[tuple[EventStore, ExperimentRegistry]]:
    """Open store and registry; `cultures` are needed where definitions are saved only."""
    async with await open_event_store(settings) as store:
        yield store, ExperimentRegistry(store, cultures=cultures, models=(settings.model,))


def _covered(settings: Settings) -> Collection[str]:
    return read_library(settings, read_catalogue()).cultures
