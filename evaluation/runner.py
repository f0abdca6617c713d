"""Ask everything that a run asks: each request once, many at a time, resuming where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

from evaluation.ability import AbilityPlan
from evaluation.asking import Ask, Condition, Request
from evaluation.languages import put_question
from evaluation.run_folder import AskKey, AskRecord, RunFolder, ask_key
from prompting.reading import option_orders
from survey_data.library import SurveyLibrary
from survey_data.model import Question, Scale


@dataclass(frozen=True)
class RunPlan:
    """What a run asks: every condition, culture, question that the culture was asked, order, seed.

    Attributes:
        n_orders: option orders to average over, at most as many as the options have.
        asked_once: names of the conditions that average over orders themselves.
        ability: the general questions that are asked as well, if any.
    """

    conditions: tuple[Condition, ...]
    cultures: tuple[str, ...]
    questions: tuple[Question, ...]
    library: SurveyLibrary
    n_orders: int = 1
    seeds: tuple[int, ...] = (0,)
    asked_once: frozenset[str] = frozenset()
    ability: AbilityPlan | None = None

    def orders(self, condition: Condition, question: Question) -> tuple[tuple[int, ...], ...]:
        """Return the option orders that a condition shows a question in."""
        is_repeated = condition.draws and condition.name not in self.asked_once
        n_orders = self.n_orders if is_repeated else 1
        ordinal = question.scale is not Scale.NOMINAL
        return option_orders(len(question.options), n_orders, ordinal=ordinal)

    def seeds_of(self, condition: Condition) -> tuple[int, ...]:
        """Return the seeds that a condition is asked with; only prompts and models draw."""
        return self.seeds if condition.draws else self.seeds[:1]

    def cultures_of(self, condition: Condition) -> tuple[str, ...]:
        """Return the cultures that a condition answers as, in the run's order."""
        chosen = condition.cultures
        return tuple(code for code in self.cultures if chosen is None or code in chosen)

    def asks(self, condition: Condition) -> Iterator[Ask]:
        """Yield the asks of one condition."""
        adapters = dict(condition.adapters)
        for question, culture in self._cells(condition):
            recipe = condition.recipe
            if recipe is not None:
                question, language = put_question(
                    question, condition.language, culture, self.library
                )
                recipe = replace(recipe, prompt_language=language)
            for order in self.orders(condition, question):
                for seed in self.seeds_of(condition):
                    adapter, control = adapters.get(culture), condition.control
                    yield Ask(recipe, culture, question, order, seed, adapter, control)

    def work(self) -> Iterator[tuple[Condition, Ask]]:
        """Yield every ask of the run with its condition."""
        for condition in self.conditions:
            for ask in self.asks(condition):
                yield condition, ask
        if self.ability is not None:
            yield from self.ability.asks()

    def count_asks(self) -> int:
        """Return the number of asks of the run."""
        return sum(1 for _ in self.work())

    def _cells(self, condition: Condition) -> Iterator[tuple[Question, str]]:
        pairs = list(product(self.questions, self.cultures_of(condition)))
        if condition.adapters:
            # One adapter after the other, as a server may hold fewer than there are.
            pairs.sort(key=lambda pair: self.cultures.index(pair[1]))
        for question, culture in pairs:
            if self.library.distribution(question.key, culture) is not None:
                yield question, culture


class AskProgress(Protocol):
    """Is told how far a run has come."""

    def on_asked(self, n: int, *, n_sent: int) -> None:
        """`n` asks are settled now; `n_sent` requests were sent since the run started."""


async def run_plan(
    plan: RunPlan, folder: RunFolder, *, n_concurrent: int, progress: AskProgress | None = None
) -> dict[AskKey, AskRecord]:
    """Ask what `folder` has no answer to yet, and return which request answered each ask.

    The first error ends the run; the answers so far are kept, and the same call resumes it.

    Raises:
        Whatever a respondent raises.
    """
    running = _Run(folder, progress)
    work = plan.work()  # one iterator for all workers: each ask is taken once
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(n_concurrent):
                group.create_task(running.work(work))
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from failed
    keys = (ask_key(condition.name, ask) for condition, ask in plan.work())
    asked = {key: running.asked[key] for key in keys}
    folder.write_asks(asked.items())
    return asked


class _Run:
    """What the workers of one run share."""

    def __init__(self, folder: RunFolder, progress: AskProgress | None) -> None:
        self.asked: dict[AskKey, AskRecord] = {}
        self._folder, self._progress = folder, progress
        self._under_way: set[str] = set()
        self._n_sent = 0

    async def work(self, work: Iterator[tuple[Condition, Ask]]) -> None:
        """Settle asks until none is left."""
        for condition, ask in work:
            request = await condition.respondent.request(ask)
            if request.digest not in self._folder.answers:
                await self._send(condition, request)
            self.asked[ask_key(condition.name, ask)] = AskRecord(
                request.digest, request.shown, request.steered
            )
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
