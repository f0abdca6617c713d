"""One request, top to bottom: who, which arm, evidence, words, weights, answer, reading, record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import replace

from adapters.pool import Lease, WeightsPool
from app.answering.arms import ArmSelector
from app.answering.context import Build, ContextWindow
from app.answering.fallbacks import Planner, shows_exemplars
from app.answering.lookup import EvidenceLookup
from app.answering.plan import (
    LABEL_TOKENS,
    NO_EVIDENCE,
    Answer,
    AnswerRequest,
    ChatTurn,
    Choice,
    FreeText,
    Plan,
    Reply,
    SurveyWords,
    text_request,
    total_usage,
)
from app.answering.recording import Answered, Recorder
from app.errors import CultureConflict, CultureMissing
from app.settings import AnswerSettings
from app.telemetry import Metrics, Stopwatch
from app.vllm.chunks import chunk_text, chunk_usage
from app.vllm.client import VllmClient
from app.vllm.wire import LabelLogprobs, Usage
from prompting.messages import AskedQuestion, Message, Steering, chat_messages, survey_messages
from prompting.reading import Reading, option_orders, read_labels, read_option
from prompting.recipe import Method, Recipe
from retrieval.evidence import Evidence, EvidenceQuery
from survey_data.cultures import Culture, CultureCatalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Scale

# Of a chat, the user's last messages that are looked up together.
N_LOOKED_UP = 3


class Pipeline:
    """Answers requests. One instance serves all of them."""

    def __init__(
        self,
        *,
        catalogue: CultureCatalogue,
        library: SurveyLibrary,
        planner: Planner,
        arms: ArmSelector,
        lookup: EvidenceLookup,
        weights: WeightsPool,
        vllm: VllmClient,
        context: ContextWindow,
        recorder: Recorder,
        metrics: Metrics,
        settings: AnswerSettings,
    ) -> None:
        """Take the parts that the steps use."""
        self.catalogue, self.library, self.settings = catalogue, library, settings
        self._planner, self._arms, self._recorder = planner, arms, recorder
        self.lookup = lookup
        self._weights, self.vllm, self._context = weights, vllm, context
        self.metrics = metrics

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return the answer to a question.

        Raises:
            CultureMissing, CultureUnknown, CultureNotCovered: it is not clear who should answer.
            ExperimentError: the arm of an experiment that is asked for is not to be had.
            AdapterError: the named adapter is not to be had.
            ContextTooSmall: the question alone is longer than the model reads.
            CultureNotShown: only an unsteered answer is left, and that is set to be refused.
            UpstreamError: vLLM could not answer.
        """
        watch = Stopwatch(self.metrics)
        async with self.prepared(request, watch) as (plan, words):
            with watch.step("answer"):
                reply = await self._ask(plan, words, request)
        return await self._finish(request, plan, words, reply, watch)

    async def answer_in_pieces(
        self, request: AnswerRequest
    ) -> AsyncGenerator[Plan | str | Answer, None]:
        """Yield the plan, the pieces of a free-text reply as they come, and last the whole answer.

        Whatever `answer` raises before the model is asked is raised in place of the plan.
        """
        watch = Stopwatch(self.metrics)
        async with self.prepared(request, watch) as (plan, words):
            yield plan
            if words.orders:
                with watch.step("answer"):
                    reply = await self._ask(plan, words, request)
            else:
                pieces: list[str] = []
                usage = Usage(0, 0, 0)
                with watch.step("answer"):
                    stream = self.vllm.stream(text_request(plan, words, request))
                    async with aclosing(stream) as chunks:
                        async for chunk in chunks:
                            usage = chunk_usage(chunk) or usage
                            if piece := chunk_text(chunk):
                                pieces.append(piece)
                                yield piece
                reply = FreeText("".join(pieces), usage)
        yield await self._finish(request, plan, words, reply, watch)

    @asynccontextmanager
    async def prepared(
        self, request: AnswerRequest, watch: Stopwatch
    ) -> AsyncIterator[tuple[Plan, SurveyWords]]:
        """Decide everything before the model is asked, and hold the weights until it has been."""
        self.vllm.check_room()
        with watch.step("culture"):
            if request.culture is None:
                raise CultureMissing()
            culture = self.who(request.culture)
        with watch.step("arm"):
            choice = await self._arms.select(request, culture)
        async with AsyncExitStack() as held:
            held.enter_context(self._answering(choice, culture, watch))
            with watch.step("weights"):
                leased = await held.enter_async_context(self._lease(culture, choice))
            with watch.step("evidence"):
                evidence = await self._evidence(
                    request.question, culture, choice.recipe, leased, seed=request.seed
                )
            with watch.step("words"):
                plan = self._planner.plan(culture, choice, leased, evidence, seed=request.seed)
                plan, words = await self._survey_words(plan, request)
            yield plan, words

    @asynccontextmanager
    async def prepared_chat(
        self, turn: ChatTurn, watch: Stopwatch
    ) -> AsyncIterator[tuple[Plan, tuple[Message, ...]]]:
        """Yield a chat's messages with the culture's evidence put before the caller's own.

        Without a culture they are left as they came. What is looked up is the last user message;
        where nothing is near to it ("Why?"), it and the ones before it together. The weights are
        held for the time of the block. Raises what `answer` does before the model is asked.
        """
        self.vllm.check_room()
        with watch.step("culture"):
            culture = None if turn.culture is None else self.who(turn.culture)
        with watch.step("arm"):
            choice = await self._arms.select(turn, culture)
        async with AsyncExitStack() as held:
            held.enter_context(self._answering(choice, culture, watch))
            with watch.step("weights"):
                leased = await held.enter_async_context(self._lease(culture, choice))
            with watch.step("evidence"):
                evidence = await self._chat_evidence(turn, culture, choice.recipe, leased)
            with watch.step("words"):
                plan = self._planner.plan(culture, choice, leased, evidence, seed=turn.seed)
                plan, prompt = await self._chat_words(plan, turn)
            yield plan, prompt

    async def record_chat(
        self, plan: Plan, turn: ChatTurn, reply: FreeText, watch: Stopwatch
    ) -> tuple[str, ...]:
        """Record that a chat reply was given; return what the client should know of that."""
        latency_ms = watch.total_ms
        with watch.step("record"):
            self._count(plan, readable=True)
            return await self._recorder.record(
                Answered(
                    plan,
                    turn.asker,
                    latency_ms,
                    reply.usage,
                    request=turn.logged(),
                    text=reply.text,
                )
            )

    def record_failure(self, plan: Plan, watch: Stopwatch) -> None:
        """Record that a reply which had begun has failed."""
        self._recorder.record_failure(plan.choice, plan.culture, watch.total_ms)

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

    async def _evidence(
        self, text: str, culture: Culture, recipe: Recipe, leased: Lease, *, seed: int
    ) -> Evidence:
        k = recipe.k if shows_exemplars(recipe, leased) else 0
        evidence = await self.lookup.find(
            EvidenceQuery(text, culture.code, k, recipe.retriever, seed)
        )
        if evidence.nearest_similarity is not None:
            self.metrics.similarity.observe(max(0.0, evidence.nearest_similarity))
        return evidence

    async def _chat_evidence(
        self, turn: ChatTurn, culture: Culture | None, recipe: Recipe, leased: Lease
    ) -> Evidence:
        if culture is None:
            return NO_EVIDENCE
        said = [m.content for m in turn.messages if m.role == "user"] or [""]
        evidence = await self._evidence(said[-1], culture, recipe, leased, seed=turn.seed)
        if evidence.below_floor and len(said) > 1:
            together = "\n".join(said[-N_LOOKED_UP:])
            evidence = await self._evidence(together, culture, recipe, leased, seed=turn.seed)
        return evidence

    async def _chat_words(self, plan: Plan, turn: ChatTurn) -> tuple[Plan, tuple[Message, ...]]:
        if plan.steering.method is Method.PLAIN:
            return plan, turn.messages

        def build(steering: Steering) -> tuple[Message, ...]:
            if steering.method is Method.PLAIN:
                return turn.messages
            return chat_messages(turn.messages, steering)

        # Room is kept for a reply; how long it gets is the client's or vLLM's to say.
        wanted = plan.choice.decoding.max_tokens or turn.max_tokens
        n_reply_tokens = wanted or self.settings.max_tokens
        return await self._fitted(plan, build, n_reply_tokens=n_reply_tokens)

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
            orders = option_orders(len(asked.options), plan.recipe.n_orders, ordinal=ordinal)
            if len(orders) < plan.recipe.n_orders:
                note = f"{len(orders)} orders used: these options have no more that keep the scale"
                plan = replace(plan, warnings=(*plan.warnings, note))

        def build(steering: Steering) -> tuple[Message, ...]:
            return survey_messages(asked, steering)

        wanted = plan.choice.decoding.max_tokens or request.max_tokens
        n_reply_tokens = LABEL_TOKENS if asked.options else wanted
        plan, first = await self._fitted(plan, build, n_reply_tokens=n_reply_tokens)
        others = (survey_messages(asked.reordered(order), plan.steering) for order in orders[1:])
        return plan, SurveyWords(asked, options_from, orders, (first, *others))

    async def _fitted(
        self, plan: Plan, build: Build, *, n_reply_tokens: int
    ) -> tuple[Plan, tuple[Message, ...]]:
        """Return the prompt with as many exemplars, nearest first, as the model's context holds."""
        found = await self._context.fit(
            plan.steering,
            build,
            model=plan.weights.base_model,
            n_reply_tokens=n_reply_tokens,
            bare=self._planner.bare(plan),
        )
        return self._planner.fitted(plan, found), found.messages

    async def _ask(self, plan: Plan, words: SurveyWords, request: AnswerRequest) -> Reply:
        """Return log-probabilities per order, or one reply in text: free, or one of the labels."""
        weights = plan.weights

        def score(prompt: tuple[Message, ...]) -> Coroutine[None, None, LabelLogprobs | None]:
            return self.vllm.score(
                prompt, words.asked.labels, model=weights.model, base_model=weights.base_model
            )

        if words.orders:
            try:
                # One that fails ends the others: nobody would read them.
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(score(prompt)) for prompt in words.prompts]
            except ExceptionGroup as failed:
                # Not `except*`: what that raises Python 3.11.3 and older put into a group again.
                raise failed.exceptions[0] from failed
            readable = tuple(found for task in tasks if (found := task.result()) is not None)
            if len(readable) == len(tasks):
                return readable
        completion = await self.vllm.chat(text_request(plan, words, request))
        return FreeText(completion.text, completion.usage)

    async def _finish(
        self,
        request: AnswerRequest,
        plan: Plan,
        words: SurveyWords,
        reply: Reply,
        watch: Stopwatch,
    ) -> Answer:
        with watch.step("reading"):
            reading, warnings = self._read(words, reply)
        text, usage = reply.text if isinstance(reply, FreeText) else None, total_usage(reply)
        latency_ms = watch.total_ms
        with watch.step("record"):
            self._count(plan, readable=reading is None or not reading.unreadable)
            notes = await self._recorder.record(
                Answered(
                    plan,
                    request.asker,
                    latency_ms,
                    usage,
                    request=request.logged(),
                    words=words,
                    reading=reading,
                    text=text,
                )
            )
        return Answer(
            plan=plan,
            words=words,
            reading=reading,
            text=text,
            usage=usage,
            timings_ms=watch.timings_ms,
            warnings=(*plan.warnings, *warnings, *notes),
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

    def _count(self, plan: Plan, *, readable: bool) -> None:
        steered = str(plan.steered).lower()
        self.metrics.answers.labels(plan.method.value, steered, str(readable).lower()).inc()

    @contextmanager
    def _answering(
        self, choice: Choice, culture: Culture | None, watch: Stopwatch
    ) -> Iterator[None]:
        """Record that there is no answer where the block fails, or its client leaves."""
        try:
            yield
        except BaseException:
            self._recorder.record_failure(choice, culture, watch.total_ms)
            raise

    def _lease(self, culture: Culture | None, choice: Choice) -> AbstractAsyncContextManager[Lease]:
        """Hold the weights of an arm; one that nobody asked for by name falls back to others."""
        return self._weights.lease(
            culture, choice.recipe.adapter, optional=choice.adapter_is_optional
        )
