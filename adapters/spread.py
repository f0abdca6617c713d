"""The same work on every replica at once, without waiting for one that is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from adapters.errors import AdapterError
from adapters.replica import Replica

# How long the other replicas may take once the work is done on one of them.
GRACE_S = 2.0


async def spread(
    work: Callable[[Replica], Coroutine[Any, Any, None]],
    replicas: Sequence[Replica],
    *,
    leave: Callable[[asyncio.Task[None]], None],
    grace_s: float = GRACE_S,
) -> list[AdapterError]:
    """Do `work` on all `replicas` at once, and return how it failed on some.

    Once it is done on one, the others have `grace_s` seconds; one that did not answer before has
    none. What is not done by then is given to `leave`, and goes on. If this is cancelled, all is.

    Raises:
        Exception: the work raised something other than an AdapterError; the rest is cancelled.
    """
    tasks = {asyncio.create_task(work(replica)): replica for replica in replicas}
    # Of the time before: what the work finds out is no reason to wait longer.
    silent = {replica for replica in replicas if replica.reach.is_reachable is False}
    try:
        failures = await _wait(tasks, silent, grace_s)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    for task in tasks:
        if not task.done():
            leave(task)
    return failures


async def _wait(
    tasks: dict[asyncio.Task[None], Replica], silent: set[Replica], grace_s: float
) -> list[AdapterError]:
    waited_for, failures = set(tasks), list[AdapterError]()
    until: float | None = None
    now = asyncio.get_running_loop().time
    while waited_for:
        left_s = None if until is None else max(0.0, until - now())
        done, waited_for = await asyncio.wait(
            waited_for, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
        for error in (task.exception() for task in done):
            if isinstance(error, AdapterError):
                failures.append(error)
            elif error is not None:
                raise error
            elif until is None:
                until = now() + grace_s
                waited_for = {task for task in waited_for if tasks[task] not in silent}
    return failures
