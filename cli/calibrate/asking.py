"""Asks the served model through the service's own steps, and keeps every answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from app.answering.pipeline import Pipeline
from app.answering.plan import Answer
from app.answering.requests import AnswerRequest
from app.errors import RetrievalBusy, UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from cli.calibrate.scope import Cell
from cli.patience import call_patiently
from estimation.source import AnswerFrom
from evaluation.errors import RunFolderInvalid
from files.journal import Journal, JournalBusy, LinesInvalid
from prompting.recipe import Recipe, RecipeOverrides

_TRANSIENT = (UpstreamUnavailable, UpstreamBusy, UpstreamTimeout, RetrievalBusy)


class Ask(NamedTuple):
    """A cell that is asked by a recipe."""

    recipe: Recipe
    cell: Cell


Shares = tuple[float, ...] | None
# The keys of what is asked together with each question.
Batteries = Mapping[str, frozenset[str]]


class AnswerLine(BaseModel):
    """An answer in the journal; no shares where it could not be read, or told nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    question: str
    culture: str
    is_novel: bool
    shares: tuple[float, ...] | None


class AnswerJournal:
    """The answers of one model so far. Use it in a `with` statement."""

    def __init__(self, file: Path) -> None:
        """Open `file`, or go on with it.

        Raises:
            RunFolderInvalid: another calibration is at work with it, or it was altered.
        """
        try:
            self._journal = Journal(file, AnswerLine)
        except JournalBusy as exc:
            raise RunFolderInvalid(
                file,
                "a calibration of this model at work",
                "one at a time",
                remedy="Wait until it is done.",
            ) from exc
        try:
            self._answers = {
                (line.recipe, line.question, line.culture, line.is_novel): line.shares
                for line in self._journal.read()
            }
        except LinesInvalid as exc:
            self._journal.close()
            found = f"row {exc.row}: {exc.fault}"
            raise RunFolderInvalid(file, found, "as it was written", remedy="Delete it.") from exc

    def __enter__(self) -> AnswerJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def has(self, ask: Ask) -> bool:
        """Return whether it was answered."""
        return _key(ask) in self._answers

    def find(self, ask: Ask) -> Shares:
        """Return the shares of an answer; KeyError where there was none yet."""
        return self._answers[_key(ask)]

    def add(self, ask: Ask, shares: Shares) -> None:
        """Keep an answer, on disk at once."""
        key = recipe, question, culture, is_novel = _key(ask)
        self._journal.add(
            AnswerLine(
                recipe=recipe,
                question=question,
                culture=culture,
                is_novel=is_novel,
                shares=shares,
            )
        )
        self._answers[key] = shares


async def ask_model(
    pipeline: Pipeline,
    asks: Sequence[Ask],
    journal: AnswerJournal,
    *,
    batteries: Batteries,
    n_concurrent: int,
    on_answered: Callable[[int], None],
) -> None:
    """Ask what `journal` has no answer to yet; `on_answered` is told how many were asked.

    Nothing of a novel question's battery is shown, nor ever what gives away a question.

    The first error ends it; the answers until then are kept.

    Raises:
        RespondentFailed: no server answers for a minute.
        UpstreamError, PromptingError, RequestError: a question cannot be answered at all.
    """
    left = iter([ask for ask in asks if not journal.has(ask)])
    n_asked = 0

    async def work(left: Iterator[Ask]) -> None:
        nonlocal n_asked
        for ask in left:
            journal.add(ask, await _ask(pipeline, ask, batteries))
            n_asked += 1
            on_answered(n_asked)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(n_concurrent):
                group.create_task(work(left))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def _ask(pipeline: Pipeline, ask: Ask, batteries: Batteries) -> Shares:
    recipe, (question, culture, is_novel) = ask
    request = AnswerRequest(
        question.text,
        culture,
        question.options,
        recipe=RecipeOverrides(
            method=recipe.method,
            k=recipe.k,
            style=recipe.style,
            retriever=recipe.retriever,
            n_orders=recipe.n_orders,
            adapter=recipe.adapter,
            n_elsewhere=recipe.n_elsewhere,
            prompt_language=recipe.prompt_language,
        ),
        answer_from=AnswerFrom.MODEL,
        withhold=True,
        barred=batteries[question.key] if is_novel else frozenset(),
    )
    answer = await call_patiently(lambda: pipeline.answer(request), "the model", _TRANSIENT)
    return answer.reading.shares if _is_told(answer, recipe) and answer.reading else None


def _is_told(answer: Answer, recipe: Recipe) -> bool:
    """Return whether the service would pool such an answer: asked as wanted, with like questions.

    Where none is near, there is no estimate to pool it with.
    """
    return answer.plan.method is recipe.method and not answer.plan.evidence.below_floor


def _key(ask: Ask) -> tuple[str, str, str, bool]:
    return ask.recipe.id, ask.cell.question.key, ask.cell.culture, ask.cell.is_novel
