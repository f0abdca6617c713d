"""Writes the prompts of a request, as many exemplars in them as the model's context holds."""

from __future__ import annotations

from dataclasses import replace

from app.answering.context import Build, ContextWindow
from app.answering.plan import NO_WORDS, Plan, Words
from app.answering.requests import AnswerRequest, ChatTurn, Request
from app.errors import ContextTooSmall, CultureNotShown, UpstreamError
from app.vllm.client import VllmClient
from prompting.labels import LabelScheme
from prompting.messages import Message, Steering, chat_messages, survey_messages
from prompting.reading import option_orders
from prompting.recipe import Method

# Room for a label in a tokenizer that has no token of its own for it.
LABEL_TOKENS = 4


class PromptWriter:
    """Turns a plan into the messages that the model is sent."""

    def __init__(self, vllm: VllmClient, context: ContextWindow, *, n_reply_tokens: int) -> None:
        """Take what knows the model's tokens; `n_reply_tokens` are kept for a chat's reply."""
        self._vllm, self._context, self._n_reply_tokens = vllm, context, n_reply_tokens

    async def write(self, plan: Plan, request: Request) -> tuple[Plan, Words]:
        """Return the prompts, and the plan with what they could hold.

        Raises:
            ContextTooSmall: the request alone is longer than the model reads.
            CultureNotShown: only an unsteered answer is left, and that is set to be refused.
            UpstreamError: vLLM does not tell how much the model reads.
        """
        if not plan.asks_model:
            return plan, NO_WORDS
        if isinstance(request, ChatTurn):
            return await self._write_chat(plan, request)
        try:
            return await self._write_question(plan, request)
        except (ContextTooSmall, CultureNotShown, UpstreamError) as exc:
            if not plan.is_optional:
                raise
            return plan.leave_out_model(str(exc)), NO_WORDS

    async def _write_question(self, plan: Plan, request: AnswerRequest) -> tuple[Plan, Words]:
        orders: tuple[tuple[int, ...], ...] = ()
        plan = await self._label(plan)
        asked = plan.asked.question
        if asked.options:
            orders = option_orders(
                len(asked.options), plan.recipe.n_orders, ordinal=plan.asked.ordinal
            )
            if len(orders) < plan.recipe.n_orders:
                note = f"{len(orders)} orders used: these options have no more that keep the scale"
                plan = replace(plan, warnings=(*plan.warnings, note))
        free = plan.choice.decoding.max_tokens or request.max_tokens
        plan, first = await self._fit(
            plan,
            lambda steering: survey_messages(asked, steering),
            n_reply_tokens=LABEL_TOKENS if asked.options else free,
        )
        others = (survey_messages(asked.reordered(order), plan.steering) for order in orders[1:])
        return plan, Words(orders, (first, *others))

    async def _label(self, plan: Plan) -> Plan:
        """Return the plan with labels that the model scores; numbers where it scores none."""
        asked = plan.asked.question
        if not asked.options:
            return plan
        # An adapter has the tokens of its base.
        scheme = await self._vllm.choose_labels(plan.weights.base_model, asked)
        asked = asked.labelled(scheme or LabelScheme.NUMBERS)
        return replace(plan, asked=replace(plan.asked, question=asked))

    async def _write_chat(self, plan: Plan, turn: ChatTurn) -> tuple[Plan, Words]:
        """Put the culture's evidence before the caller's own words; none is left without one."""
        messages = turn.chat.messages

        def build(steering: Steering) -> tuple[Message, ...]:
            is_plain = steering.method is Method.PLAIN
            return messages if is_plain else chat_messages(messages, steering)

        prompt = messages
        if plan.steering.method is not Method.PLAIN:
            # Room is kept for a reply; how long it gets is the client's or vLLM's to say.
            wanted = plan.choice.decoding.max_tokens or turn.chat.max_tokens
            plan, prompt = await self._fit(
                plan, build, n_reply_tokens=wanted or self._n_reply_tokens
            )
        return plan, Words((), (prompt,))

    async def _fit(
        self, plan: Plan, build: Build, *, n_reply_tokens: int
    ) -> tuple[Plan, tuple[Message, ...]]:
        fitted = await self._context.fit(
            plan.steering,
            build,
            model=plan.weights.base_model,
            n_reply_tokens=n_reply_tokens,
            bare=plan.bare,
        )
        return plan.shorten(fitted.steering, budget_tokens=fitted.budget), fitted.messages
