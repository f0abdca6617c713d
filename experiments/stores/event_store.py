"""The event store: what the service and the analysis call, on either database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from experiments.definition import Experiment
from experiments.errors import ExperimentUnknown, StoreUnavailable
from experiments.events import AnswerText, Claim, Exposure, Outcome, OutcomeReceipt, Receipt
from experiments.stores import scripts
from experiments.stores.database import Database, Recorded, Row, Script
from experiments.stores.group_commit import Counts, GroupCommit, StoreLimits
from experiments.stores.postgres import DEFAULT_SCHEMA, PostgresDatabase
from experiments.stores.schema import TABLES, UNITS, all_rows, observations
from experiments.stores.scripts import Forgotten, StoredRevision
from experiments.stores.sqlite import SqliteDatabase

T = TypeVar("T")
N_ROWS = 8192
Strings = npt.NDArray[np.str_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Observations:
    """Exposures of one experiment with one metric's values; one array per column, n long.

    They come in the order of (`time_ms`, `answer_id`), which is the same in both databases.

    Attributes:
        arm: the arm that the unit was assigned, by intention to treat.
        answered_arm: the arm whose answer it got; another one where two gateways crossed.
        fell_back: whether the answer was given in another way than the arm's.
        value: NaN where there is none (yet). Truth values are 0 and 1.
        value_ms: when the value came, -1 where there is none.
    """

    answer_id: Strings
    unit: Strings
    unit_kind: Strings
    arm: Strings
    answered_arm: Strings
    culture: Strings
    revision: Integers
    time_ms: Integers
    overridden: Truths
    steered: Truths
    fell_back: Truths
    value: Floats
    value_ms: Integers

    def __len__(self) -> int:
        return len(self.time_ms)


@dataclass(frozen=True, slots=True)
class UnitObservations:
    """Units of one experiment with one metric's values; one array per column, n long.

    They come in the order of their first answers (`time_ms`, then `unit`); `culture` is that of
    the first answer, `revision` the one that assigned. Answers of overrides are left out.
    """

    unit: Strings
    unit_kind: Strings
    arm: Strings
    culture: Strings
    revision: Integers
    time_ms: Integers
    n_answers: Integers
    value: Floats
    value_ms: Integers

    def __len__(self) -> int:
        return len(self.time_ms)


class EventStore:
    """Keeps experiments, assignments, exposures, outcomes and, when asked for, texts."""

    def __init__(self, database: Database, *, limits: StoreLimits | None = None) -> None:
        """Take an open database, which is closed with the store."""
        self._database, self._limits = database, limits or StoreLimits()
        self._exposures = GroupCommit[Recorded, None](database.write_exposures, limits=self._limits)
        self._claims = GroupCommit[Claim, str](database.settle_claims, limits=self._limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def place(self) -> str:
        """Where it is, without secrets."""
        return self._database.place

    @property
    def counts(self) -> Counts:
        """What became of the exposures that were recorded through this store."""
        return self._exposures.counts

    @property
    def claim_counts(self) -> Counts:
        """What became of the assignments that were settled through this store."""
        return self._claims.counts

    async def record(self, exposure: Exposure, text: AnswerText | None = None) -> Receipt:
        """Keep an exposure, and a text with it; the answer may wait for it, for `wait_s` at most.

        It never raises. The same answer of the same experiment is kept once.
        """
        written = await self._exposures.submit(Recorded(exposure, text))
        if written.is_written:
            return Receipt.RECORDED
        return Receipt.DROPPED if written.is_dropped else Receipt.LATE

    async def settle(self, claim: Claim) -> str | None:
        """Return the arm that the unit has: the claimed one unless another one was first.

        None where the store does not say in `wait_s`; the claim is then settled later.
        """
        written = await self._claims.submit(claim)
        return written.result if written.is_written else None

    async def add_outcome(self, outcome: Outcome) -> OutcomeReceipt:
        """Keep an outcome; when this returns, it is durable.

        Raises:
            AnswerUnknown, UnitUnknown: it is an outcome of nothing that was recorded.
            OutcomeConflict: its key is that of another outcome.
            OutcomeTaken: there is another one for this metric already.
            OutcomeLate: every window is over.
            StoreUnavailable: it may or may not be kept; sending it again is safe.
        """
        return await self._run(lambda: scripts.add_outcome(outcome))

    async def save(self, experiment: Experiment) -> None:
        """Keep a revision of an experiment; the same one twice is kept once.

        Raises:
            RevisionConflict: it is not the one after the latest.
        """
        now_ms = time.time_ns() // 1_000_000
        await self._run(lambda: scripts.save(experiment, now_ms))

    async def experiments(self) -> tuple[StoredRevision, ...]:
        """Return the latest revision of every experiment, the first created first."""
        return await self._run(scripts.latest_revisions)

    async def revisions(self, name: str) -> tuple[StoredRevision, ...]:
        """Return all revisions of an experiment, oldest first.

        Raises:
            ExperimentUnknown: there is none of that name.
        """
        found = await self._run(lambda: scripts.revisions(name))
        if not found:
            known = [at.experiment.name for at in await self.experiments()]
            raise ExperimentUnknown(name, known)
        return found

    async def observations(
        self, experiment: str, metric: str, *, with_overridden: bool = False, n_rows: int = N_ROWS
    ) -> AsyncGenerator[Observations, None]:
        """Yield the exposures of an experiment with the values of a metric, in pieces, in order.

        `metric` is one that Milieu records or one of outcomes, of which those count that came in
        time. All pieces are of one moment.
        """
        statement, takes_metric = observations(metric, with_overridden=with_overridden)
        args = (experiment, metric) if takes_metric else (experiment,)
        async with aclosing(self._database.stream(statement, args, n_rows=n_rows)) as pieces:
            async for rows in pieces:
                yield _observations(rows)

    async def units(
        self, experiment: str, metric: str = "", *, n_rows: int = N_ROWS
    ) -> AsyncGenerator[UnitObservations, None]:
        """Yield the units of an experiment with their own outcomes of a metric, in pieces."""
        args = (experiment, metric)
        async with aclosing(self._database.stream(UNITS, args, n_rows=n_rows)) as pieces:
            async for rows in pieces:
                yield _units(rows)

    async def texts(self, *, n_rows: int = 256) -> AsyncGenerator[AnswerText, None]:
        """Yield the texts whose users consented, in the order of their ids."""
        async with aclosing(self.rows("texts", n_rows=n_rows)) as pieces:
            async for rows in pieces:
                for row in rows:
                    text = scripts.text_of(row)
                    if text.consented:
                        yield text

    async def rows(
        self, table: str, *, n_rows: int = N_ROWS
    ) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of one of `schema.TABLES` in pieces, in the order of its key."""
        assert table in TABLES
        async with aclosing(self._database.stream(all_rows(table), (), n_rows=n_rows)) as pieces:
            async for rows in pieces:
                yield rows

    async def forget_unit(self, unit: str) -> Forgotten:
        """Delete all that is kept of a unit, given by its hash."""
        forgotten = await self._run(lambda: scripts.forget_unit(unit), is_bounded=False)
        await self._database.scrub()
        return forgotten

    async def forget_before(self, time_ms: int) -> Forgotten:
        """Delete the events before a time in milliseconds of UTC since 1970."""
        forgotten = await self._run(lambda: scripts.forget_before(time_ms), is_bounded=False)
        await self._database.scrub()
        return forgotten

    async def close(self) -> None:
        """Write what waits, within `statement_s`, and close the database."""
        await asyncio.gather(self._claims.close(), self._exposures.close())
        await self._database.close()

    async def _run(self, script: Callable[[], Script[T]], *, is_bounded: bool = True) -> T:
        limit_s = self._limits.statement_s if is_bounded else None
        try:
            async with asyncio.timeout(limit_s):
                return await self._database.run(script)
        except TimeoutError as exc:
            raise StoreUnavailable(self.place, f"no answer within {limit_s} s") from exc


async def open_sqlite(
    path: Path, *, is_synced: bool = True, limits: StoreLimits | None = None
) -> EventStore:
    """Open the store in a SQLite file, which is made where it is missing.

    Without `is_synced` nothing waits for the disk: what is acknowledged survives the end of any
    process, and not that of the machine.

    Raises:
        StoreUnavailable: it cannot be opened, or is no database.
        StoreOutdated: it was written by a newer Milieu.
    """
    return EventStore(await SqliteDatabase.open(path, is_synced=is_synced), limits=limits)


async def open_postgres(
    dsn: str, *, schema: str = DEFAULT_SCHEMA, limits: StoreLimits | None = None
) -> EventStore:
    """Open the store in a PostgreSQL database; its schema is made where it is missing.

    Raises:
        StoreUnavailable: it cannot be reached.
        StoreOutdated: it was written by a newer Milieu.
        DriverMissing: asyncpg is not installed.
    """
    limits = limits or StoreLimits()
    database = await PostgresDatabase.open(dsn, schema=schema, timeout_s=limits.statement_s)
    return EventStore(database, limits=limits)


def _observations(rows: Sequence[Row]) -> Observations:
    columns = list(zip(*rows, strict=True))
    answer_id, unit, unit_kind, arm, answered_arm, culture = map(_strings, columns[:6])
    revision, time_ms = map(_integers, columns[6:8])
    overridden, steered, fell_back = map(_truths, columns[8:11])
    value, value_ms = _values(columns[11], columns[12])
    return Observations(
        answer_id=answer_id,
        unit=unit,
        unit_kind=unit_kind,
        arm=arm,
        answered_arm=answered_arm,
        culture=culture,
        revision=revision,
        time_ms=time_ms,
        overridden=overridden,
        steered=steered,
        fell_back=fell_back,
        value=value,
        value_ms=value_ms,
    )


def _units(rows: Sequence[Row]) -> UnitObservations:
    columns = list(zip(*rows, strict=True))
    unit, unit_kind, arm, culture = map(_strings, columns[:4])
    revision, time_ms, n_answers = map(_integers, columns[4:7])
    value, value_ms = _values(columns[7], columns[8])
    return UnitObservations(
        unit=unit,
        unit_kind=unit_kind,
        arm=arm,
        culture=culture,
        revision=revision,
        time_ms=time_ms,
        n_answers=n_answers,
        value=value,
        value_ms=value_ms,
    )


def _strings(column: Sequence[Any]) -> Strings:
    return np.array(column, np.str_)


def _integers(column: Sequence[Any]) -> Integers:
    return np.array(column, np.int64)


def _truths(column: Sequence[Any]) -> Truths:
    return np.array(column, np.bool_)


def _values(values: Sequence[Any], times: Sequence[Any]) -> tuple[Floats, Integers]:
    numbers = [np.nan if value is None else value for value in values]
    known = [-1 if value is None else at for value, at in zip(values, times, strict=True)]
    return np.array(numbers, np.float64), _integers(known)
