"""What is recorded of an answer once it has been given, without its text unless that is wanted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypedDict

from app.answering.alignment import PeopleAlignment
from app.answering.plan import Answer, Choice, Plan
from app.answering.requests import Request
from app.telemetry import Stopwatch
from estimation.source import Source
from experiments.definition import DAY_S
from experiments.events import AnswerText, Exposure, Receipt
from experiments.unit import UnitHasher
from prompting.refusal import is_refusal
from survey_data.cultures import Culture

# Of an answer outside experiments: as long as an experiment waits for outcomes by default.
OUTCOME_WINDOW_S = 7 * DAY_S
NOT_YET = "this answer is not recorded yet: the store is slow; feedback on it may have to wait"
NEVER = "this answer was not recorded: the store takes nothing; feedback on it will be refused"


class ExposureStore(Protocol):
    """Where exposures are kept; `experiments.stores.event_store.EventStore` is one."""

    async def record(self, exposure: Exposure, text: AnswerText | None = None) -> Receipt:
        """Keep an exposure within a bound. Raises nothing."""
        ...


@dataclass
class Watched:
    """A request on its way; `plan` as soon as there is one."""

    plan: Plan | None = None


class Recorder:
    """Records answers, each as an exposure to the arm that gave it."""

    def __init__(
        self,
        store: ExposureStore | None,
        hasher: UnitHasher | None,
        *,
        alignment: PeopleAlignment,
        texts: Literal["none", "consented", "all"] = "none",
    ) -> None:
        """Take where exposures go; without a store or what hashes units, they go nowhere."""
        self._store, self._hasher = store, hasher
        self._alignment, self._texts = alignment, texts
        self._unwaited: set[asyncio.Task[Receipt]] = set()

    async def record(
        self, answer: Answer, request: Request, *, latency_ms: float
    ) -> tuple[str, ...]:
        """Record an answer; return what its client should know of that, nothing where all is well.

        It takes as long as the store's bound at most, and never raises for the store's sake.
        """
        if self._store is None or self._hasher is None:
            return ()
        exposure = self._make_exposure(answer, self._hasher, latency_ms)
        receipt = await self._store.record(exposure, self._keep_text(answer, request, exposure))
        if receipt is Receipt.DROPPED:
            return (NEVER,)
        # Feedback waits for what is late here. Through another gateway it can't, and there is one
        # only where arms are compared.
        is_told = receipt is Receipt.LATE and bool(exposure.experiment)
        return (NOT_YET,) if is_told else ()

    @contextmanager
    def watch(self, choice: Choice, culture: Culture | None, watch: Stopwatch) -> Iterator[Watched]:
        """Record that there is no answer where the block fails, or its client leaves."""
        watched = Watched()
        try:
            yield watched
        except BaseException:
            self._record_failure(choice, culture, watched.plan, watch.total_ms)
            raise

    def _record_failure(
        self, choice: Choice, culture: Culture | None, plan: Plan | None, latency_ms: float
    ) -> None:
        """Record, without waiting, that the arm of an experiment gave its unit no answer.

        Else arms would be compared on the answers that they did give.
        """
        if self._store is None or self._hasher is None or choice.experiment is None:
            return
        exposure = _start_exposure(choice, culture, self._hasher)
        if plan is not None:
            exposure = replace(exposure, **list_known(plan))
        failure = replace(exposure, latency_ms=latency_ms, failed=True)
        recording = asyncio.create_task(self._store.record(failure))
        # Nobody else holds it while it waits for the store.
        self._unwaited.add(recording)
        recording.add_done_callback(self._unwaited.discard)

    def _make_exposure(self, answer: Answer, hasher: UnitHasher, latency_ms: float) -> Exposure:
        plan, reading = answer.plan, answer.reading
        return replace(
            _start_exposure(plan.choice, plan.culture, hasher),
            **list_known(plan),
            method=plan.method,
            model=plan.weights.base_model,
            steered=plan.steered,
            fallbacks=tuple(f"{wanted}: {because}" for wanted, because in plan.all_fallbacks),
            adapter=plan.weights.adapter or "",
            readable=answer.is_readable,
            refused=None if answer.text is None else is_refusal(answer.text),
            label_mass=None if reading is None else reading.label_mass,
            alignment=self._alignment.measure(answer),
            n_prompt_tokens=answer.usage.prompt_tokens,
            n_reply_tokens=answer.usage.completion_tokens,
            latency_ms=latency_ms,
        )

    def _keep_text(self, answer: Answer, request: Request, exposure: Exposure) -> AnswerText | None:
        consented = request.asker.consented
        if self._texts == "none" or (self._texts == "consented" and not consented):
            return None
        return AnswerText(
            answer_id=exposure.answer_id,
            unit=exposure.unit,
            culture=exposure.culture,
            time_ms=exposure.time_ms,
            consented=consented,
            request=json.dumps(request.dump()),
            answer=_write_out(answer),
        )


def _start_exposure(choice: Choice, culture: Culture | None, hasher: UnitHasher) -> Exposure:
    """Return who was assigned what; what came of it is left open."""
    experiment, assignment, arm = choice.experiment, choice.assignment, choice.arm
    window_s = OUTCOME_WINDOW_S if experiment is None else experiment.outcome_window_s
    now_ms = time.time_ns() // 1_000_000
    return Exposure(
        answer_id=choice.answer_id,
        experiment="" if experiment is None else experiment.name,
        revision=0 if experiment is None else experiment.revision,
        arm="" if arm is None else arm.name,
        arm_id=choice.recipe.id if arm is None else arm.id,
        unit=hasher.hash(choice.unit),
        unit_kind=choice.unit.kind,
        culture="" if culture is None else culture.code,
        time_ms=now_ms,
        outcome_until_ms=now_ms + round(window_s * 1000.0),
        method=choice.recipe.method,
        model="",
        steered=False,
        overridden=assignment is not None and assignment.overridden,
        settled=assignment is None or assignment.settled or assignment.overridden,
    )


class Known(TypedDict):
    """What was known without a model and what was used of it, as an `Exposure` has it."""

    source: Source
    best_source: Source
    model_asked: bool
    question_key: str
    similarity: float | None


def list_known(plan: Plan) -> Known:
    """Return what was known when a plan was made."""
    same = plan.evidence.same_question
    return Known(
        source=plan.source,
        best_source=plan.best_source,
        model_asked=plan.asks_model,
        question_key="" if same is None else same.key,
        similarity=plan.evidence.similarity,
    )


def _write_out(answer: Answer) -> str:
    """Return the answer as text: what was written, or the option that was chosen."""
    options = answer.plan.asked.question.options
    if answer.plan.estimate is not None and options:
        return options[answer.plan.estimate.option]
    if answer.text is not None:
        return answer.text
    if answer.reading is None or answer.reading.option is None:
        return ""
    return options[answer.reading.option]
