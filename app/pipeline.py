"""One request, top to bottom: who, which arm, evidence, words, weights, answer, reading, record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace

from adapters.pool import ServedWeights, WeightsPool
from app.context import Build, ContextWindow
from app.errors import CultureConflict, CultureMissing, RetrievalBusy, UpstreamError
from app.plan import (
    LABEL_TOKENS,
    NO_EVIDENCE,
    Answer,
    AnswerRequest,
    ArmRequest,
    FreeText,
    Plan,
    Reply,
    SurveyWords,
    few_exemplars,
    text_request,
    total_usage,
)
from app.settings import AnswerSettings
from app.telemetry import Metrics, Stopwatch
from app.vllm_chunks import chunk_text, chunk_usage
from app.vllm_client import VllmClient
from app.vllm_wire import Usage
from evaluation.reading import Reading, option_orders, read_labels, read_option
from experiments.arm import Arm
from experiments.store import Exposure, ExposureStore
from retrieval.evidence import Evidence, EvidenceFinder, Wanted
from retrieval.prompting import (
    AskedQuestion,
    CultureComparison,
    Message,
    Method,
    Steering,
    chat_messages,
    survey_messages,
)
from survey_data.cultures import Culture, CultureCatalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Scale
from survey_data.similarity import CultureSimilarity

# Of a chat, the user's last messages that are looked up together.
N_LOOKED_UP = 3


class Pipeline:
    """Answers requests. One instance serves all of them."""

    def __init__(
        self,
        *,
        catalogue: CultureCatalogue,
        library: SurveyLibrary,
        similarity: CultureSimilarity,
        finder: EvidenceFinder,
        threads: Executor,
        weights: WeightsPool,
        vllm: VllmClient,
        context: ContextWindow,
        store: ExposureStore,
        metrics: Metrics,
        settings: AnswerSettings,
        max_looking: int,
    ) -> None:
        """Take the parts that the steps use.

        `threads` runs what would block the event loop; at most `max_looking` requests may look
        for evidence there or wait to.
        """
        self.catalogue, self.library, self.settings = catalogue, library, settings
        self._similarity, self._finder, self._threads = similarity, finder, threads
        self._weights, self.vllm, self._context = weights, vllm, context
        self._store, self.metrics = store, metrics
        self._max_looking, self._n_looking = max_looking, 0

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return the answer to a question.

        Raises:
            CultureMissing, CultureUnknown, CultureNotCovered: it is not clear who should answer.
            ContextTooSmall: the question alone is longer than the model reads.
            UpstreamError: vLLM could not answer.
        """
        watch = Stopwatch(self.metrics)
        plan, words = await self.prepare(request, watch)
        with watch.step("answer"):
            reply = await self._ask(plan, words, request)
        return self._finish(request, plan, words, reply, watch)

    async def answer_prepared(
        self, request: AnswerRequest, plan: Plan, words: SurveyWords, watch: Stopwatch
    ) -> AsyncGenerator[str | Answer, None]:
        """Yield the pieces of a free-text reply as they come, and last the whole answer."""
        if words.orders:
            with watch.step("answer"):
                reply = await self._ask(plan, words, request)
            yield self._finish(request, plan, words, reply, watch)
            return
        pieces: list[str] = []
        usage = Usage(0, 0, 0)
        with watch.step("answer"):
            async with aclosing(self.vllm.stream(text_request(plan, words, request))) as chunks:
                async for chunk in chunks:
                    usage = chunk_usage(chunk) or usage
                    if piece := chunk_text(chunk):
                        pieces.append(piece)
                        yield piece
        yield self._finish(request, plan, words, FreeText("".join(pieces), usage), watch)

    async def prepare(self, request: AnswerRequest, watch: Stopwatch) -> tuple[Plan, SurveyWords]:
        """Return everything that is decided before the model is asked."""
        self.vllm.check_room()
        with watch.step("culture"):
            if request.culture is None:
                raise CultureMissing()
            culture = self.who(request.culture)
        with watch.step("arm"):
            arm = self._arm(request.arm)
        with watch.step("evidence"):
            evidence = await self._evidence(request.question, culture, arm, seed=request.seed)
        with watch.step("weights"):
            weights = self._weights.weights_for(culture)
        with watch.step("words"):
            plan = self._plan(culture, arm, evidence, weights, seed=request.seed)
            plan, words = await self._survey_words(plan, request)
        return plan, words

    async def prepare_chat(
        self,
        messages: Sequence[Message],
        *,
        culture_text: str | None,
        arm_request: ArmRequest,
        n_reply_tokens: int,
        watch: Stopwatch,
        seed: int = 0,
    ) -> tuple[Plan, tuple[Message, ...]]:
        """Return a chat's messages with the culture's evidence put before the caller's own.

        Without a culture they are returned as they came. What is looked up is the last user
        message; where nothing is near to it ("Why?"), it and the ones before it together.
        """
        self.vllm.check_room()
        with watch.step("culture"):
            culture = None if culture_text is None else self.who(culture_text)
        with watch.step("arm"):
            arm = self._arm(arm_request)
        with watch.step("evidence"):
            evidence = NO_EVIDENCE
            if culture is not None:
                said = [m.content for m in messages if m.role == "user"] or [""]
                evidence = await self._evidence(said[-1], culture, arm, seed=seed)
                if evidence.below_floor and len(said) > 1:
                    together = "\n".join(said[-N_LOOKED_UP:])
                    evidence = await self._evidence(together, culture, arm, seed=seed)
        with watch.step("weights"):
            weights = self._weights.weights_for(culture)
        with watch.step("words"):
            plan = self._plan(culture, arm, evidence, weights, seed=seed)
            if not plan.steered:
                return plan, tuple(messages)

            def build(steering: Steering) -> tuple[Message, ...]:
                return chat_messages(messages, steering)

            return await self._fitted(plan, build, n_reply_tokens=n_reply_tokens)

    def record_chat(self, plan: Plan, unit: str) -> None:
        """Record that a chat reply was given."""
        self._record(plan, unit, readable=True)

    def named_once(self, named: Sequence[str | None]) -> str | None:
        """Return the one culture that a request names in these places, None where it names none.

        Raises:
            CultureUnknown: one of several is no culture.
            CultureConflict: they are different cultures.
        """
        given = [text for text in named if text is not None]
        if len(given) > 1 and len({self.catalogue.resolve(text).code for text in given}) > 1:
            raise CultureConflict(given)
        return given[0] if given else None

    def who(self, text: str) -> Culture:
        """Return the culture that `text` names, if a loaded survey asked its people."""
        culture = self.catalogue.resolve(text)
        self.library.cover(culture.code)
        return culture

    async def evidence(self, wanted: Wanted) -> Evidence:
        """Return the evidence for `wanted`, found in a thread.

        Raises:
            RetrievalBusy: too many requests wait for theirs already.
        """
        if self._n_looking >= self._max_looking:
            raise RetrievalBusy(self._n_looking)
        self._n_looking += 1
        found = asyncio.get_running_loop().run_in_executor(self._threads, self._finder.find, wanted)
        # Counted until the thread is done, which a cancelled request does not stop.
        found.add_done_callback(self._looked)
        return await found

    def _looked(self, found: asyncio.Future[Evidence]) -> None:
        self._n_looking -= 1

    def _arm(self, request: ArmRequest) -> Arm:
        defaults = self.settings
        return Arm(
            method=request.method or defaults.method,
            k=request.k or defaults.k,
            style=request.style or defaults.exemplar_style,
            retriever=request.retriever or defaults.retriever,
            n_orders=request.n_orders,
        )

    async def _evidence(self, text: str, culture: Culture, arm: Arm, *, seed: int) -> Evidence:
        k = arm.k if arm.method.shows_exemplars else 0
        evidence = await self.evidence(Wanted(text, culture.code, k, arm.retriever, seed))
        if evidence.nearest_similarity is not None:
            self.metrics.similarity.observe(max(0.0, evidence.nearest_similarity))
        return evidence

    def _plan(
        self,
        culture: Culture | None,
        arm: Arm,
        evidence: Evidence,
        weights: ServedWeights,
        *,
        seed: int,
    ) -> Plan:
        reason = self._not_steered_because(culture, arm, evidence)
        steering = Steering(Method.PLAIN)
        if reason is None and culture is not None:
            steering = Steering(
                arm.method,
                culture=culture,
                comparison=self._comparison(culture) if arm.method.compares_cultures else None,
                exemplars=evidence.exemplars,
                style=arm.style,
                seed=seed,
            )
        return Plan(
            id=f"ans_{uuid.uuid4().hex}",
            culture=culture,
            arm=arm,
            evidence=evidence,
            steering=steering,
            not_steered_because=reason,
            weights=weights,
            warnings=few_exemplars(arm, evidence) if reason is None else (),
        )

    def _not_steered_because(
        self, culture: Culture | None, arm: Arm, evidence: Evidence
    ) -> str | None:
        if culture is None:
            return "no culture was asked for"
        if arm.method is Method.PLAIN:
            return "method 'plain' does not show the culture"
        if arm.method.shows_exemplars and not evidence.exemplars:
            nearest = evidence.nearest_similarity
            found = "there is none" if nearest is None else f"the nearest has {nearest:.2f}"
            return (
                f"no survey question of {culture.name} is near enough: {found}, "
                f"at least {self.settings.similarity_floor:.2f} is needed"
            )
        return None

    def _comparison(self, culture: Culture) -> CultureComparison:
        most, least = self._similarity.comparison(culture.code)
        return CultureComparison(
            tuple(self.catalogue[code] for code in most),
            tuple(self.catalogue[code] for code in least),
        )

    async def _survey_words(self, plan: Plan, request: AnswerRequest) -> tuple[Plan, SurveyWords]:
        same = plan.evidence.same_question
        asked, options_from, ordinal = AskedQuestion(request.question), None, True
        if request.options:
            asked, options_from = replace(asked, options=request.options), "request"
        elif same is not None:
            asked = AskedQuestion(request.question, same.options, same.first_number)
            options_from, ordinal = same.key, same.scale is not Scale.NOMINAL
        orders: tuple[tuple[int, ...], ...] = ()
        if asked.options:
            orders = option_orders(len(asked.options), plan.arm.n_orders, ordinal=ordinal)
            if len(orders) < plan.arm.n_orders:
                note = f"{len(orders)} orders used: these options have no more that keep the scale"
                plan = replace(plan, warnings=(*plan.warnings, note))

        def build(steering: Steering) -> tuple[Message, ...]:
            return survey_messages(asked, steering)

        n_reply_tokens = LABEL_TOKENS if asked.options else request.max_tokens
        plan, first = await self._fitted(plan, build, n_reply_tokens=n_reply_tokens)
        others = (survey_messages(asked.reordered(order), plan.steering) for order in orders[1:])
        return plan, SurveyWords(asked, options_from, orders, (first, *others))

    async def _fitted(
        self, plan: Plan, build: Build, *, n_reply_tokens: int
    ) -> tuple[Plan, tuple[Message, ...]]:
        """Return the prompt with as many exemplars, nearest first, as the model's context holds."""
        fitted = await self._context.fit(
            plan.steering, build, model=plan.weights.model, n_reply_tokens=n_reply_tokens
        )
        n_dropped = len(plan.steering.exemplars) - len(fitted.steering.exemplars)
        if n_dropped:
            note = f"{n_dropped} exemplars left out: the model reads {fitted.budget} tokens"
            plan = replace(
                plan,
                steering=fitted.steering,
                warnings=(*plan.warnings, note),
                not_steered_because=None if fitted.steering.exemplars else note,
            )
        return plan, fitted.messages

    async def _ask(self, plan: Plan, words: SurveyWords, request: AnswerRequest) -> Reply:
        """Return log-probabilities per order, or one reply in text: free, or one of the labels."""
        model = plan.weights.model
        if words.orders:
            try:
                # One that fails ends the others: nobody would read them.
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self.vllm.score(prompt, words.asked.labels, model=model))
                        for prompt in words.prompts
                    ]
            except* UpstreamError as failed:
                raise failed.exceptions[0] from failed
            readable = tuple(score for task in tasks if (score := task.result()) is not None)
            if len(readable) == len(tasks):
                return readable
        completion = await self.vllm.chat(text_request(plan, words, request))
        return FreeText(completion.text, completion.usage)

    def _finish(
        self,
        request: AnswerRequest,
        plan: Plan,
        words: SurveyWords,
        reply: Reply,
        watch: Stopwatch,
    ) -> Answer:
        with watch.step("reading"):
            reading, warnings = self._read(words, reply)
        with watch.step("record"):
            self._record(plan, request.unit, readable=reading is None or not reading.unreadable)
        return Answer(
            plan=plan,
            words=words,
            reading=reading,
            text=reply.text if isinstance(reply, FreeText) else None,
            usage=total_usage(reply),
            timings_ms=watch.timings_ms,
            warnings=(*plan.warnings, *warnings),
        )

    def _read(self, words: SurveyWords, reply: Reply) -> tuple[Reading | None, tuple[str, ...]]:
        asked = words.asked
        if not isinstance(reply, FreeText):
            reading = read_labels(
                [score.logprobs for score in reply],
                words.orders,
                min_label_mass=self.settings.min_label_mass,
            )
            return reading, (reading.reason,) if reading.reason else ()
        if not words.orders:
            return None, ()
        reading = read_option(reply.text, asked.options, first_number=asked.first_number)
        note = "this model's labels are several tokens: one reply was read, without probabilities"
        return reading, (note, reading.reason) if reading.reason else (note,)

    def _record(self, plan: Plan, unit: str, *, readable: bool) -> None:
        steered = str(plan.steered).lower()
        method = plan.steering.method.value
        self.metrics.answers.labels(method, steered, str(readable).lower()).inc()
        self._store.append(
            Exposure(
                answer_id=plan.id,
                arm=plan.arm.id,
                unit=unit,
                culture="" if plan.culture is None else plan.culture.code,
                model=plan.weights.model,
                steered=plan.steered,
            )
        )
