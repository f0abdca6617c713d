"""One request, top to bottom: who, which way, evidence, estimate, words, answer, pool, record."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from adapters.pool import WeightsPool
from app.answering.arms import ArmSelector
from app.answering.asked import find_asked
from app.answering.asking import ModelAsker
from app.answering.estimating import EstimateFinder
from app.answering.fallbacks import FallbackPlanner
from app.answering.language import speak
from app.answering.lookup import EvidenceLookup
from app.answering.plan import NO_REPLY, Answer, Event, Plan, Reply, Words
from app.answering.pooling import Pooler
from app.answering.recording import Recorder
from app.answering.reply import read_reply
from app.answering.requests import AnswerRequest, Request
from app.answering.words import PromptWriter
from app.errors import CultureMissing
from app.telemetry import Metrics, Stopwatch
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary


class Pipeline:
    """Answers questions and chats. One instance serves all requests.

    Raises, from `answer` and `stream` alike:
        CultureMissing, CultureUnknown, CultureNotCovered: it is not clear who should answer.
        ExperimentError: the arm of an experiment that is asked for is unavailable.
        AdapterError: the named adapter is unavailable.
        ContextTooSmall: the request alone is longer than the model reads.
        SourceUnavailable: an answer is wanted from a source that has none.
        CultureNotShown: only an unsteered answer is left, and that is set to be refused.
        UpstreamError: vLLM could not answer.
    """

    def __init__(
        self,
        *,
        library: SurveyLibrary,
        arms: ArmSelector,
        weights: WeightsPool,
        lookup: EvidenceLookup,
        estimates: EstimateFinder,
        fallbacks: FallbackPlanner,
        writer: PromptWriter,
        asker: ModelAsker,
        pooler: Pooler,
        recorder: Recorder,
        metrics: Metrics,
        min_label_mass: float,
    ) -> None:
        """Take the parts that the steps use."""
        self._library, self._arms, self._weights, self._lookup = library, arms, weights, lookup
        self._estimates, self._fallbacks = estimates, fallbacks
        self._writer, self._asker, self._pooler = writer, asker, pooler
        self._recorder, self._metrics = recorder, metrics
        self._min_label_mass = min_label_mass

    async def answer(self, request: Request) -> Answer:
        """Return the last event of `stream`."""
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("a stream ends with its answer")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Yield the plan, the pieces of a streamed text as they come, and last the whole answer.

        Everything that can be refused before the model is asked is raised in place of the plan.
        """
        watch = Stopwatch(self._metrics)
        async with AsyncExitStack() as held:
            culture = watch.run("culture", lambda: self._find_culture(request))
            choice = await watch.time("arm", self._arms.select(request, culture))
            watched = held.enter_context(self._recorder.watch(choice, culture, watch))
            lease = self._weights.lease(culture, choice.recipe.adapter, optional=choice.is_by_arm)
            leased = await watch.time("weights", held.enter_async_context(lease))
            evidence = await watch.time(
                "evidence", self._lookup.find_for(request, culture, choice.recipe, leased)
            )
            choice = speak(choice, request, evidence, leased)
            asked = find_asked(request, evidence)
            finding = self._estimates.find(request, culture, choice, asked, evidence)
            known = await watch.time("estimate", finding)
            plan = self._fallbacks.plan(request, culture, choice, leased, evidence, asked, known)
            watched.plan = plan
            self._asker.check_room(plan)
            plan, words = await watch.time("words", self._writer.write(plan, request))
            yield plan
            said = await held.enter_async_context(aclosing(self._asker.ask(plan, words, request)))
            reply = NO_REPLY
            with watch.step("answer"):
                async for part in said:
                    if isinstance(part, Reply):
                        reply = part
                    else:
                        yield part
        answer = watch.run("reading", lambda: self._read(plan, words, reply))
        answer = watch.run("pool", lambda: self._pooler.pool(answer))
        recording = self._recorder.record(answer, request, latency_ms=watch.total_ms)
        notes = await watch.time("record", recording)
        for delta in reply.ending:
            yield delta
        warnings = (*answer.warnings, *notes)
        yield replace(answer, warnings=warnings, timings_ms=watch.timings_ms)

    def _read(self, plan: Plan, words: Words, reply: Reply) -> Answer:
        answer = read_reply(plan, words, reply, min_label_mass=self._min_label_mass)
        method = plan.method.value if plan.asks_model else "none"
        self._metrics.count_answer(method, steered=plan.steered, readable=answer.is_readable)
        return answer

    def _find_culture(self, request: Request) -> Culture | None:
        """Return who should answer; only a chat may name nobody."""
        if request.culture is not None:
            return self._library.find_culture(request.culture)
        if isinstance(request, AnswerRequest):
            raise CultureMissing()
        return None
