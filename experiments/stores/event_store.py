"""The event store: what the service and the analysis call, on either database."""

from __future__ import annotations

import asyncio
import json
import operator
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from experiments.definition import Experiment, State
from experiments.definition_file import parse_experiment
from experiments.errors import ExperimentUnknown, StoreUnavailable
from experiments.events import (
    AnswerText,
    Claim,
    Exposure,
    Outcome,
    OutcomeKind,
    OutcomeReceipt,
    Receipt,
)
from experiments.stores import forgetting, schema, scripts
from experiments.stores.columns import Answers, OutcomeValues, answers_of, outcomes_of
from experiments.stores.database import Database, Recorded, Row, Script
from experiments.stores.group_commit import Counts, GroupCommit, StoreLimits
from experiments.stores.postgres import DEFAULT_SCHEMA, PostgresDatabase
from experiments.stores.scripts import AnsweredIn, Forgotten, StoredRevision
from experiments.stores.sqlite import SqliteDatabase

T = TypeVar("T")
N_ROWS = 2048


class Followed(NamedTuple):
    """What runs, earliest start first, and a count that rises whenever a unit is deleted."""

    running: tuple[Experiment, ...]
    n_forgotten: int


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
        """Its address, without secrets."""
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
        """Keep an exposure, and a text with it; the answer waits for it at most `wait_s`.

        It never raises. The same answer of the same experiment is kept once.
        """
        return (await self._exposures.submit(Recorded(exposure, text))).receipt

    async def settle(self, claim: Claim) -> str | None:
        """Return the arm that the unit has: the claimed one unless another one was first.

        None if the store does not say in `wait_s`; the claim is then settled later.
        """
        return (await self._claims.submit(claim)).result

    async def add_outcome(self, outcome: Outcome) -> OutcomeReceipt:
        """Keep an outcome; when this returns, it is durable.

        Raises:
            AnswerUnknown, UnitUnknown: what it is an outcome of was never recorded.
            OutcomeConflict: its key is that of another outcome of the same answer or unit.
            OutcomeTaken: there is another one for this metric already.
            OutcomeLate: every window is over.
            StoreUnavailable: it may or may not be kept; sending it again is safe.
        """
        return await self._run(lambda: scripts.add_outcome(outcome))

    async def await_exposures(self, outcome: Outcome) -> None:
        """Return once the answers that an outcome is of do not wait here to be kept.

        Raises:
            StoreUnavailable: they still do; sending the outcome again is safe.
        """
        answers = {outcome.answer_id, outcome.preferred} - {""}

        def is_of(recorded: Recorded) -> bool:
            exposure = recorded.exposure
            return exposure.answer_id in answers or exposure.unit == outcome.unit

        try:
            await self._exposures.flush(is_of)
        except TimeoutError as exc:
            raise StoreUnavailable(self.place, "an answer that it has not taken yet") from exc

    async def find_experiments(self, answer_id: str) -> tuple[AnsweredIn, ...]:
        """Return the experiments that an answer was recorded in, none for an unknown answer.

        An answer outside of all experiments is in the one named "".
        """
        rows = await self._read(schema.ANSWERED_IN, answer_id)
        return tuple(AnsweredIn(name, bool(chosen), int(since)) for name, chosen, since in rows)

    async def arm_of(self, experiment: str, unit: str) -> str | None:
        """Return the arm that a unit, given by its hash, has for good; None if it has none."""
        rows = await self._read(schema.FIND_ARM, experiment, unit)
        return str(rows[0][0]) if rows else None

    async def list_remembered(self, experiment: str, *, most: int) -> tuple[tuple[str, str], ...]:
        """Return at most `most` units of an experiment with their arms, the oldest first.

        Single requests, which do not come again, are left out.
        """
        rows = await self._read(schema.REMEMBERED, experiment, most)
        return tuple((unit, arm) for unit, arm in reversed(rows))

    async def count_sent(self, *, since_ms: int) -> dict[str, int]:
        """Return how many outcomes each metric had since `since_ms`, in UTC since 1970."""
        rows = await self._read(schema.METRICS_SENT, since_ms)
        return {metric: int(n_outcomes) for metric, n_outcomes in rows}

    async def find_kinds_sent(self, metric: str, *, since_ms: int) -> tuple[OutcomeKind, ...]:
        """Return the kinds of the outcomes that `metric` had since `since_ms`."""
        rows = await self._read(schema.KINDS_SENT, metric, since_ms)
        return tuple(OutcomeKind(kind) for (kind,) in rows)

    async def save(self, experiment: Experiment) -> None:
        """Keep a revision of an experiment; saving the same one twice keeps it once.

        Raises:
            RevisionConflict: it is not the one after the latest.
        """
        now_ms = time.time_ns() // 1_000_000
        await self._run(lambda: scripts.save_revision(experiment, now_ms))

    async def experiments(self) -> tuple[StoredRevision, ...]:
        """Return the latest revision of every experiment, oldest experiment first."""
        return tuple(map(StoredRevision.of_row, await self._read(schema.LATEST_REVISIONS)))

    async def running(self) -> tuple[Experiment, ...]:
        """Return the latest revisions of the experiments that run, earliest start first."""
        return (await self.follow()).running

    async def follow(self) -> Followed:
        """Return what a gateway has to know of the changes of others, all of one moment."""
        rows = await self._read(schema.FOLLOWED, str(State.RUNNING))
        texts = [definition for definition, *_ in rows if definition is not None]
        running = tuple(parse_experiment(json.loads(text), "store") for text in texts)
        return Followed(running, sum(int(n) for _, n, *_ in rows if n is not None))

    async def revisions(self, name: str) -> tuple[StoredRevision, ...]:
        """Return all revisions of an experiment, oldest first.

        Raises:
            ExperimentUnknown: there is no experiment of that name.
        """
        rows = await self._read(schema.REVISIONS, name)
        if not rows:
            known = [stored.experiment.name for stored in await self.experiments()]
            raise ExperimentUnknown(name, known)
        return tuple(map(StoredRevision.of_row, rows))

    async def read_latest(self, name: str) -> Experiment:
        """Return the latest revision of an experiment.

        Raises:
            ExperimentUnknown: there is no experiment of that name.
        """
        return (await self.revisions(name))[-1].experiment

    async def attach(self, experiment: str, kind: str, content: str) -> None:
        """Keep JSON text with an experiment, replacing what was there of its kind."""
        now_ms = time.time_ns() // 1_000_000
        await self._run(lambda: scripts.attach(experiment, kind, content, now_ms))

    async def attachments(self, experiment: str) -> dict[str, str]:
        """Return what was attached to an experiment, by kind."""
        return {kind: content for kind, content in await self._read(schema.ATTACHED, experiment)}

    async def check_secret(self, fingerprint: str) -> None:
        """Keep the fingerprint of the secret that units are hashed with, from the first call on.

        Raises:
            SecretChanged: another one is kept.
        """
        await self._run(lambda: scripts.check_secret(self.place, fingerprint))

    def answers(self, experiment: str, *, n_rows: int = N_ROWS) -> AsyncGenerator[Answers, None]:
        """Yield the answers of an experiment, `n_rows` at a time, all from one snapshot."""
        return self._stream(schema.ANSWERS, experiment, answers_of, n_rows)

    def outcomes(
        self, experiment: str, *, n_rows: int = N_ROWS
    ) -> AsyncGenerator[OutcomeValues, None]:
        """Yield the outcomes that count in an experiment, in batches, all from one snapshot."""
        return self._stream(schema.OUTCOME_VALUES, experiment, outcomes_of, n_rows)

    async def texts(self, *, n_rows: int = 256) -> AsyncGenerator[AnswerText, None]:
        """Yield the texts whose users consented, in the order of their ids."""
        async with aclosing(self.rows("texts", n_rows=n_rows)) as pieces:
            async for rows in pieces:
                for row in rows:
                    text = scripts.text_of(row)
                    if text.consented:
                        yield text

    def rows(self, table: str, *, n_rows: int = N_ROWS) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of one of `schema.TABLES` in pieces, in the order of its key."""
        assert table in schema.TABLES
        return self._database.stream(schema.all_rows(table), (), n_rows=n_rows)

    async def forget_unit(self, unit: str) -> Forgotten:
        """Delete all that is kept of a unit, given by its hash, and what waits here to be kept.

        Raises:
            StoreUnavailable: it may or may not be deleted; doing it again is safe.
        """
        try:
            await asyncio.gather(
                self._exposures.remove(lambda each: _is_of(unit, each)),
                self._claims.remove(lambda claim: claim.unit == unit),
            )
        except TimeoutError as exc:
            raise StoreUnavailable(self.place, "a batch that hangs") from exc
        forgotten = await self._run(lambda: forgetting.forget_unit(unit), is_bounded=False)
        await self._database.scrub()
        return forgotten

    async def forget_before(self, time_ms: int) -> Forgotten:
        """Delete the events before a time in milliseconds since 1970 (UTC).

        Experiments that are not decided keep their exposures, the outcomes of those and of their
        units, and the assignments, however old: without its first answers a unit would get another
        value, and a result could turn. Texts go from all. Outcomes go with their answers, and
        assignments once no exposure of the unit is left. Many transactions do it, so that others
        need not wait; what they have deleted stays deleted if a later one fails.
        """
        forgotten = Forgotten()
        for script, first in forgetting.OLD:
            start: tuple[Any, ...] | None = first
            while start is not None:
                part = await self._run(partial(script, time_ms, start), is_bounded=False)
                forgotten = Forgotten(*map(operator.add, forgotten, part.forgotten))
                start = part.following
        await self._database.scrub()
        return forgotten

    async def close(self) -> None:
        """Write what waits, within `statement_s`, and close the database."""
        await asyncio.gather(self._claims.close(), self._exposures.close())
        await self._database.close()

    async def _stream(
        self,
        statement: str,
        experiment: str,
        convert: Callable[[Sequence[Row]], T],
        n_rows: int,
    ) -> AsyncGenerator[T, None]:
        pieces = self._database.stream(statement, (experiment,), n_rows=n_rows)
        async with aclosing(pieces):
            async for rows in pieces:
                yield await asyncio.to_thread(convert, rows)

    async def _read(self, statement: str, *args: Any) -> list[Row]:
        """Return the rows of a query, which may take its time without holding up writes."""
        limit_s = self._limits.statement_s
        try:
            async with (
                asyncio.timeout(limit_s),
                aclosing(self._database.stream(statement, args, n_rows=N_ROWS)) as pieces,
            ):
                return [row async for rows in pieces for row in rows]
        except TimeoutError as exc:
            raise StoreUnavailable(self.place, f"no answer within {limit_s} s") from exc

    async def _run(self, script: Callable[[], Script[T]], *, is_bounded: bool = True) -> T:
        limit_s = self._limits.statement_s if is_bounded else None
        try:
            async with asyncio.timeout(limit_s):
                return await self._database.run(script)
        except TimeoutError as exc:
            raise StoreUnavailable(self.place, f"no answer within {limit_s} s") from exc


def _is_of(unit: str, recorded: Recorded) -> bool:
    exposure, text = recorded
    return exposure.unit == unit or (text is not None and text.unit == unit)


async def open_sqlite(
    path: Path, *, sync: bool = False, limits: StoreLimits | None = None
) -> EventStore:
    """Open the store in a SQLite file, which is made if it is missing.

    What is acknowledged survives the end of any process. A power cut takes no outcome and no
    revision, but may take the exposures of the last moments, unless they wait for the disk: `sync`.

    Raises:
        StoreUnavailable: it cannot be opened, or is no database.
        StoreOutdated: it was written by a newer Milieu.
    """
    return EventStore(await SqliteDatabase.open(path, sync=sync), limits=limits)


async def open_postgres(
    dsn: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    sync: bool = False,
    limits: StoreLimits | None = None,
) -> EventStore:
    """Open the store in a PostgreSQL database; its schema is made if it is missing.

    What is acknowledged survives the end of any gateway. A crash of the server takes no outcome and
    no revision, but may take exposures of its last three `wal_writer_delay` (0.6 s), unless they
    wait for its disk: `sync`.

    Raises:
        StoreUnavailable: it cannot be reached.
        StoreOutdated: it was written by a newer Milieu.
        DriverMissing: asyncpg is not installed.
    """
    limits = limits or StoreLimits()
    database = await PostgresDatabase.open(
        dsn, schema=schema, sync=sync, timeout_s=limits.statement_s
    )
    return EventStore(database, limits=limits)
