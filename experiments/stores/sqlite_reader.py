"""One query on a SQLite file, in a thread of its own, that nobody has to wait for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

    If the caller is cancelled, the query is interrupted and not waited for; its connection is
    closed when it has ended.

    Raises:
        sqlite3.Error: the query fails.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="events-read")
    loop = asyncio.get_running_loop()
    connecting = thread.submit(connect)
    connection: sqlite3.Connection | None = None
    is_waited_for = True
    try:
        connection = await asyncio.shield(asyncio.wrap_future(connecting))
        cursor = await loop.run_in_executor(thread, connection.execute, statement, args)
        while rows := await loop.run_in_executor(thread, cursor.fetchmany, n_rows):
            yield rows
    except asyncio.CancelledError:
        if connection is not None:
            connection.interrupt()
        is_waited_for = False
        raise
    finally:
        closing = thread.submit(_close, connecting)
        thread.shutdown(wait=False)
        if is_waited_for:
            await asyncio.wrap_future(closing)


def _close(connecting: Future[sqlite3.Connection]) -> None:
    if connecting.exception() is None:
        connecting.result().close()
