"""One query on a SQLite file, in a thread of its own, that nobody has to wait for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from experiments.stores.database import Row


async def read_rows(
    connect: Callable[[], sqlite3.Connection],
    statement: str,
    args: tuple[Any, ...],
    *,
    n_rows: int,
) -> AsyncGenerator[Sequence[Row], None]:
    """Yield the rows of a query, at most `n_rows` at a time, all from one snapshot.

    Where the caller is cancelled, the query is interrupted and not waited for; its connection is
    closed when it has ended.

    Raises:
        sqlite3.Error: the query fails.
    """
    reading = _Reading(connect)
    thread = ThreadPoolExecutor(1, thread_name_prefix="events-read")
    loop = asyncio.get_running_loop()
    is_waited_for = True
    try:
        await loop.run_in_executor(thread, reading.begin, statement, args)
        while rows := await loop.run_in_executor(thread, reading.next_rows, n_rows):
            yield rows
    except asyncio.CancelledError:
        reading.interrupt()
        is_waited_for = False
        raise
    finally:
        closing = thread.submit(reading.close)
        thread.shutdown(wait=False)
        if is_waited_for:
            await asyncio.wrap_future(closing)


class _Reading:
    """A connection and its query; all but `interrupt` is called in one thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._is_interrupted = False

    def begin(self, statement: str, args: tuple[Any, ...]) -> None:
        self._connection = self._connect()
        # An interrupt before the query has begun would be for nothing.
        if not self._is_interrupted:
            self._cursor = self._connection.execute(statement, args)

    def next_rows(self, n_rows: int) -> Sequence[Row]:
        assert self._cursor is not None
        return self._cursor.fetchmany(n_rows)

    def interrupt(self) -> None:
        self._is_interrupted = True
        if self._connection is not None:
            self._connection.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
