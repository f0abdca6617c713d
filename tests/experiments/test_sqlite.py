"""The SQLite file: who may read it, what is no such file, what is left in it after deletion."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from experiments.definition import State
from experiments.errors import StoreOutdated, StoreRefused, StoreUnavailable
from experiments.events import Receipt
from experiments.stores import scripts
from experiments.stores import sqlite as sqlite_store
from experiments.stores.database import Recorded, Row, Script, Step
from experiments.stores.event_store import EventStore, open_sqlite
from experiments.stores.group_commit import StoreLimits
from experiments.stores.sqlite import SqliteDatabase
from experiments.stores.sqlite_reader import read_rows
from tests.experiments.conftest import LIMITS
from tests.experiments.events import a_claim, a_text, an_experiment, an_exposure, an_outcome


async def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.db"
    async with await open_sqlite(path) as store:
        await store.record(an_exposure())
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_text("something else that is long enough to be looked at " * 100)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await open_sqlite(path)
    with pytest.raises(StoreUnavailable):
        await open_sqlite(tmp_path)


async def test_the_file_of_a_newer_milieu_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await (await open_sqlite(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreOutdated, match="found schema version 99, expected 3 or older"):
        await open_sqlite(path)


def content(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_what_is_deleted_is_not_left_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with await open_sqlite(path) as store:
        await store.record(an_exposure(unit="hash-of-someone"), a_text(unit="hash-of-someone"))
        await store.add_outcome(an_outcome(comment="my name is Someone"))
        await store.forget_unit("hash-of-someone")
        left = content(tmp_path)
    assert b"someone" not in left.lower()


async def reading_of_someone(store: EventStore) -> AsyncGenerator[Sequence[Row], None]:
    """What is kept of someone, of which the rest is still to be read."""
    for answer_id in ("a1", "a2", "a3"):
        text = a_text(answer_id, unit="hash-of-someone")
        await store.record(an_exposure(answer_id, unit="hash-of-someone"), text)
    rows = store.rows("texts", n_rows=1)
    await anext(rows)
    return rows


async def test_what_a_reader_keeps_in_the_log_is_scrubbed_when_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with await open_sqlite(path, limits=LIMITS) as store:
        reading = await reading_of_someone(store)

        started = time.monotonic()
        await store.forget_unit("hash-of-someone")
        took_s = time.monotonic() - started
        is_left = b"someone" in content(tmp_path)
        await reading.aclose()
        async with asyncio.timeout(20.0):
            while b"someone" in content(tmp_path):  # noqa: ASYNC110  # nobody is told
                await asyncio.sleep(0.05)

    assert is_left
    # A reader is not waited for.
    assert took_s < sqlite_store.BUSY_S


async def test_what_a_reader_keeps_in_the_log_is_scrubbed_at_the_close(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    # Another process has the file open, so that closing does not cut the log by itself.
    async with await open_sqlite(path):
        store = await open_sqlite(path, limits=LIMITS)
        reading = await reading_of_someone(store)
        await store.forget_unit("hash-of-someone")
        await reading.aclose()
        await store.close()
        left = content(tmp_path)
    assert b"someone" not in left.lower()


FOR_EVER = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"


async def longest_stop_s(until: asyncio.Task[Any]) -> float:
    """The longest that the event loop did nothing else before a task was done."""
    longest_s = 0.0
    while not until.done():
        started = time.monotonic()
        await asyncio.sleep(0.01)
        longest_s = max(longest_s, time.monotonic() - started)
    return longest_s


async def test_a_slow_read_ends_when_its_caller_gives_up(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "events.db")

    async def read() -> None:
        async with (
            asyncio.timeout(0.2),
            aclosing(database.stream(FOR_EVER, (), n_rows=1)) as pieces,
        ):
            async for _ in pieces:
                pass

    reading = asyncio.create_task(read())
    stop_s = await longest_stop_s(reading)

    with pytest.raises(TimeoutError):
        await reading
    # Its thread is not left behind with a query that never ends.
    async with asyncio.timeout(10.0):
        while reader_threads():  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
    assert stop_s < 2.0
    await database.close()


def reader_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("events-read")]


async def test_a_read_that_cannot_be_interrupted_is_not_waited_for() -> None:
    may_go_on, closed = threading.Event(), threading.Event()

    class Hanging(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            may_go_on.wait()
            return super().execute(*args)

        def close(self) -> None:
            super().close()
            closed.set()

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", check_same_thread=False, factory=Hanging)

    async def read() -> None:
        async with aclosing(read_rows(connect, "SELECT 1", (), n_rows=1)) as pieces:
            async for _ in pieces:
                pass

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await read()
    is_early = closed.is_set()
    may_go_on.set()
    assert await asyncio.to_thread(closed.wait, 10.0)
    assert not is_early


async def test_with_a_sync_it_is_the_same_store(tmp_path: Path) -> None:
    async with await open_sqlite(tmp_path / "events.db", sync=True, limits=LIMITS) as store:
        assert await store.record(an_exposure()) is Receipt.RECORDED


class Noting(sqlite3.Connection):
    """Notes of each commit whether it waits for the disk."""

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            [mode] = super().execute("PRAGMA synchronous").fetchone()
            self.modes = [*getattr(self, "modes", []), mode]
        return super().execute(statement, *args)


@pytest.mark.parametrize(("sync", "expected"), [(False, [1, 1, 2, 1]), (True, [2, 2, 2, 2])])
async def test_only_exposures_and_claims_need_not_wait_for_the_disk(
    tmp_path: Path, sync: bool, expected: list[int]
) -> None:
    path = tmp_path / "events.db"
    await (await open_sqlite(path)).close()
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=Noting
    )
    database = SqliteDatabase(path, connection, ThreadPoolExecutor(1), sync=sync)

    await database.write_exposures([Recorded(an_exposure())])
    await database.settle_claims([a_claim()])
    await database.run(lambda: scripts.add_outcome(an_outcome()))
    await database.write_exposures([Recorded(an_exposure("a2"))])

    # 2 is FULL and 1 is NORMAL.
    assert connection.modes == expected
    await database.close()


async def test_a_long_log_is_brought_into_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.db"
    n_commits = 2 * sqlite_store.TIDY_EVERY
    async with await open_sqlite(path, limits=LIMITS) as store:
        for i in range(n_commits):
            text = a_text(f"a{i}", request="x" * 30_000)
            assert await store.record(an_exposure(f"a{i}"), text) is Receipt.RECORDED
        async with asyncio.timeout(10.0):
            while path.stat().st_size < sqlite_store.LOG_BYTES // 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_locked_file_delays_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    limits = StoreLimits(wait_s=0.05)
    async with await open_sqlite(path, limits=limits) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await store.record(an_exposure()) is Receipt.LATE
        other.execute("ROLLBACK")
        other.close()
    async with await open_sqlite(path) as store:
        rows = [row async for piece in store.rows("exposures") for row in piece]
    assert len(rows) == 1


async def test_a_script_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "events.db")

    def broken() -> Script[None]:
        yield Step("DELETE FROM schema_version")
        raise ValueError("after the first step")

    with pytest.raises(ValueError, match="after the first step"):
        await database.run(broken)

    def count() -> Script[Sequence[Sequence[int]]]:
        return (yield Step("SELECT COUNT(*) FROM schema_version"))

    assert await database.run(count) == [(1,)]
    await database.close()


async def test_a_row_that_is_not_taken_is_no_reason_to_try_again(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "events.db")
    with pytest.raises(StoreRefused, match="NOT NULL"):
        await database.run(lambda: iter_one("UPDATE schema_version SET version = NULL"))
    assert await database.write_exposures([Recorded(an_exposure())]) == [None]
    await database.close()


def iter_one(statement: str) -> Script[None]:
    yield Step(statement)


COUNT = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"


async def test_opening_it_again_leaves_the_locks_of_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with await open_sqlite(path) as first:
        await first.save(an_experiment(state=State.DRAFT))
        async with await open_sqlite(path):
            pass
        # Who closes a store that nobody has open deletes its log; another process has to see that
        # somebody has.
        query = "SELECT COUNT(*) FROM experiments"
        counting = [sys.executable, "-c", COUNT, str(path), query]
        await asyncio.to_thread(subprocess.run, counting, check=True)
        assert path.with_name("events.db-wal").exists()
