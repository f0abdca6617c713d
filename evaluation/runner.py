"""Asks everything that a run asks: each request once, many at a time, and on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from evaluation.asking import Ask, Condition, Request
from evaluation.reading import option_orders
from evaluation.run_folder import Asked, AskKey, RunFolder, ask_key, asked_as
from survey_data.library import SurveyLibrary
from survey_data.model import Question, Scale


@dataclass(frozen=True)
class RunPlan:
    """What a run asks: every condition, culture, question that the culture was asked, order, seed.

    Attributes:
        n_orders: option orders to average over, as far as the options have so many.
        asked_once: names of the conditions that average over orders themselves.
    """

    conditions: tuple[Condition, ...]
    cultures: tuple[str, ...]
    questions: tuple[Question, ...]
    library: SurveyLibrary
    n_orders: int = 1
    seeds: tuple[int, ...] = (0,)
    asked_once: frozenset[str] = frozenset()

    def orders(self, condition: Condition, question: Question) -> tuple[tuple[int, ...], ...]:
        """Return the option orders that a condition shows a question in."""
        is_once = condition.kind in ("reference", "recorded") or condition.name in self.asked_once
        n_orders = 1 if is_once else self.n_orders
        ordinal = question.scale is not Scale.NOMINAL
        return option_orders(len(question.options), n_orders, ordinal=ordinal)

    def seeds_of(self, condition: Condition) -> tuple[int, ...]:
        """Return the seeds that a condition is asked with; only prompts and models draw."""
        return self.seeds if condition.kind in ("method", "control") else self.seeds[:1]

    def cultures_of(self, condition: Condition) -> tuple[str, ...]:
        """Return the cultures that a condition answers as, in the run's order."""
        chosen = condition.cultures
        return tuple(code for code in self.cultures if chosen is None or code in chosen)

    def asks(self, condition: Condition) -> Iterator[Ask]:
        """Yield the asks of one condition."""
        for question in self.questions:
            for culture in self.cultures_of(condition):
                if self.library.distribution(question.key, culture) is None:
                    continue
                for order in self.orders(condition, question):
                    for seed in self.seeds_of(condition):
                        yield Ask(condition.recipe, culture, question, order, seed)

    def n_asks(self) -> int:
        """Return the number of asks of the run."""
        return sum(1 for condition in self.conditions for _ in self.asks(condition))


class Progress(Protocol):
    """Is told how a run goes."""

    def on_asked(self, n: int, *, n_sent: int) -> None:
        """`n` asks are settled now; `n_sent` requests were sent since the run was started."""


async def run(
    plan: RunPlan, folder: RunFolder, *, n_concurrent: int, progress: Progress | None = None
) -> dict[AskKey, Asked]:
    """Ask what `folder` has no answer to yet, and return which request answered each ask.

    The first error ends the run; the answers until then are kept, and the same call goes on.

    Raises:
        Whatever a respondent raises.
    """
    running = _Run(folder, progress)
    work = _work(plan)  # one iterator for all workers: each ask is taken once
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(n_concurrent):
                group.create_task(running.work(work))
    except* Exception as failed:
        first = failed.exceptions[0]
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from failed
    keys = (ask_key(condition.name, ask) for condition, ask in _work(plan))
    asked = {key: running.asked[key] for key in keys}
    folder.write_asks(asked.items())
    return asked


class _Run:
    """What the workers of one run share."""

    def __init__(self, folder: RunFolder, progress: Progress | None) -> None:
        self.asked: dict[AskKey, Asked] = {}
        self._folder, self._progress = folder, progress
        self._under_way: set[str] = set()
        self._n_sent = 0

    async def work(self, work: Iterator[tuple[Condition, Ask]]) -> None:
        """Settle asks until there is none left."""
        for condition, ask in work:
            request = await condition.respondent.request(ask)
            if request.digest not in self._folder.answers:
                await self._send(condition, request)
            self.asked[ask_key(condition.name, ask)] = asked_as(request)
            if self._progress is not None:
                self._progress.on_asked(len(self.asked), n_sent=self._n_sent)

    async def _send(self, condition: Condition, request: Request) -> None:
        if request.digest in self._under_way:
            return
        self._under_way.add(request.digest)
        response = await condition.respondent.respond(request)
        self._n_sent += 1
        self._folder.add(request.digest, response)
        self._under_way.discard(request.digest)


def _work(plan: RunPlan) -> Iterator[tuple[Condition, Ask]]:
    for condition in plan.conditions:
        for ask in plan.asks(condition):
            yield condition, ask
