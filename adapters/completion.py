"""Changes that go on to their end even if whoever began them leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

logger = logging.getLogger(__name__)


class Changing(Protocol):
    """What keeps the changes that are under way."""

    changes: set[asyncio.Task[Any]]


T = TypeVar("T")
P = ParamSpec("P")
Owner = TypeVar("Owner", bound=Changing)


def complete(
    change: Callable[Concatenate[Owner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Owner, P], Coroutine[Any, Any, T]]:
    """Let a change go on to its end even if whoever waits for it is cancelled.

    Its failure is told to whoever waits, and logged where nobody does.
    """

    @wraps(change)
    async def method(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(change(self, *args, **kwargs), name=change.__name__)
        _keep(task, self.changes)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Whoever would be told of its failure has left.
            task.add_done_callback(partial(_log, event="adapter_change_failed", kind="change"))
            raise

    return method


def track(task: asyncio.Task[T], tasks: set[asyncio.Task[T]], *, event: str, kind: str) -> None:
    """Keep `task` among `tasks` while it runs, and log its failure as `event`."""
    _keep(task, tasks)
    task.add_done_callback(partial(_log, event=event, kind=kind))


def _keep(task: asyncio.Task[T], tasks: set[asyncio.Task[T]]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _log(task: asyncio.Task[Any], *, event: str, kind: str) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fields = {kind: task.get_name(), "reason": str(error)}
        logger.warning(event, extra={"fields": fields})
