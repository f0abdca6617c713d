"""The model behind vLLM, as a run asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from adapters.errors import AdapterError, AdaptersBusy, LoraServerSilent
from adapters.pool import WeightsPool
from app.answering.context import Build, ContextWindow
from app.errors import ContextTooSmall, UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest
from cli.patience import call_patiently
from evaluation.asking import Response
from evaluation.decoding import AnswerDecoding
from evaluation.errors import RespondentFailed
from evaluation.prompted import Fit
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering
from prompting.recipe import NO_ADAPTER

P = ParamSpec("P")
T = TypeVar("T")
_TRANSIENT = (
    UpstreamUnavailable, UpstreamBusy, UpstreamTimeout, LoraServerSilent, AdaptersBusy
)  # fmt: skip


def _patient(
    method: Callable[Concatenate[VllmModel, P], Awaitable[T]],
) -> Callable[Concatenate[VllmModel, P], Coroutine[Any, Any, T]]:
    """Make a method wait up to a minute for a server that restarts."""

    @wraps(method)
    async def call(model: VllmModel, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            once = partial(method, model, *args, **kwargs)
            return await call_patiently(once, model.name, _TRANSIENT)
        except AdapterError as exc:
            raise RespondentFailed(model.name, f"{exc}") from exc

    return call


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

    @_patient
    async def fit(
        self, steering: Steering, build: Build, *, n_reply_tokens: int, bare: Steering
    ) -> Fit | None:
        try:
            fitted = await self._context.fit(
                steering, build, model=self._model, n_reply_tokens=n_reply_tokens, bare=bare
            )
        except ContextTooSmall:
            return None
        return Fit(fitted.messages, fitted.steering)

    async def load(self, adapter: str) -> None:
        """Load an adapter, to be sure that it is sound and fits this model.

        Raises:
            AdapterError: it is not, or does not.
            RespondentFailed: there is no server to load it on.
        """

        async def load() -> None:
            async with self._weights.lease(None, adapter):
                pass

        await call_patiently(load, self.name, _TRANSIENT)

    @_patient
    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        return await self._vllm.choose_labels(self._model, asked)

    @_patient
    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        *,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        async with self._weights.lease(None, adapter or NO_ADAPTER) as leased:
            weights = leased.weights
            scored = await self._vllm.score(
                messages,
                labels,
                model=weights.choose_model(reads=reads),
                base_model=weights.base_model,
            )
        if scored is None:
            raise ValueError(f"labels {', '.join(labels)} are not one token each")
        return Response(
            logprobs=scored.logprobs,
            prompt_tokens=scored.usage.prompt_tokens,
            completion_tokens=scored.usage.completion_tokens,
        )

    @_patient
    async def write(
        self,
        messages: Sequence[Message],
        *,
        decoding: AnswerDecoding,
        seed: int,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        async with self._weights.lease(None, adapter or NO_ADAPTER) as leased:
            request = ChatRequest(
                model=leased.weights.choose_model(reads=reads),
                messages=tuple(messages),
                max_tokens=decoding.max_tokens,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                seed=seed,
            )
            completion = await self._vllm.chat(request)
        return Response(
            text=completion.text,
            prompt_tokens=completion.usage.prompt_tokens,
            completion_tokens=completion.usage.completion_tokens,
        )
