"""Asks the model what a plan says, for label scores or for text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from app.answering.plan import Delta, Plan, Reply, Words
from app.answering.requests import Request
from app.answering.words import LABEL_TOKENS
from app.errors import UpstreamError, UpstreamInvalid
from app.logs import request_id
from app.vllm.chunks import chunk_text, chunk_usage, count_ended
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest, LabelLogprobs, Usage
from prompting.messages import Message

T = TypeVar("T")
NO_USAGE = Usage(0, 0, 0)


class ModelAsker:
    """Asks vLLM. Every call carries the id under which the request is logged."""

    def __init__(self, vllm: VllmClient) -> None:
        self._vllm = vllm

    def check_room(self, plan: Plan) -> None:
        """Raise UpstreamBusy where a request would be turned away, before work is put into it."""
        if plan.asks_model and not plan.is_optional:
            self._vllm.check_room()

    async def ask(
        self, plan: Plan, words: Words, request: Request
    ) -> AsyncGenerator[Delta | Reply, None]:
        """Yield the pieces of a streamed reply as they come, and last the whole reply.

        Nothing where no model is asked. Where options are asked for, that is the log-probabilities
        of their labels, or a text limited to the labels where the model has no token of its own
        for one. Where the model is optional and cannot answer, the reply says why.
        """
        if not words.prompts:
            return
        try:
            async with aclosing(self._ask(plan, words, request)) as parts:
                async for part in parts:
                    yield part
        except UpstreamError as exc:
            if not plan.is_optional:
                raise
            yield Reply(NO_USAGE, missing_because=str(exc))

    async def _ask(
        self, plan: Plan, words: Words, request: Request
    ) -> AsyncGenerator[Delta | Reply, None]:
        scores = await self._score(plan, words) if words.orders else None
        if scores is not None:
            yield Reply(_add_usage(scores), scores=scores)
            return
        chat = make_chat_request(plan, words, request)
        if request.streams and not words.orders:
            async with aclosing(self._stream(chat, plan)) as events:
                async for event in events:
                    yield event
            return
        completion = await self._vllm.chat(
            chat, request_id=request_id.get() or None, culture=_culture_code(plan)
        )
        yield Reply(completion.usage, text=completion.text, completion=completion)

    async def _score(self, plan: Plan, words: Words) -> tuple[LabelLogprobs, ...] | None:
        """Return the labels' log-probabilities per order, None where a label is several tokens."""
        current = request_id.get() or None

        def score(
            place: int, prompt: tuple[Message, ...]
        ) -> Coroutine[None, None, LabelLogprobs | None]:
            return self._vllm.score(
                prompt,
                plan.asked.question.labels,
                model=plan.model,
                base_model=plan.weights.base_model,
                # A server may hold two calls of one id to be the same.
                request_id=f"{current}-{place}" if current and place else current,
                culture=_culture_code(plan),
            )

        try:
            # One that fails ends the others: nobody would read them.
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(score(*of)) for of in enumerate(words.prompts)]
        except ExceptionGroup as failed:
            # Not `except*`: what that raises Python 3.11.3 and older put into a group again.
            raise failed.exceptions[0] from failed
        scores = tuple(found for task in tasks if (found := task.result()) is not None)
        return scores if len(scores) == len(tasks) else None

    async def _stream(self, chat: ChatRequest, plan: Plan) -> AsyncGenerator[Delta | Reply, None]:
        pieces: list[str] = []
        ending: list[Delta] = []
        usage, n_left = NO_USAGE, chat.n
        current, culture = request_id.get() or None, _culture_code(plan)
        streaming = self._vllm.stream(chat, request_id=current, culture=culture)
        async with aclosing(streaming) as chunks:
            async for chunk in chunks:
                n_left -= count_ended(chunk) if pieces else 0
                pieces.append(chunk_text(chunk))
                usage = chunk_usage(chunk) or usage
                delta = Delta(pieces[-1], chunk)
                # Some clients leave with the last word, and by then it has to be recorded.
                if n_left <= 0:
                    ending.append(delta)
                else:
                    yield delta
        if not pieces:
            raise UpstreamInvalid("an empty stream", expected="chunks of an answer")
        yield Reply(usage, text="".join(pieces), ending=tuple(ending))


def make_chat_request(plan: Plan, words: Words, request: Request) -> ChatRequest:
    """Return the request for a reply in text: free, or one of the labels where there are any.

    What an experiment's arm says of the decoding goes before what the request says.
    """
    decoding = plan.choice.decoding
    asked = request.ask_for(plan.model, words.prompts[0])
    return replace(
        asked,
        max_tokens=LABEL_TOKENS if words.orders else decoding.max_tokens or asked.max_tokens,
        temperature=_first_given(decoding.temperature, asked.temperature),
        top_p=_first_given(decoding.top_p, asked.top_p),
        choices=plan.asked.question.labels,
    )


def _add_usage(scores: tuple[LabelLogprobs, ...]) -> Usage:
    return Usage(*(sum(counts) for counts in zip(*(s.usage for s in scores), strict=True)))


def _culture_code(plan: Plan) -> str | None:
    return None if plan.culture is None else plan.culture.code


def _first_given(first: T | None, second: T | None) -> T | None:
    return second if first is None else first
