"""The event store in one SQLite file, for one machine.

One thread writes, in write-ahead mode. Exposures and claims do not wait for the disk unless told
to; all else does, and since there is one log, what was written before goes to the disk with it.
Another thread brings the log into the file, so that no commit has to wait for that. Other processes
may have the same file open; they take turns. Readers see one moment and block nobody.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from experiments.errors import StoreRefused, StoreUnavailable
from experiments.events import Claim
from experiments.stores.database import Recorded, Row, Script
from experiments.stores.schema import FIND_ARM, insert
from experiments.stores.scripts import encode_text, imply_claims, migrate, to_row
from experiments.stores.sqlite_reader import read_rows

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Another process that writes has finished by then.
BUSY_S = 2.0
# Every so often, a log that is longer than this is brought into the file. Writers wait for that
# only when it is much longer, which takes a reader of many minutes.
TIDY_EVERY = 100
LOG_BYTES = 4 * 2**20
MAX_LOG_BYTES = 256 * 2**20
# How often it is tried to take deleted rows out of a log that somebody reads.
SCRUB_AGAIN_S = 1.0
N_LAST_CUTS, LAST_CUT_S = 20, 0.05
# In full, a commit is on the disk when it returns, and a power cut takes nothing. In normal it is
# with the operating system, which keeps it whatever becomes of the process.
SYNCED = "PRAGMA synchronous = FULL"
UNSYNCED = "PRAGMA synchronous = NORMAL"
INSERT_EXPOSURE = insert("exposures")
INSERT_CLAIM = insert("assignments")
INSERT_TEXT = insert("texts")


class SqliteDatabase:
    """An open SQLite file."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor, *, sync: bool
    ) -> None:
        """Take the file's connection, whose commits wait for the disk, and the one thread for it.

        `open` makes both.
        """
        self._path, self._connection, self._thread = path, connection, thread
        self._sync, self._is_synced = sync, True
        self._log = Path(f"{path}-wal")
        self._tidier = ThreadPoolExecutor(1, thread_name_prefix="events-log")
        self._tidying: asyncio.Future[None] | None = None
        self._scrubbing: asyncio.Task[None] | None = None
        self._n_commits = 0

    @classmethod
    async def open(cls, path: Path, *, sync: bool = False) -> Self:
        """Open the file, or make it and its folder; only its owner may read it.

        With `sync`, exposures and claims wait for the disk too.

        Raises what `event_store.open_sqlite` says.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(thread, _open, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, connection, thread, sync=sync)

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    async def write_exposures(self, batch: Sequence[Recorded]) -> Sequence[None]:
        """Add those that are not there yet, each with the assignment it implies, in one commit."""
        written = await self._in_thread(lambda: self._write_exposures(batch))
        self._n_commits += 1
        is_free = self._tidying is None or self._tidying.done()
        if self._n_commits % TIDY_EVERY == 0 and is_free:
            loop = asyncio.get_running_loop()
            self._tidying = loop.run_in_executor(self._tidier, self._tidy)
        return written

    def _write_exposures(self, batch: Sequence[Recorded]) -> Sequence[None]:
        exposures = [to_row(each.exposure, "exposures") for each in batch]
        claims = [to_row(claim, "assignments") for claim in imply_claims(batch)]
        texts = [to_row(encode_text(each.text), "texts") for each in batch if each.text]
        with self._transaction(sync=self._sync) as connection:
            connection.executemany(INSERT_EXPOSURE, exposures)
            connection.executemany(INSERT_CLAIM, claims)
            connection.executemany(INSERT_TEXT, texts)
        return [None] * len(batch)

    async def settle_claims(self, batch: Sequence[Claim]) -> Sequence[str]:
        """Add the claims of units that have no arm, and return the arm that each of them has."""
        return await self._in_thread(lambda: self._settle_claims(batch))

    def _settle_claims(self, batch: Sequence[Claim]) -> Sequence[str]:
        arms: list[str] = []
        with self._transaction(sync=self._sync) as connection:
            for claim in batch:
                connection.execute(INSERT_CLAIM, to_row(claim, "assignments"))
                found = connection.execute(FIND_ARM, (claim.experiment, claim.unit))
                arms.append(found.fetchone()[0])
        return arms

    async def run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction and return its result."""
        return await self._in_thread(lambda: self._run(script))

    def _run(self, script: Callable[[], Script[T]]) -> T:
        with self._transaction(sync=True) as connection:
            return _drive(connection, script())

    async def stream(
        self, statement: str, args: tuple[Any, ...], *, n_rows: int
    ) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of a query, at most `n_rows` at a time, all from one snapshot."""
        pieces = read_rows(self._reader, statement, args, n_rows=n_rows)
        try:
            async with aclosing(pieces):
                async for rows in pieces:
                    yield rows
        except sqlite3.Error as exc:
            raise self._error(exc) from exc

    async def scrub(self) -> None:
        """Bring the log into the file and cut it to nothing; deleted rows are overwritten there.

        While somebody reads what was before, it cannot be cut; it is then tried again until it can.
        """
        if await self._in_thread(self._cut_log):
            return
        if self._scrubbing is None or self._scrubbing.done():
            logger.warning("deleted_rows_left_in_log", extra={"fields": {"reason": "a reader"}})
            self._scrubbing = asyncio.create_task(self._scrub_later(), name="scrub-events")

    async def _scrub_later(self) -> None:
        is_cut = False
        while not is_cut:
            await asyncio.sleep(SCRUB_AGAIN_S)
            try:
                is_cut = await self._in_thread(self._cut_log)
            except StoreUnavailable as exc:
                logger.debug("log_not_cut", extra={"fields": {"reason": exc.reason}})
        logger.info("deleted_rows_scrubbed")

    def _cut_log(self) -> bool:
        """Return whether the log is empty now; answers wait for this, so it waits for nobody."""
        with self._name_errors():
            self._connection.execute("PRAGMA busy_timeout = 0")
            try:
                cut = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
            return not cut[0]

    def _tidy(self) -> None:
        try:
            n_bytes = self._log.stat().st_size
            if n_bytes > LOG_BYTES:
                mode = "PASSIVE" if n_bytes < MAX_LOG_BYTES else "RESTART"
                with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as connection:
                    connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except (OSError, sqlite3.Error) as exc:
            logger.warning("store_log_not_tidied", extra={"fields": {"reason": str(exc)}})

    async def close(self) -> None:
        """Close the file; the last one to do so brings the log into it."""
        if self._scrubbing is not None and not self._scrubbing.done():
            self._scrubbing.cancel()
            await asyncio.gather(self._scrubbing, return_exceptions=True)
            # A reader that was left a moment ago is being closed by its own thread.
            with suppress(StoreUnavailable):
                for _ in range(N_LAST_CUTS):
                    if await self._in_thread(self._cut_log):
                        break
                    await asyncio.sleep(LAST_CUT_S)
        await asyncio.get_running_loop().run_in_executor(None, self._tidier.shutdown)
        await self._in_thread(self._connection.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    @contextmanager
    def _transaction(self, *, sync: bool) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction, which with `sync` waits for the disk."""
        with self._name_errors():
            # Within a transaction the mode cannot be changed.
            if sync is not self._is_synced:
                self._connection.execute(SYNCED if sync else UNSYNCED)
                self._is_synced = sync
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            # A commit that fails leaves the transaction open.
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._connection.rollback()
                raise

    @contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise self._error(exc) from exc

    def _error(self, exc: sqlite3.Error) -> StoreUnavailable | StoreRefused:
        refused = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)
        if isinstance(exc, refused):
            return StoreRefused(self.place, str(exc))
        return StoreUnavailable(self.place, _in_words(exc))

    def _reader(self) -> sqlite3.Connection:
        reader = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        reader.execute("PRAGMA query_only = 1")
        return reader


def _open(path: Path) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite would let everybody read what it makes; the log gets the rights of the file. One
        # that is there is not opened: closing it would drop the locks that this process has on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        _write_ahead(connection)
        connection.execute(SYNCED)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = 1")
        connection.execute("BEGIN IMMEDIATE")
        _drive(connection, migrate(str(path), version=_read_version(connection)))
        connection.execute("COMMIT")
    except BaseException as exc:
        if connection is not None:
            connection.close()
        if isinstance(exc, OSError | sqlite3.Error):
            raise StoreUnavailable(str(path), str(exc)) from exc
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set the mode, which does not wait by itself while another process does the same."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _read_version(connection: sqlite3.Connection) -> int:
    there = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
    )
    if there.fetchone() is None:
        return 0
    return int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def _drive(connection: sqlite3.Connection, script: Script[T]) -> T:
    rows: Sequence[Row] | None = None
    while True:
        try:
            # A generator takes nothing but None before its first step.
            step = next(script) if rows is None else script.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        cursor = connection.execute(step.statement, step.args)
        rows = cursor.fetchall()
        if step.counts:
            rows = [(cursor.rowcount,)]


def _in_words(exc: sqlite3.Error) -> str:
    if exc.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return "a file that is no store (move it away, or bring back a copy of the store)"
    return str(exc)
