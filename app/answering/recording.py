"""What is recorded of an answer once it has been given, without its text unless that is wanted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from app.answering.alignment import PeopleAlignment
from app.answering.plan import Asker, Choice, Plan, SurveyWords
from app.vllm.wire import Usage
from experiments.definition import DAY_S
from experiments.events import AnswerText, Exposure, Receipt
from experiments.unit import UnitHasher
from prompting.reading import Reading
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


@dataclass(frozen=True, slots=True)
class Answered:
    """What there is to say of an answer.

    Attributes:
        words: of a survey question; None for a chat.
        text: what was answered in text, None for an option alone.
        request: what was asked, as it can be asked again.
    """

    plan: Plan
    asker: Asker
    latency_ms: float
    usage: Usage
    request: Mapping[str, object]
    words: SurveyWords | None = None
    reading: Reading | None = None
    text: str | None = None


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

    async def record(self, answered: Answered) -> tuple[str, ...]:
        """Record an answer; return what its client should know of that, nothing where all is well.

        It takes as long as the store's bound at most, and never raises for the store's sake.
        """
        if self._store is None or self._hasher is None:
            return ()
        exposure = self._exposure(answered, self._hasher)
        receipt = await self._store.record(exposure, self._text(answered, exposure))
        if receipt is Receipt.RECORDED:
            return ()
        return (NOT_YET,) if receipt is Receipt.LATE else (NEVER,)

    def record_failure(self, choice: Choice, culture: Culture | None, latency_ms: float) -> None:
        """Record, without waiting, that the arm of an experiment gave its unit no answer.

        Else arms would be compared on the answers that they did give.
        """
        if self._store is None or self._hasher is None or choice.experiment is None:
            return
        exposure = replace(_exposed(choice, culture, self._hasher), latency_ms=latency_ms)
        recording = asyncio.create_task(self._store.record(replace(exposure, failed=True)))
        # Nobody else holds it while it waits for the store.
        self._unwaited.add(recording)
        recording.add_done_callback(self._unwaited.discard)

    def _exposure(self, answered: Answered, hasher: UnitHasher) -> Exposure:
        plan, reading = answered.plan, answered.reading
        return replace(
            _exposed(plan.choice, plan.culture, hasher),
            method=plan.method,
            model=plan.weights.base_model,
            steered=plan.steered,
            fallbacks=tuple(f"{left.method}: {left.because}" for left in plan.fallbacks),
            adapter=plan.weights.adapter or "",
            readable=reading is None or not reading.unreadable,
            refused=None if answered.text is None else is_refusal(answered.text),
            label_mass=None if reading is None else reading.label_mass,
            alignment=self._alignment.of(plan, answered.words, reading),
            latency_ms=answered.latency_ms,
            n_prompt_tokens=answered.usage.prompt_tokens,
            n_reply_tokens=answered.usage.completion_tokens,
        )

    def _text(self, answered: Answered, exposure: Exposure) -> AnswerText | None:
        consented = answered.asker.consented
        if self._texts == "none" or (self._texts == "consented" and not consented):
            return None
        return AnswerText(
            answer_id=exposure.answer_id,
            unit=exposure.unit,
            culture=exposure.culture,
            time_ms=exposure.time_ms,
            consented=consented,
            request=json.dumps(answered.request),
            answer=_said(answered),
        )


def _exposed(choice: Choice, culture: Culture | None, hasher: UnitHasher) -> Exposure:
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


def _said(answered: Answered) -> str:
    """Return the answer as text: what was written, or the option that was chosen."""
    words, reading = answered.words, answered.reading
    if answered.text is not None:
        return answered.text
    if words is None or reading is None or reading.option is None:
        return ""
    return words.asked.options[reading.option]
