"""The event store in PostgreSQL, for several gateways.

The two calls that answers wait for have a connection each, so that nothing else is in their way;
all else shares a small pool. A batch is one statement, which commits by itself. Those two do not
wait for the server's disk unless told to; all else does as the server is set up to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from experiments.errors import DriverMissing, StoreRefused, StoreUnavailable
from experiments.events import Claim
from experiments.stores.database import Recorded, Row, Script
from experiments.stores.schema import TABLES, for_postgres
from experiments.stores.scripts import Storable, encode_text, imply_claims, migrate, to_row

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    _Borrowed: TypeAlias = PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")
DEFAULT_SCHEMA = "milieu"
# Held while the tables are made, so that two gateways that start together do not both make them.
MIGRATION_LOCK = 7_305_808_869_229_538
# Connections of the answer path, one for each of its calls.
EXPOSURES_LINE, CLAIMS_LINE = "exposures", "claims"
ARRAY_TYPES = {
    "TEXT": "text[]",
    "BIGINT": "bigint[]",
    "SMALLINT": "smallint[]",
    "DOUBLE PRECISION": "double precision[]",
}


def _bulk_insert(table: str, *, first: int = 1) -> str:
    columns = TABLES[table]
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"${first + i}::{ARRAY_TYPES[kind]}" for i, (_, kind) in enumerate(columns))
    # Names and types come from the schema.
    return (
        f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) "  # noqa: S608
        "ON CONFLICT DO NOTHING"
    )


_N_FIRST = 1 + len(TABLES["exposures"])
INSERT_EXPOSURES = (
    f"WITH exposed AS ({_bulk_insert('exposures')}), "
    f"kept AS ({_bulk_insert('texts', first=_N_FIRST)}) "
    + _bulk_insert("assignments", first=_N_FIRST + len(TABLES["texts"]))
)
FIND_ARMS = (
    "SELECT a.experiment, a.unit, a.arm "
    "FROM unnest($1::text[], $2::text[]) AS w (experiment, unit) "
    "JOIN assignments a ON a.experiment = w.experiment AND a.unit = w.unit"
)
# The first two parameters of both parts are the same. It finds what was there when it began.
SETTLE_CLAIMS = (
    f"WITH added AS ({_bulk_insert('assignments')} "  # noqa: S608  # from above
    "RETURNING experiment, unit, arm) "
    f"SELECT experiment, unit, arm FROM added UNION ALL {FIND_ARMS}"
)


class PostgresDatabase:
    """An open PostgreSQL database."""

    def __init__(self, dsn: str, schema: str, *, sync: bool, timeout_s: float) -> None:
        """Take its address; `open` connects.

        `timeout_s` is the longest that connecting takes, or writing a batch.
        """
        parts = urlsplit(dsn)
        self._place = f"postgresql://{parts.hostname or 'local'}{parts.path} ({schema})"
        settings = {"search_path": _quote(schema), "application_name": "milieu"}
        self._options: dict[str, Any] = {"dsn": dsn, "timeout": timeout_s}
        self._settings = settings
        self._line_settings = settings if sync else settings | {"synchronous_commit": "off"}
        self._schema, self._timeout_s = schema, timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lines: dict[str, asyncpg.Connection[asyncpg.Record]] = {}

    @classmethod
    async def open(
        cls, dsn: str, *, schema: str = DEFAULT_SCHEMA, sync: bool = False, timeout_s: float = 5.0
    ) -> Self:
        """Connect, and make the schema and its tables if they are missing.

        With `sync`, exposures and claims wait for the server's disk too.
        Raises what `event_store.open_postgres` says.
        """
        try:
            import asyncpg
        except ImportError as exc:
            raise DriverMissing("asyncpg", needed_for="PostgreSQL", extra="postgres") from exc
        database = cls(dsn, schema, sync=sync, timeout_s=timeout_s)
        async with database._name_errors():
            database._pool = await asyncpg.create_pool(
                min_size=0, max_size=4, server_settings=database._settings, **database._options
            )
        try:
            await database._migrate()
            # Else the first answers would wait for a connection.
            for line in (EXPOSURES_LINE, CLAIMS_LINE):
                async with database._line(line):
                    pass
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def place(self) -> str:
        """Host, database and schema."""
        return self._place

    async def write_exposures(self, batch: Sequence[Recorded]) -> Sequence[None]:
        """Add those that are not there yet, each with the assignment it implies, in one commit."""
        exposures = _to_arrays([each.exposure for each in batch], "exposures")
        texts = _to_arrays([encode_text(each.text) for each in batch if each.text], "texts")
        claims = _to_arrays(imply_claims(batch), "assignments")
        async with self._line(EXPOSURES_LINE) as connection:
            await connection.execute(INSERT_EXPOSURES, *exposures, *texts, *claims)
        return [None] * len(batch)

    async def settle_claims(self, batch: Sequence[Claim]) -> Sequence[str]:
        """Add the claims of units that have no arm, and return the arm that each of them has."""
        # Sorted, so that two gateways wait for one another but never in a circle; one per unit.
        by_unit = {(claim.experiment, claim.unit): claim for claim in reversed(batch)}
        keys = sorted(by_unit)
        columns = _to_arrays([by_unit[key] for key in keys], "assignments")
        async with self._line(CLAIMS_LINE) as connection:
            found = await connection.fetch(SETTLE_CLAIMS, *columns)
            if len(found) < len(keys):
                # Another gateway was faster with some; a statement of its own sees its commits.
                found = await connection.fetch(FIND_ARMS, *columns[:2])
        if len(found) < len(keys):
            raise StoreUnavailable(self.place, "assignments deleted in the same moment")
        arms = {(row["experiment"], row["unit"]): str(row["arm"]) for row in found}
        return [arms[claim.experiment, claim.unit] for claim in batch]

    async def run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction and return its result."""
        async with self._borrow() as connection, connection.transaction():
            return await _drive(connection, script())

    async def stream(
        self, statement: str, args: tuple[Any, ...], *, n_rows: int
    ) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of a query, at most `n_rows` at a time, all from one snapshot."""
        async with (
            self._borrow() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            cursor = await connection.cursor(for_postgres(statement), *args)
            while rows := await cursor.fetch(n_rows):
                yield [tuple(row) for row in rows]

    async def scrub(self) -> None:
        """Do nothing: what was deleted goes with PostgreSQL's own vacuum."""

    async def close(self) -> None:
        """Close all connections, at once if they hang."""
        lines, self._lines = list(self._lines.values()), {}
        pool, self._pool = self._pool, None
        closing = [line.close(timeout=self._timeout_s) for line in lines]
        await asyncio.gather(*closing, return_exceptions=True)
        if pool is not None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _migrate(self) -> None:
        async with self._borrow() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(self._schema)}")
            there = await connection.fetchval(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = $1 "
                "AND table_name = 'schema_version'",
                self._schema,
            )
            stored = "SELECT version FROM schema_version"
            version = await connection.fetchval(stored) if there else 0
            await _drive(connection, migrate(self.place, version=version))

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[_Borrowed]:
        async with self._name_errors():
            if self._pool is None:
                raise StoreUnavailable(self.place, "a closed store")
            async with self._pool.acquire(timeout=self._timeout_s) as connection:
                try:
                    yield connection
                except _list_broken(asyncio.CancelledError):
                    # Nobody knows what it is doing, and the pool would wait until it is done.
                    connection.terminate()
                    raise

    @asynccontextmanager
    async def _line(self, name: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Lend the connection of that name, a new one if the last one broke."""
        import asyncpg

        async with self._name_errors():
            connection = self._lines.get(name)
            if connection is None or connection.is_closed():
                connection = self._lines[name] = await asyncpg.connect(
                    command_timeout=self._timeout_s,
                    server_settings=self._line_settings,
                    **self._options,
                )
            try:
                yield connection
            except _list_broken():
                # Nobody knows what it is doing.
                connection.terminate()
                raise

    @asynccontextmanager
    async def _name_errors(self) -> AsyncIterator[None]:
        import asyncpg

        try:
            yield
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
            # The driver's words may quote what it was given.
            raise StoreRefused(self.place, type(exc).__name__) from exc
        except _list_broken(asyncpg.PostgresError) as exc:
            reason = str(exc) or type(exc).__name__
            raise StoreUnavailable(self.place, reason) from exc


def _list_broken(*others: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Return the errors after which nobody knows what a connection is doing, and `others`.

    The driver takes it for a fault of its own where a server ends between two statements.
    """
    import asyncpg

    driver = (asyncpg.InterfaceError, asyncpg.InternalClientError)
    return (OSError, TimeoutError, *driver, *others)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _to_arrays(items: Sequence[Storable], table: str) -> list[list[Any]]:
    """Return a list per column of the table, of all items."""
    rows = [to_row(item, table) for item in items]
    return [[row[at] for row in rows] for at in range(len(TABLES[table]))]


async def _drive(connection: _Borrowed, script: Script[T]) -> T:
    rows: Sequence[Row] | None = None
    while True:
        try:
            # A generator takes nothing but None before its first step.
            step = next(script) if rows is None else script.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        statement = for_postgres(step.statement)
        if step.counts:
            status = await connection.execute(statement, *step.args)
            rows = [(int(status.rpartition(" ")[2]),)]
        else:
            rows = [tuple(row) for row in await connection.fetch(statement, *step.args)]
