"""Get what an analysis needs out of the event store: units, and values by unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.definition import RECORDED_METRICS, Experiment
from experiments.stores.event_store import EventStore, Observations, UnitObservations
from experiments.stores.scripts import StoredRevision
from experiments.unit import UnitKind

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Truths: TypeAlias = NDArray[np.bool_]
Strings: TypeAlias = NDArray[np.str_]

# Whether the culture was spoken for, and whether another arm answered: beside what is recorded.
STEERED, CROSSED, FELL_BACK = "steered", "crossed", "fell_back"


@dataclass(frozen=True, slots=True)
class Units:
    """The units of an experiment, in the order of their first answers; one array per column.

    Attributes:
        arm: the index of the assigned arm, -1 for one that the experiment does not have.
        is_request: whether the unit is a single request, which tells of no user.
        culture: alpha-3 code of the first answer, empty for none.
        revision: the one that assigned.
        first_s: the first answer, in seconds since 1970.
    """

    arm: Ints
    is_request: Truths
    culture: Strings
    revision: Ints
    first_s: Floats

    def __len__(self) -> int:
        return len(self.arm)


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one metric: whose, when they came, and which.

    Attributes:
        unit: indices of units.
        n_request_outcomes: outcomes of units that are single requests, which are not in.
    """

    unit: Ints
    at_s: Floats
    value: Floats
    n_request_outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Events:
    """All that an analysis looks at, of one experiment, up to `now_s`.

    Attributes:
        revisions: all of them, oldest first.
        values: by metric: those of the experiment, all recorded ones, `STEERED` and `CROSSED`.
        n_overridden: answers whose arm a tester chose; they are in nothing else.
    """

    revisions: tuple[StoredRevision, ...]
    now_s: float
    units: Units
    values: Mapping[str, Values]
    n_overridden: int

    @property
    def experiment(self) -> Experiment:
        """The latest revision."""
        return self.revisions[-1].experiment


@dataclass
class _Read:
    """Units by their hash, and what one pass has collected so far."""

    place: dict[str, int]
    now_ms: int
    parts: dict[str, list[tuple[Ints, Ints, Floats]]] = field(default_factory=dict)

    def add(self, metric: str, unit: Ints, at_ms: Ints, value: Floats) -> None:
        # A unit that came between two passes has no place: the next look shows it.
        kept = (unit >= 0) & (at_ms >= 0) & (at_ms <= self.now_ms) & np.isfinite(value)
        self.parts.setdefault(metric, []).append((unit[kept], at_ms[kept], value[kept]))

    def places(self, units: Strings) -> Ints:
        return np.array([self.place.get(unit, -1) for unit in units.tolist()], np.int64)

    def values(self, metric: str, *, n_request_outcomes: int = 0) -> Values:
        parts = self.parts.get(metric) or [(np.empty(0, np.int64),) * 2 + (np.empty(0),)]
        unit, at_ms, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Values(unit, at_ms / 1000.0, value.astype(np.float64), n_request_outcomes)


async def events_of(store: EventStore, name: str, *, now_ms: int) -> Events:
    """Return the events of an experiment up to `now_ms`, in milliseconds of UTC since 1970.

    The passes over the store are of slightly different moments; what a later one has more of is
    left for the next look.

    Raises:
        ExperimentUnknown: there is none of that name.
        StoreUnavailable: the store does not answer.
    """
    revisions = await store.revisions(name)
    experiment = revisions[-1].experiment
    pieces = [piece async for piece in store.units(name, experiment.primary.metric.name)]
    units, place = _units(pieces, experiment, now_ms)
    read = _Read(place, now_ms)
    n_overridden = await _read_answers(store, name, read)
    recorded = (STEERED, CROSSED, *RECORDED_METRICS)
    for metric in RECORDED_METRICS:
        if metric not in read.parts:
            await _read_values(store, name, metric, read)
    values = {metric: read.values(metric) for metric in recorded}
    for carried in experiment.metrics:
        if carried.name in values:
            continue
        await _read_values(store, name, carried.name, read)
        if carried.name != experiment.primary.metric.name:
            pieces = [piece async for piece in store.units(name, carried.name)]
        n_request_outcomes = _add_own(carried.name, pieces, read)
        values[carried.name] = read.values(carried.name, n_request_outcomes=n_request_outcomes)
    return Events(revisions, now_ms / 1000.0, units, values, n_overridden)


async def _read_answers(store: EventStore, name: str, read: _Read) -> int:
    """Read latency and all that comes with every metric; return the answers of overrides."""
    n_overridden = 0
    async with aclosing(store.observations(name, "latency_ms", with_overridden=True)) as pieces:
        async for piece in pieces:
            own = ~piece.overridden
            n_overridden += int((piece.overridden & (piece.time_ms <= read.now_ms)).sum())
            unit, at_ms = read.places(piece.unit[own]), piece.time_ms[own]
            crossed = piece.arm[own] != piece.answered_arm[own]
            read.add("latency_ms", unit, at_ms, piece.value[own])
            read.add(STEERED, unit, at_ms, piece.steered[own].astype(np.float64))
            read.add(FELL_BACK, unit, at_ms, piece.fell_back[own].astype(np.float64))
            read.add(CROSSED, unit, at_ms, crossed.astype(np.float64))
    return n_overridden


async def _read_values(store: EventStore, name: str, metric: str, read: _Read) -> None:
    """Read the values of a metric that answers have."""

    def add(piece: Observations) -> None:
        has = piece.value_ms >= 0
        read.add(metric, read.places(piece.unit[has]), piece.value_ms[has], piece.value[has])

    async with aclosing(store.observations(name, metric)) as pieces:
        async for piece in pieces:
            add(piece)


def _add_own(metric: str, pieces: Iterable[UnitObservations], read: _Read) -> int:
    """Add what units themselves have as outcomes; return how many were of single requests."""
    n_request_outcomes = 0
    for piece in pieces:
        has = piece.value_ms >= 0
        of_request = has & (piece.unit_kind == str(UnitKind.REQUEST))
        n_request_outcomes += int(of_request.sum())
        has &= ~of_request
        read.add(metric, read.places(piece.unit[has]), piece.value_ms[has], piece.value[has])
    return n_request_outcomes


def _units(
    pieces: Iterable[UnitObservations], experiment: Experiment, now_ms: int
) -> tuple[Units, dict[str, int]]:
    """Return the units that had come by `now_ms`, and the place of each."""
    places = {arm: place for place, arm in enumerate(experiment.arm_names)}
    columns: list[list[NDArray[np.generic]]] = [[] for _ in range(6)]
    for piece in pieces:
        come = piece.time_ms <= now_ms
        arm = np.array([places.get(name, -1) for name in piece.arm[come].tolist()], np.int64)
        row = (piece.unit[come], arm, piece.unit_kind[come] == str(UnitKind.REQUEST),
               piece.culture[come], piece.revision[come], piece.time_ms[come] / 1000.0)  # fmt: skip
        for column, part in zip(columns, row, strict=True):
            column.append(part)
    types = (np.str_, np.int64, np.bool_, np.str_, np.int64, np.float64)
    unit, *rest = (
        np.concatenate(column) if column else np.empty(0, kind)
        for column, kind in zip(columns, types, strict=True)
    )
    place = {name: at for at, name in enumerate(unit.tolist())}
    return Units(*rest), place
