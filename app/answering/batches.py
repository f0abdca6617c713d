"""Answers many requests, a bounded number of them at a time, in whatever order they are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from app.answering.pipeline import Pipeline
from app.answering.plan import Answer
from app.answering.requests import AnswerRequest


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One of the answers that a batch asks for.

    Attributes:
        index: its place among all of them, from 0.
        row: the place of its question among those that were sent, from 0.
        recipe: the place of its recipe, from 0.
        culture: who should answer, as the batch names them; None where it names nobody.
        request: what is asked; an exception where that cannot be read.
    """

    index: int
    row: int
    recipe: int
    culture: str | None
    request: AnswerRequest | Exception


class BatchResult(NamedTuple):
    """What came of an item: an answer, or why there is none."""

    item: BatchItem
    answer: Answer | Exception


class BatchRunner:
    """Answers batches. One instance serves all, and bounds what they take together."""

    def __init__(self, pipeline: Pipeline, *, concurrency: int) -> None:
        """Answer by `pipeline`, `concurrency` items of all batches at a time."""
        self._pipeline, self._concurrency = pipeline, concurrency
        self._free = asyncio.Semaphore(concurrency)

    async def run(self, items: Iterable[BatchItem]) -> AsyncGenerator[BatchResult, None]:
        """Yield what came of each item, as soon as it is there.

        Items are taken as there is room for them, and nothing is begun while nobody takes what is
        done: at most `concurrency` of them are in memory. No error of one touches the others.
        Closing the generator ends what has begun.
        """
        running: set[asyncio.Task[BatchResult]] = set()
        coming = iter(items)
        try:
            while True:
                while len(running) < self._concurrency and (item := next(coming, None)):
                    running.add(asyncio.create_task(self._answer(item)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _answer(self, item: BatchItem) -> BatchResult:
        if isinstance(item.request, Exception):
            return BatchResult(item, item.request)
        async with self._free:
            try:
                return BatchResult(item, await self._pipeline.answer(item.request))
            except Exception as exc:
                return BatchResult(item, exc)
