"""Group commit: the wait of an answer is bounded, and what is lost is counted.

Items are handed over in memory and written in batches by one task. An item is acknowledged when
its batch is committed. Who handed it over waits at most `wait_s`; later the item stays in the queue
and is written as soon as the store takes it. It is lost when the queue is full, when it has waited
for `keep_s`, when the store refuses it, when it must be forgotten, or when the process ends
before; each is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from experiments.errors import StoreRefused, StoreUnavailable
from experiments.events import Receipt

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What a store may cost.

    Attributes:
        wait_s: the longest an answer waits for its commit.
        keep_s: how long an item is kept in memory while the store does not take it.
        statement_s: the longest any other call waits.
        max_queued: items in memory; another one is dropped.
        max_batch: items of one commit.
    """

    wait_s: float = 0.1
    keep_s: float = 60.0
    statement_s: float = 5.0
    max_queued: int = 20_000
    max_batch: int = 256
    retry_s: float = 0.05
    max_retry_s: float = 1.0


class DropReason(StrEnum):
    """Why an item was lost."""

    FULL = "queue-full"
    EXPIRED = "waited-too-long"
    REFUSED = "refused-by-store"
    CLOSED = "closed"
    FORGOTTEN = "forgotten"


class Counts(NamedTuple):
    """What became of the items so far; `n_late` were written after their caller had gone on."""

    n_recorded: int
    n_late: int
    n_queued: int
    n_dropped: dict[DropReason, int]


class WriteResult(NamedTuple, Generic[Result]):
    """What became of an item within the bound; its result if it was recorded."""

    result: Result | None
    receipt: Receipt


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    since: float
    done: asyncio.Future[WriteResult[Result]] = field(repr=False)
    is_left: bool = False


class GroupCommit(Generic[Item, Result]):
    """Hands items to `write` in batches, and tells each caller what became of its own."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        limits: StoreLimits,
    ) -> None:
        """Take what writes a batch in one commit, and returns one result per item."""
        self._write, self._limits = write, limits
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        # Held while a batch is written.
        self._turn = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._is_closed, self._n_failures = False, 0
        self._writing_since: float | None = None
        self._writing: list[_Waiting[Item, Result]] = []
        self._n_recorded = self._n_late = 0
        self._dropped: Counter[DropReason] = Counter()

    @property
    def counts(self) -> Counts:
        """What became of the items so far."""
        n_queued = len(self._queue) + len(self._writing)
        return Counts(self._n_recorded, self._n_late, n_queued, dict(self._dropped))

    async def submit(self, item: Item) -> WriteResult[Result]:
        """Hand over an item; return when it is committed, lost, or the bound has passed.

        While the store is known to fail or to hang, the bound is not waited for.
        """
        if self._is_closed or len(self._queue) >= self._limits.max_queued:
            self._dropped[DropReason.CLOSED if self._is_closed else DropReason.FULL] += 1
            return WriteResult(None, Receipt.DROPPED)
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Result] = _Waiting(item, time.monotonic(), loop.create_future())
        self._queue.append(waiting)
        self._idle.clear()
        self._wake.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="group-commit")
        if self._is_behind():
            waiting.is_left = True
            return WriteResult(None, Receipt.LATE)
        bound = loop.call_later(self._limits.wait_s, _leave, waiting)
        try:
            return await waiting.done
        except asyncio.CancelledError:
            waiting.is_left = True
            raise
        finally:
            bound.cancel()

    async def remove(self, is_unwanted: Callable[[Item], bool]) -> None:
        """Drop what waits and is unwanted; once this returns, it is no longer written.

        Items that are handed over later are not looked at.

        Raises:
            TimeoutError: a batch has been under way for `statement_s`.
        """
        self._drop_unwanted(is_unwanted)
        async with asyncio.timeout(self._limits.statement_s), self._turn:
            # What the store did not take waits again.
            self._drop_unwanted(is_unwanted)

    async def flush(self, is_wanted: Callable[[Item], bool]) -> None:
        """Return once nothing that is wanted waits any more, written or lost.

        Raises:
            TimeoutError: it has not been written for `statement_s`.
        """
        async with asyncio.timeout(self._limits.statement_s):
            # Rare and short; what waits is told apart by its content alone.
            while any(  # noqa: ASYNC110  # nobody is told of a single item
                is_wanted(each.item) for each in (*self._queue, *self._writing)
            ):
                await asyncio.sleep(self._limits.retry_s)

    async def close(self) -> None:
        """Take nothing more, write what waits for at most `statement_s`, and count the rest."""
        self._is_closed = True
        try:
            async with asyncio.timeout(self._limits.statement_s):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("events_dropped_at_close", extra={"fields": {"n": len(self._queue)}})
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while self._queue:
            self._drop(self._queue.popleft(), DropReason.CLOSED)

    def _is_behind(self) -> bool:
        since = self._writing_since
        hangs = since is not None and time.monotonic() - since > self._limits.wait_s
        return self._n_failures > 0 or hangs

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                async with self._turn:
                    self._drop_old()
                    n_batch = min(len(self._queue), self._limits.max_batch)
                    batch = [self._queue.popleft() for _ in range(n_batch)]
                    is_answered = not batch or await self._commit(batch)
                if not is_answered:
                    await self._back_off()
            self._idle.set()

    async def _commit(self, batch: list[_Waiting[Item, Result]]) -> bool:
        """Write a batch; return whether the store took or refused it, and did not fail."""
        self._writing_since, self._writing = time.monotonic(), batch
        try:
            results = await self._write([waiting.item for waiting in batch])
        except asyncio.CancelledError:
            self._queue.extendleft(reversed(batch))
            raise
        except StoreUnavailable as exc:
            self._queue.extendleft(reversed(batch))
            if not self._n_failures:
                logger.warning("store_failed", extra={"fields": {"reason": exc.reason}})
            self._n_failures += 1
            return False
        except Exception as exc:
            self._writing = []
            return await self._one_by_one(batch, exc)
        else:
            if self._n_failures:
                logger.info("store_recovered", extra={"fields": {"n_failures": self._n_failures}})
            self._n_failures = 0
            for waiting, result in zip(batch, results, strict=True):
                self._acknowledge(waiting, result)
        finally:
            self._writing_since, self._writing = None, []
        return True

    async def _one_by_one(self, batch: list[_Waiting[Item, Result]], exc: Exception) -> bool:
        """Write what can be written, so that one bad item takes no other with it."""
        if len(batch) > 1:
            for n_done, waiting in enumerate(batch, start=1):
                if not await self._commit([waiting]):
                    self._queue.extend(batch[n_done:])
                    return False
            return True
        if isinstance(exc, StoreRefused):
            # Without the driver's own error, which may quote the row.
            logger.error("event_refused_by_store", extra={"fields": {"reason": exc.reason}})
        else:
            logger.error("event_not_written", exc_info=exc)
        self._drop(batch[0], DropReason.REFUSED)
        return True

    async def _back_off(self) -> None:
        longest = self._limits.max_retry_s
        await asyncio.sleep(min(longest, self._limits.retry_s * 2 ** min(self._n_failures - 1, 10)))

    def _drop_unwanted(self, is_unwanted: Callable[[Item], bool]) -> None:
        waiting, self._queue = self._queue, deque()
        for each in waiting:
            if is_unwanted(each.item):
                self._drop(each, DropReason.FORGOTTEN)
            else:
                self._queue.append(each)

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._limits.keep_s
        while self._queue and self._queue[0].since < oldest:
            self._drop(self._queue.popleft(), DropReason.EXPIRED)

    def _acknowledge(self, waiting: _Waiting[Item, Result], result: Result) -> None:
        self._n_recorded += 1
        self._n_late += waiting.is_left
        if not waiting.done.done():
            waiting.done.set_result(WriteResult(result, Receipt.RECORDED))

    def _drop(self, waiting: _Waiting[Item, Result], reason: DropReason) -> None:
        self._dropped[reason] += 1
        if not waiting.done.done():
            waiting.done.set_result(WriteResult(None, Receipt.DROPPED))


def _leave(waiting: _Waiting[Item, Result]) -> None:
    """Let the caller go on; its item stays."""
    if not waiting.done.done():
        waiting.is_left = True
        waiting.done.set_result(WriteResult(None, Receipt.LATE))
