"""A slow, broken or full store costs a bounded wait, and what it loses is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from experiments.errors import StoreRefused, StoreUnavailable
from experiments.events import Receipt
from experiments.stores.group_commit import DropReason, GroupCommit, StoreLimits, WriteResult


class Taker:
    """Takes batches as a database does, and can be made to be slow, to fail, or to be picky."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.error: Exception | None = None
        self.refused: int | None = None

    @property
    def taken(self) -> list[int]:
        return [item for batch in self.batches for item in batch]

    async def write(self, batch: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        if self.refused in batch:
            raise StoreRefused("here", "a number that it does not like")
        self.batches.append(list(batch))
        return [10 * item for item in batch]


def queue(taker: Taker, **limits: float) -> GroupCommit[int, int]:
    given = {"wait_s": 5.0, "statement_s": 0.2, "retry_s": 0.001, "max_retry_s": 0.01} | limits
    return GroupCommit(taker.write, limits=StoreLimits(**given))  # type: ignore[arg-type]  # counts


LOST = WriteResult(None, Receipt.DROPPED)
LATE = WriteResult(None, Receipt.LATE)


async def test_each_caller_gets_its_own_result() -> None:
    commits = queue(Taker())

    found = await asyncio.gather(*(commits.submit(i) for i in range(100)))

    assert [each.result for each in found] == [10 * i for i in range(100)]
    await commits.close()


async def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    taker = Taker()
    commits = queue(taker, max_batch=4)

    await asyncio.gather(*(commits.submit(i) for i in range(10)))

    assert taker.taken == list(range(10))
    assert max(map(len, taker.batches)) == 4
    assert len(taker.batches) <= 4
    await commits.close()


async def test_a_hanging_store_costs_the_bound_once_and_nothing_is_lost() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker, wait_s=0.05)

    started = time.monotonic()
    assert await commits.submit(1) == LATE
    first_s = time.monotonic() - started
    await asyncio.sleep(0.01)
    started = time.monotonic()
    assert await commits.submit(2) == LATE
    second_s = time.monotonic() - started
    taker.is_open.set()
    await commits.close()

    assert 0.04 < first_s < 1.0
    assert second_s < 0.04
    assert taker.taken == [1, 2]
    assert commits.counts == (2, 2, 0, {})


async def test_a_store_that_fails_for_a_while_gets_all_of_it_later() -> None:
    taker = Taker()
    taker.error = StoreUnavailable("here", "no disk")
    commits = queue(taker, wait_s=0.05)

    assert await commits.submit(1) == LATE
    assert await commits.submit(2) == LATE
    taker.error = None
    await commits.close()

    assert taker.taken == [1, 2]
    assert commits.counts.n_dropped == {}


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker, wait_s=0.02, max_queued=3)

    found = [await commits.submit(i) for i in range(6)]
    taker.is_open.set()
    await commits.close()

    # One was being written, three waited.
    assert found == [LATE, LATE, LATE, LATE, LOST, LOST]
    assert commits.counts.n_dropped == {DropReason.FULL: 2}
    assert taker.taken == [0, 1, 2, 3]


async def test_what_waits_too_long_is_dropped_and_counted() -> None:
    taker = Taker()
    taker.error = StoreUnavailable("here", "no disk")
    commits = queue(taker, wait_s=0.01, keep_s=0.05)

    assert await commits.submit(1) == LATE
    while commits.counts.n_queued:  # noqa: ASYNC110  # nobody is told of a loss
        await asyncio.sleep(0.01)

    assert commits.counts.n_dropped == {DropReason.EXPIRED: 1}
    await commits.close()


@pytest.mark.parametrize("refused", [0, 3, 5])
async def test_an_item_that_the_store_refuses_takes_no_other_with_it(refused: int) -> None:
    taker = Taker()
    taker.refused = refused
    commits = queue(taker)

    found = await asyncio.gather(*(commits.submit(i) for i in range(6)))

    assert found[refused] == LOST
    assert sorted(taker.taken) == [i for i in range(6) if i != refused]
    assert commits.counts.n_dropped == {DropReason.REFUSED: 1}
    await commits.close()


async def test_closing_counts_what_could_not_be_written() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker, wait_s=0.01, statement_s=0.05)
    assert await commits.submit(1) == LATE
    assert await commits.submit(2) == LATE

    await commits.close()

    assert commits.counts == (0, 0, 0, {DropReason.CLOSED: 2})
    assert await commits.submit(3) == LOST


async def test_what_is_removed_while_the_store_fails_is_not_written_later() -> None:
    taker = Taker()
    taker.error = StoreUnavailable("here", "no disk")
    commits = queue(taker, wait_s=0.01)
    for i in range(4):
        assert await commits.submit(i) == LATE

    await commits.remove(lambda item: item % 2 == 0)
    taker.error = None
    await commits.close()

    assert taker.taken == [1, 3]
    assert commits.counts == (2, 2, 0, {DropReason.FORGOTTEN: 2})


@pytest.mark.parametrize("error", [None, StoreUnavailable("here", "no disk")])
async def test_a_batch_under_way_ends_before_removing_does(error: Exception | None) -> None:
    taker = Taker()
    taker.is_open.clear()
    taker.error = error
    commits = queue(taker, wait_s=0.01, max_batch=1, statement_s=5.0)
    assert await commits.submit(1) == LATE
    assert await commits.submit(2) == LATE
    removing = asyncio.create_task(commits.remove(lambda item: item == 1))
    await asyncio.sleep(0.01)

    is_early = removing.done()
    taker.is_open.set()
    await removing
    n_written = taker.taken.count(1)
    taker.error = None
    await commits.close()

    assert not is_early
    # Written before it returned, or never.
    assert taker.taken == [1, 2] if error is None else [2]
    assert taker.taken.count(1) == n_written


async def test_removing_does_not_wait_for_a_hanging_store_for_ever() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker, wait_s=0.01, max_batch=1, statement_s=0.05)
    assert await commits.submit(1) == LATE
    assert await commits.submit(2) == LATE

    with pytest.raises(TimeoutError):
        await commits.remove(lambda item: item == 2)

    taker.is_open.set()
    await commits.close()
    assert taker.taken == [1]


async def test_a_store_that_fails_within_a_refused_batch_gets_the_rest_later() -> None:
    taker = Taker()
    taker.refused = 0
    commits = queue(taker)
    waiting = [asyncio.create_task(commits.submit(i)) for i in range(4)]
    while taker.taken != [1]:  # noqa: ASYNC110  # the one after the refused one
        await asyncio.sleep(0)
    taker.error = StoreUnavailable("here", "no disk")
    await asyncio.sleep(0.01)
    taker.error = None

    found = await asyncio.gather(*waiting)

    assert [each.receipt is Receipt.DROPPED for each in found] == [True, False, False, False]
    assert sorted(taker.taken) == [1, 2, 3]
    await commits.close()


async def test_a_caller_that_goes_away_leaves_its_item_to_be_written() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker)
    waiting = asyncio.create_task(commits.submit(1))
    await asyncio.sleep(0.01)

    waiting.cancel()
    taker.is_open.set()
    await commits.close()

    assert waiting.cancelled()
    assert taker.taken == [1]


async def test_who_needs_an_item_written_waits_for_that_one_alone() -> None:
    taker = Taker()
    taker.is_open.clear()
    commits = queue(taker, wait_s=0.01)
    assert await commits.submit(1) == LATE
    await commits.flush(lambda item: item == 2)

    needing = asyncio.create_task(commits.flush(lambda item: item == 1))
    await asyncio.sleep(0.01)
    assert not needing.done()
    taker.is_open.set()
    await needing

    assert taker.taken == [1]
    await commits.close()


async def test_one_that_is_not_taken_is_waited_for_within_the_bound() -> None:
    taker = Taker()
    taker.error = StoreUnavailable("here", "no disk")
    commits = queue(taker, wait_s=0.01, statement_s=0.05)
    await commits.submit(1)

    with pytest.raises(TimeoutError):
        await commits.flush(lambda item: item == 1)
    await commits.close()
