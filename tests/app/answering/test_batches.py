"""A batch is answered a few at a time, and no item waits for, or is spoiled by, another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from app.answering.batches import BatchItem, BatchRunner
from app.answering.pipeline import Pipeline
from app.answering.requests import AnswerRequest, Request


class Answering:
    """Answers with the question's text once `let_through` is set; "no" fails, "fast" is at once."""

    def __init__(self) -> None:
        self.let_through = asyncio.Event()
        self.n_running = self.most_running = self.n_begun = 0

    async def answer(self, request: Request) -> str:
        assert isinstance(request, AnswerRequest)
        self.n_begun += 1
        self.n_running += 1
        self.most_running = max(self.most_running, self.n_running)
        try:
            if request.question != "fast":
                await self.let_through.wait()
            if request.question == "no":
                raise ValueError("no")
            return request.question
        finally:
            self.n_running -= 1


class Items:
    """Items that count how many of them were taken."""

    def __init__(self, *questions: str | Exception) -> None:
        self._questions, self.n_taken = questions, 0

    def __iter__(self) -> Iterator[BatchItem]:
        for index, each in enumerate(self._questions):
            self.n_taken += 1
            request = AnswerRequest(each, "DE") if isinstance(each, str) else each
            yield BatchItem(index, index, 0, "DE", request)


@pytest.fixture
async def answering() -> Answering:
    return Answering()


def make_runner(answering: Answering, *, concurrency: int) -> BatchRunner:
    return BatchRunner(cast(Pipeline, answering), concurrency=concurrency)


async def read(runner: BatchRunner, items: Items) -> dict[int, Any]:
    async with aclosing(runner.run(items)) as results:
        return {result.item.index: result.answer async for result in results}


async def test_every_item_has_its_result_and_none_spoils_another(answering: Answering) -> None:
    answering.let_through.set()
    refused = KeyError("not readable")

    found = await read(make_runner(answering, concurrency=2), Items("a", "no", refused, "b"))

    assert (found[0], found[3]) == ("a", "b")
    assert isinstance(found[1], ValueError)
    assert found[2] is refused


async def test_what_is_done_first_comes_first(answering: Answering) -> None:
    async with aclosing(
        make_runner(answering, concurrency=3).run(Items("slow", "fast"))
    ) as results:
        assert (await anext(results)).item.index == 1
        answering.let_through.set()
        assert (await anext(results)).item.index == 0


async def test_no_more_items_are_taken_than_are_worked_on(answering: Answering) -> None:
    items = Items(*["fast"] * 100)
    async with aclosing(make_runner(answering, concurrency=3).run(items)) as results:
        await anext(results)
        # While nobody takes results, nothing new begins.
        await asyncio.sleep(0)
        assert items.n_taken == 3
        assert len([result async for result in results]) == 99


async def test_batches_share_what_may_run(answering: Answering) -> None:
    runner = make_runner(answering, concurrency=2)
    reading = [asyncio.create_task(read(runner, Items(*"abcd"))) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answering.let_through.set()

    assert all(len(found) == 4 for found in await asyncio.gather(*reading))
    assert answering.most_running == 2


async def test_who_leaves_ends_what_has_begun(answering: Answering) -> None:
    async with aclosing(
        make_runner(answering, concurrency=3).run(Items("fast", *"abcdef"))
    ) as results:
        await anext(results)
        assert answering.n_running == 2

    assert answering.n_running == 0
    assert answering.n_begun == 3
