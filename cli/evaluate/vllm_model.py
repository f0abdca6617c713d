"""The model behind vLLM, as a run asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from adapters.errors import AdapterError, AdaptersBusy, LoraServerSilent
from adapters.pool import WeightsPool
from app.answering.context import Build, ContextWindow
from app.errors import ContextTooSmall, UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.vllm.client import VllmClient
from app.vllm.wire import ChatCompletion, ChatRequest, LabelLogprobs
from cli.patience import call_patiently
from evaluation.asking import Response
from evaluation.decoding import AnswerDecoding
from evaluation.errors import RespondentFailed
from evaluation.prompted import Fit
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering
from prompting.recipe import NO_ADAPTER

T = TypeVar("T")
_TRANSIENT = (
    UpstreamUnavailable, UpstreamBusy, UpstreamTimeout, LoraServerSilent, AdaptersBusy
)  # fmt: skip


class VllmModel:
    """A model behind vLLM; see `evaluation.prompted.LanguageModel` for what its methods promise.

    All of them wait up to a minute for a server that restarts. An adapter is leased while it
    answers, so there may be more adapters than fit.
    """

    def __init__(
        self,
        vllm: VllmClient,
        context: ContextWindow,
        *,
        model: str,
        weights: WeightsPool | None = None,
    ) -> None:
        """Ask `model` behind `vllm`; `weights` has the adapters on it, if there are any."""
        self._vllm, self._context, self._model = vllm, context, model
        self._weights = weights or WeightsPool(model)

    @property
    def name(self) -> str:
        return self._model

    async def fit(
        self, steering: Steering, build: Build, *, n_reply_tokens: int, bare: Steering
    ) -> Fit | None:
        async def fit() -> Fit | None:
            try:
                fitted = await self._context.fit(
                    steering,
                    build,
                    model=self._model,
                    n_reply_tokens=n_reply_tokens,
                    bare=bare,
                )
            except ContextTooSmall:
                return None
            return Fit(fitted.messages, fitted.steering)

        return await self._patiently(fit)

    async def load(self, adapter: str) -> None:
        """Load an adapter, to be sure that it is sound and fits this model.

        Raises:
            AdapterError: it is not.
            RespondentFailed: there is no server to load it on.
        """

        async def load() -> None:
            async with self._weights.lease(None, adapter):
                pass

        await call_patiently(load, self.name, _TRANSIENT)

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        return await self._patiently(lambda: self._vllm.choose_labels(self._model, asked))

    async def score(
        self, messages: Sequence[Message], labels: Sequence[str], *, adapter: str | None = None
    ) -> Response:
        async def score() -> LabelLogprobs | None:
            async with self._weights.lease(None, adapter or NO_ADAPTER) as leased:
                weights = leased.weights
                return await self._vllm.score(
                    messages, labels, model=weights.model, base_model=weights.base_model
                )

        scored = await self._patiently(score)
        if scored is None:
            raise ValueError(f"labels {', '.join(labels)} are not one token each")
        return Response(
            logprobs=scored.logprobs,
            prompt_tokens=scored.usage.prompt_tokens,
            completion_tokens=scored.usage.completion_tokens,
        )

    async def write(
        self,
        messages: Sequence[Message],
        *,
        decoding: AnswerDecoding,
        seed: int,
        adapter: str | None = None,
    ) -> Response:
        async def write() -> ChatCompletion:
            async with self._weights.lease(None, adapter or NO_ADAPTER) as leased:
                request = ChatRequest(
                    model=leased.weights.model,
                    messages=tuple(messages),
                    max_tokens=decoding.max_tokens,
                    temperature=decoding.temperature,
                    top_p=decoding.top_p,
                    seed=seed,
                )
                return await self._vllm.chat(request)

        completion = await self._patiently(write)
        return Response(
            text=completion.text,
            prompt_tokens=completion.usage.prompt_tokens,
            completion_tokens=completion.usage.completion_tokens,
        )

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call_patiently(call, self.name, _TRANSIENT)
        except AdapterError as exc:
            raise RespondentFailed(self.name, f"{exc}") from exc
