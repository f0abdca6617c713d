"""Asks every arm of an experiment the same requests, by the service's own pipeline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from adapters.errors import AdapterError, AdapterForOthers, AdaptersBusy, LoraServerSilent
from app import errors
from app.answering.recording import list_known
from app.resources import Opener, Resources, open_resources
from app.settings import Settings
from app.telemetry import Metrics
from cli.patience import call_patiently
from cli.replay.options import ReplayOptions
from cli.replay.requests import (
    ReplayRequest,
    RequestSet,
    draw_survey_requests,
    select_logged_requests,
)
from evaluation.errors import EvaluationError
from experiments.definition import Arm, Experiment
from experiments.events import AnswerText
from experiments.replay.page import render_replay
from experiments.replay.pairing import summarise_replay
from experiments.replay.result import Replay
from experiments.replay.rows import ReplayRow
from files.json_line import write_json_line
from prompting.recipe import NO_ADAPTER
from prompting.refusal import is_refusal
from retrieval.errors import RetrievalError
from survey_data.errors import SurveyDataError

# Errors that may pass in a moment; a restarting server is waited for.
_PASSING = (
    errors.UpstreamUnavailable,
    errors.UpstreamBusy,
    LoraServerSilent,
    AdaptersBusy,
    errors.RetrievalBusy,
)
# Errors that can fail a single request.
_FAILED = (errors.AppError, AdapterError, EvaluationError, RetrievalError, SurveyDataError)


class ReplayProgress(Protocol):
    """Is told how much there is to do, and then of the progress."""

    def on_planned(self, n_answers: int) -> None:
        """A replay of `n_answers` answers begins."""

    def on_answered(self, n: int, *, n_failed: int) -> None:
        """`n` answers have come, including those that failed."""


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """The outcome of a replay; it ended early if `replay` has fewer requests than planned."""

    replay: Replay
    rows: tuple[ReplayRow, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every request was asked of every arm."""
        return self.replay.n_requests == self.replay.n_planned


async def run_replay(
    settings: Settings,
    experiment: Experiment,
    options: ReplayOptions,
    *,
    texts: Sequence[AnswerText] = (),
    progress: ReplayProgress | None = None,
    pause_s: float = 1.0,
    opener: Opener = open_resources,
) -> ReplayRun:
    """Ask every arm of `experiment` what `options` name, and return the outcome.

    `texts` are the logged requests, if these are to be replayed. Nothing is recorded, and no
    request has a user. A restarting server is waited for, `pause_s` at first and longer each time,
    about a minute in all. If it is cancelled while asking, it returns what has been answered.
    """
    async with opener(settings, Metrics()) as resources:
        library, alike = resources.library, resources.retrieval.finder.alike
        if options.logged:
            request_set = select_logged_requests(texts, library, experiment, options)
        else:
            request_set = draw_survey_requests(library, experiment, options, alike=alike)
        await _check_arms(resources, experiment, request_set)
        asking = _Asking(resources, experiment, progress=progress, pause_s=pause_s)
        most = min(options.n_concurrent, settings.vllm.max_in_flight)
        await asking.ask(request_set.requests, n_concurrent=most)
        replay = summarise_replay(
            asking.rows,
            experiment,
            made_ms=time.time_ns() // 1_000_000,
            source=request_set.source,
            notes=request_set.notes,
            model=settings.model,
            seed=options.seed,
            n_planned=len(request_set.requests),
            cultures={code: library.catalogue[code].name for code in library.cultures},
        )
        return ReplayRun(replay, tuple(asking.rows))


def write_replay(run: ReplayRun, folder: Path) -> None:
    """Write replay.json, rows.jsonl and report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (write_json_line(asdict(row)) + "\n" for row in run.rows)
    (folder / "rows.jsonl").write_text("".join(lines))
    (folder / "report.html").write_text(render_replay(run.replay))
    (folder / "replay.json").write_text(run.replay.model_dump_json(indent=2) + "\n")


class _Asking:
    """Asks requests, and keeps the outcomes in `rows`."""

    def __init__(
        self,
        resources: Resources,
        experiment: Experiment,
        *,
        progress: ReplayProgress | None,
        pause_s: float,
    ) -> None:
        self._resources, self._experiment = resources, experiment
        self._progress, self._pause_s = progress, pause_s
        self._n_failed = 0
        # Once a server did not come back, it is not waited for again.
        self._is_gone = False
        self.rows: list[ReplayRow] = []

    async def ask(self, requests: Sequence[ReplayRequest], *, n_concurrent: int) -> None:
        """Ask every request of every arm, `n_concurrent` requests at a time, or until cancelled."""
        if self._progress is not None:
            self._progress.on_planned(len(requests) * len(self._experiment.arms))
        left = iter(enumerate(requests))

        async def work() -> None:
            for place, request in left:
                await self._ask_arms(place, request)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(n_concurrent):
                    group.create_task(work())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self.rows:
                raise
            # A replay that is ended early still shows what it found.
            task.uncancel()

    async def _ask_arms(self, place: int, request: ReplayRequest) -> None:
        """Ask all arms one after another; each goes first as often as the others."""
        arms = self._experiment.arms
        first = place % len(arms)
        for arm in (*arms[first:], *arms[:first]):
            row = await self._row(request, arm)
            self.rows.append(row)
            self._n_failed += bool(row.failed)
            if self._progress is not None:
                self._progress.on_answered(len(self.rows), n_failed=self._n_failed)

    async def _row(self, request: ReplayRequest, arm: Arm) -> ReplayRow:
        ask = partial(self._ask_arm, request, arm)
        try:
            if self._is_gone:
                row = await ask()
            else:
                name = self._resources.settings.model
                row = await call_patiently(ask, name, _PASSING, pause_s=self._pause_s)
            self._is_gone = False
            return row
        except _FAILED as exc:
            self._is_gone = self._is_gone or isinstance(exc.__cause__, _PASSING)
            return _begin_row(request, arm)(failed=str(exc) or type(exc).__name__)

    async def _ask_arm(self, request: ReplayRequest, arm: Arm) -> ReplayRow:
        started = time.perf_counter()
        answer = await self._resources.pipeline.answer(replace(request.asked, arm=arm))
        latency_ms = (time.perf_counter() - started) * 1000.0
        plan, reading = answer.plan, answer.reading
        return _begin_row(request, arm)(
            alignment=self._resources.alignment.measure(answer),
            label_mass=None if reading is None else reading.label_mass,
            readable=answer.is_readable,
            refused=None if answer.text is None else is_refusal(answer.text),
            latency_ms=latency_ms,
            n_prompt_tokens=answer.usage.prompt_tokens,
            n_reply_tokens=answer.usage.completion_tokens,
            steered=plan.steered,
            fell_back=bool(plan.all_fallbacks),
            because="; ".join(fallback.because for fallback in plan.all_fallbacks),
            shown=tuple(exemplar.question.key for exemplar in plan.shown_exemplars),
            **list_known(plan),
        )


def _begin_row(request: ReplayRequest, arm: Arm) -> partial[ReplayRow]:
    """Return a row that says what was asked of whom, and not yet what came of it."""
    return partial(
        ReplayRow,
        request=request.id,
        question=request.question,
        culture=request.culture,
        arm=arm.name,
    )


async def _check_arms(
    resources: Resources, experiment: Experiment, request_set: RequestSet
) -> None:
    """Check for what would fail every answer of an arm, and load the adapters that will answer."""
    served = resources.settings.model
    for arm in experiment.arms:
        if arm.model not in ("", served):
            raise errors.OptionInvalid(f"arm '{arm.name}'", f"model '{arm.model}'", f"'{served}'")
    await resources.vllm.context_tokens(served)
    adapters = {arm.recipe.adapter for arm in experiment.arms} - {NO_ADAPTER}
    catalogue = resources.library.catalogue
    for adapter in sorted(adapters):
        for code in sorted({request.culture for request in request_set.requests}):
            # An adapter for other cultures falls back, as it does for users.
            with suppress(AdapterForOthers):
                async with resources.weights.lease(catalogue[code], adapter):
                    pass
