"""Get what an analysis needs out of the event store: units, and values by unit."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

import numpy as np

from experiments.definition import Experiment
from experiments.events import MAX_NUMBER
from experiments.metrics import RECORDED_METRICS
from experiments.stores.columns import Answers, OutcomeValues
from experiments.stores.event_store import EventStore
from experiments.stores.scripts import StoredRevision
from experiments.unit import UnitKind
from survey_data.arrays import Floats, Ints, Strings, Truths


class Derived(Enum):
    """What is known about an answer besides what is recorded; not text, as a metric's name is.

    STEERED: whether the culture was spoken for. CROSSED: whether another arm answered.
    SOURCE, BEST_SOURCE: indices of `SOURCES`. MODEL_ASKED: whether the model had a part.
    """

    STEERED = "steered"
    CROSSED = "crossed"
    SOURCE = "source"
    BEST_SOURCE = "best_source"
    MODEL_ASKED = "model_asked"


Series: TypeAlias = str | Derived


class UnitColumns(NamedTuple):
    """The units of an experiment, in the order of their first answers; one array per column.

    Attributes:
        arm: the index of the assigned arm, -1 for one that the experiment does not have.
        is_request: whether the unit is a single request, which says nothing about a user.
        culture: alpha-3 code of the first answer, empty for none.
        revision: the one that assigned.
        first_s: the first answer, in seconds since 1970.
    """

    arm: Ints
    is_request: Truths
    culture: Strings
    revision: Ints
    first_s: Floats


@dataclass(frozen=True, slots=True)
class MetricValues:
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
        values: by metric: those of the experiment, all recorded ones, and what is `Derived`.
        n_overridden: answers whose arm a tester chose; they are in nothing else.
        n_by_model: answers by the name of the base model, most first.
    """

    revisions: tuple[StoredRevision, ...]
    now_s: float
    units: UnitColumns
    values: Mapping[Series, MetricValues]
    n_overridden: int
    n_by_model: Mapping[str, int] = field(default_factory=dict)

    @property
    def experiment(self) -> Experiment:
        """The latest revision."""
        return self.revisions[-1].experiment


_NO_UNITS = UnitColumns(
    arm=np.empty(0, np.int64),
    is_request=np.empty(0, np.bool_),
    culture=np.empty(0, np.str_),
    revision=np.empty(0, np.int64),
    first_s=np.empty(0, np.float64),
)
_NO_VALUES = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


@dataclass
class _EventReader:
    """What has been read so far, up to `now_ms`.

    Attributes:
        places: units by their hash, in the order of their first answers.
        firsts: of each piece, what `UnitColumns` says of the units that begin in it.
        parts: by metric, of each piece: units, times in milliseconds, values.
        n_request_outcomes: by metric.
        n_by_model: answers that did not fail, by the name of the base model.
    """

    now_ms: int
    places: dict[str, int] = field(default_factory=dict)
    firsts: list[UnitColumns] = field(default_factory=lambda: [_NO_UNITS])
    parts: defaultdict[Series, list[tuple[Ints, Ints, Floats]]] = field(
        default_factory=lambda: defaultdict(lambda: [_NO_VALUES])
    )
    n_request_outcomes: Counter[Series] = field(default_factory=Counter)
    n_overridden: int = 0
    n_by_model: Counter[str] = field(default_factory=Counter)

    def add_answers(self, piece: Answers, arms: Mapping[str, int]) -> None:
        """Add answers, and the units that they are the first of."""
        come = piece.time_ms <= self.now_ms
        self.n_overridden += int((piece.overridden & come).sum())
        rows = np.flatnonzero(come & ~piece.overridden)
        places, n_before = self.places, len(self.places)
        self.n_by_model.update(filter(None, piece.model[rows].tolist()))
        names = piece.unit[rows].tolist()
        unit = np.array([places.setdefault(name, len(places)) for name in names], np.int64)
        for metric, recorded in piece.recorded.items():
            self._add(metric, unit, piece.time_ms[rows], recorded[rows])
        # What failed has no value.
        steered = np.where(piece.recorded["failed"] == 0.0, piece.steered, np.nan)
        self._add(Derived.STEERED, unit, piece.time_ms[rows], steered[rows])
        crossed = (piece.arm != piece.answered_arm).astype(np.float64)
        self._add(Derived.CROSSED, unit, piece.time_ms[rows], crossed[rows])
        for series in (Derived.SOURCE, Derived.BEST_SOURCE, Derived.MODEL_ASKED):
            found: Floats = getattr(piece, series.value)
            self._add(series, unit, piece.time_ms[rows], found[rows])
        there, first = np.unique(unit, return_index=True)
        begins = rows[first[there >= n_before]]
        self.firsts.append(
            UnitColumns(
                arm=np.array([arms.get(arm, -1) for arm in piece.arm[begins].tolist()], np.int64),
                is_request=piece.unit_kind[begins] == str(UnitKind.REQUEST),
                culture=piece.culture[begins],
                revision=piece.revision[begins],
                first_s=piece.time_ms[begins] / 1000.0,
            )
        )

    def add_outcomes(
        self, piece: OutcomeValues, metrics: Iterable[str], units: UnitColumns
    ) -> None:
        """Add the outcomes of `metrics`, but those that single requests have of their own."""
        # A unit that came after the answers were read has no place: the next look shows it.
        unit = np.array([self.places.get(name, -1) for name in piece.unit.tolist()], np.int64)
        there = (unit >= 0) & (piece.time_ms <= self.now_ms)
        of_request = np.zeros(unit.size, np.bool_)
        of_request[there] = piece.of_unit[there] & units.is_request[unit[there]]
        for metric in metrics:
            rows = there & (piece.metric == metric)
            self.n_request_outcomes[metric] += int((rows & of_request).sum())
            rows &= ~of_request
            self._add(metric, unit[rows], piece.time_ms[rows], piece.value[rows])

    def units(self) -> UnitColumns:
        """Return all units."""
        columns = zip(*self.firsts, strict=True)
        return UnitColumns(*map(np.concatenate, columns))

    def values(self, series: Series) -> MetricValues:
        """Return the values of a metric, or of what is `Derived`."""
        unit, at_ms, value = map(np.concatenate, zip(*self.parts[series], strict=True))
        return MetricValues(unit, at_ms / 1000.0, value, self.n_request_outcomes[series])

    def _add(self, series: Series, unit: Ints, at_ms: Ints, value: Floats) -> None:
        # NaN is no value; what no outcome may have would make sums infinite.
        is_value = np.abs(value) <= MAX_NUMBER
        self.parts[series].append((unit[is_value], at_ms[is_value], value[is_value]))


async def read_events(store: EventStore, name: str, *, now_ms: int) -> Events:
    """Return the events of an experiment up to `now_ms`, in milliseconds since 1970 (UTC).

    Answers and outcomes are read one after the other, so of slightly different moments; outcomes
    of answers that came in between are left for the next look.

    Raises:
        ExperimentUnknown: there is no experiment of that name.
        StoreUnavailable: the store does not answer.
    """
    revisions = await store.revisions(name)
    experiment, read = revisions[-1].experiment, _EventReader(now_ms)
    arms = {arm: place for place, arm in enumerate(experiment.arm_names)}
    async with aclosing(store.answers(name)) as answers:
        async for piece in answers:
            read.add_answers(piece, arms)
    units = await asyncio.to_thread(read.units)
    carried = [metric.name for metric in experiment.sent_metrics]
    async with aclosing(store.outcomes(name)) as outcomes:
        async for found in outcomes:
            read.add_outcomes(found, carried, units)
    series = (*Derived, *RECORDED_METRICS, *carried)
    values = await asyncio.to_thread(lambda: {each: read.values(each) for each in series})
    by_model = sorted(read.n_by_model.items(), key=lambda each: (-each[1], each[0]))
    return Events(
        revisions, now_ms / 1000.0, units, values, read.n_overridden, n_by_model=dict(by_model)
    )
