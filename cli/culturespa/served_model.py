"""The model of the settings, as the steps of CultureSPA ask it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

from adapters.culturespa.errors import NoQuestionWritten
from app.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.resources import open_resources
from app.settings import Settings
from app.telemetry import Metrics
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest
from cli.patience import call_patiently
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from prompting.question_writing import AttemptOutcome, read_reply
from prompting.reading import read_labels, read_option

# How a reply is sampled for an answer, as in the paper.
TEMPERATURE, TOP_P, MAX_TOKENS = 0.6, 0.9, 256
# After this many replies without a question, a model will not write any.
N_HOPELESS = 48
T = TypeVar("T")


class ServedModel:
    """The model of the settings as `Writer` and `Answerer`, opened when it is first asked.

    A finished step thus needs no vLLM, and faulty options are found before one starts. Used in an
    `async with`, which ends the vLLM that was started.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self.name = settings, settings.model
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[VllmClient] | None = None
        self._outcomes = Counter[str]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._stack.aclose()

    async def write(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float,
        seed: int,
        max_tokens: int,
    ) -> str:
        """See `adapters.culturespa.generate.Writer`.

        Raises:
            NoQuestionWritten: none of the first replies holds a question.
        """
        text = await self._chat(
            messages, temperature=temperature, top_p=top_p, seed=seed, max_tokens=max_tokens
        )
        self._outcomes[read_reply(text).outcome] += 1
        if not self._outcomes[AttemptOutcome.WRITTEN] and self._outcomes.total() >= N_HOPELESS:
            raise NoQuestionWritten(self.name, self._outcomes)
        return text

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        """See `adapters.culturespa.answer.Answerer`."""
        return await self._call(lambda vllm: vllm.choose_labels(self.name, asked))

    async def shares(
        self, messages: Sequence[Message], labels: Sequence[str]
    ) -> tuple[float, ...] | None:
        """See `adapters.culturespa.answer.Answerer`."""
        scored = await self._call(lambda vllm: vllm.score(messages, labels, model=self.name))
        if scored is None:
            return None
        own_order = tuple(range(len(labels)))
        return read_labels(
            [scored.logprobs], [own_order], min_label_mass=self._settings.answer.min_label_mass
        ).shares

    async def option(
        self, messages: Sequence[Message], labels: Sequence[str], *, seed: int
    ) -> int | None:
        """See `adapters.culturespa.answer.Answerer`."""
        text = await self._chat(
            messages, temperature=TEMPERATURE, top_p=TOP_P, seed=seed, max_tokens=MAX_TOKENS
        )
        return read_option(text, labels, first_number=int(labels[0])).option

    async def _chat(self, messages: Sequence[Message], **sampling: Any) -> str:
        request = ChatRequest(model=self.name, messages=tuple(messages), **sampling)
        return (await self._call(lambda vllm: vllm.chat(request))).text

    async def _call(self, call: Callable[[VllmClient], Awaitable[T]]) -> T:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="open-model")
        # A cancelled caller must not end it for the others.
        vllm = await asyncio.shield(self._opening)
        transient = (UpstreamUnavailable, UpstreamBusy, UpstreamTimeout)
        return await call_patiently(lambda: call(vllm), self.name, transient)

    async def _open(self) -> VllmClient:
        opening = open_resources(self._settings, Metrics())
        return (await self._stack.enter_async_context(opening)).vllm
