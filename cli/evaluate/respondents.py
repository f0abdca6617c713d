"""Who can be asked in a run: the model behind vLLM, and a running Milieu service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiohttp

from adapters.errors import AdapterError, AdaptersBusy, LoraServerSilent
from adapters.pool import WeightsPool
from app.answering.context import Build, ContextWindow
from app.errors import ContextTooSmall, UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.vllm.client import VllmClient
from app.vllm.wire import ChatCompletion, ChatRequest, LabelLogprobs
from evaluation.asking import Ask, Request, Response, digest_of
from evaluation.decoding import Decoding
from evaluation.errors import RespondentFailed
from evaluation.prompted import Fit
from prompting.messages import Message, Steering
from prompting.recipe import NO_ADAPTER, Method

# A restarted server is back within this: 1 + 2 + 4 + 8 + 16 + 32 seconds.
N_TRIES = 7
TIMEOUT_S = 120.0
T = TypeVar("T")
_TRANSIENT = (
    UpstreamUnavailable, UpstreamBusy, UpstreamTimeout, LoraServerSilent, AdaptersBusy
)  # fmt: skip


class VllmModel:
    """A model behind vLLM; see `evaluation.prompted.LanguageModel` for what its methods promise.

    Every one is patient: a server that is starting anew is waited for, up to a minute. What an
    adapter answers is asked for under a lease of it, so there may be more adapters than fit.
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
        async def fitted() -> Fit | None:
            try:
                found = await self._context.fit(
                    steering,
                    build,
                    model=self._model,
                    n_reply_tokens=n_reply_tokens,
                    bare=bare,
                )
            except ContextTooSmall:
                return None
            return Fit(found.messages, found.steering)

        return await self._patiently(fitted)

    async def load(self, adapter: str) -> None:
        """Load an adapter, so that it is known to be sound and for this model.

        Raises:
            AdapterError: it is not.
            RespondentFailed: there is no server to load it on.
        """

        async def load() -> None:
            async with self._weights.lease(None, adapter):
                pass

        await patiently(load, self.name, _TRANSIENT)

    async def scores(self, labels: Sequence[str]) -> bool:
        ids = await self._patiently(lambda: self._vllm.label_token_ids(self._model, labels))
        return ids is not None

    async def score(
        self, messages: Sequence[Message], labels: Sequence[str], *, adapter: str | None = None
    ) -> Response:
        async def score() -> LabelLogprobs | None:
            async with self._weights.lease(None, adapter or NO_ADAPTER) as leased:
                of = leased.weights
                return await self._vllm.score(
                    messages, labels, model=of.model, base_model=of.base_model
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
        decoding: Decoding,
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
            return await patiently(call, self.name, _TRANSIENT)
        except AdapterError as exc:
            raise RespondentFailed(self.name, f"{exc}") from exc


class MilieuService:
    """A running Milieu service, asked by `/answer`; it retrieves and writes prompts itself.

    It never shows the asked question's own answers, if it loads the pack; its like it may.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        n_orders: int,
        api_key: str = "",
    ) -> None:
        """Ask the service at `url`, which averages over `n_orders` option orders itself."""
        self._url, self._session, self._n_orders = url.rstrip("/"), session, n_orders
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._unsteered_as: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self._url

    async def identity(self) -> dict[str, str]:
        """Return what the service says of itself: its models, the cultures that it covers.

        Raises:
            RespondentFailed: it does not answer, or is no Milieu service.
        """
        models = await self._get("/v1/models")
        cultures = await self._get("/v1/cultures")
        try:
            named = ", ".join(sorted(model["id"] for model in json.loads(models)["data"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise RespondentFailed(self.name, f"its models make no sense ({exc!r}).") from exc
        return {"service's models": named, "service's surveys": digest_of(cultures)[:16]}

    async def active_adapters(self, cultures: Sequence[str]) -> dict[str, str]:
        """Return the adapter that the service answers with now for each of `cultures`, by code.

        Raises:
            RespondentFailed: it does not answer, or has none for one of them.
        """
        found = {}
        for culture in cultures:
            asked: dict[str, Any] = {"question": "Is it?", "options": ["Yes", "No"]}
            body = asked | {"method": Method.ADAPTER, "adapter": "auto", "culture": culture}
            reply = await self._patiently(partial(self._send, "POST", "/answer", body))
            _response(self.name, reply, body)
            found[culture] = str(json.loads(reply)["adapter"])
        return found

    async def request(self, ask: Ask) -> Request:
        if ask.recipe is None:
            raise ValueError("a service is asked by a recipe")
        culture, question = ask.culture, ask.question
        method = ask.recipe.method
        if ask.adapter is not None:
            method = method.with_adapter
        if method is Method.PLAIN:
            # The route wants a culture, but the answer is everybody's: one request for all.
            culture = self._unsteered_as.setdefault(question.key, culture)
        body = {
            "question": question.text,
            "options": list(question.options),
            "culture": culture,
            "method": method,
            "k": ask.recipe.k,
            "exemplar_style": ask.recipe.style,
            "retriever": ask.recipe.retriever,
            "orders": self._n_orders,
            "seed": ask.seed,
        }
        if ask.adapter is not None:
            body["adapter"] = ask.adapter
        return Request(digest_of(self._url, body), body)

    async def respond(self, request: Request) -> Response:
        body: dict[str, Any] = request.content

        async def ask() -> Response:
            return _response(self.name, await self._send("POST", "/answer", body), body)

        return await self._patiently(ask)

    async def _get(self, path: str) -> str:
        return await self._patiently(lambda: self._send("GET", path))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, self.name, (aiohttp.ClientError, TimeoutError, _Later))

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        try:
            async with self._session.request(
                method,
                self._url + path,
                json=body,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as reply:
                text = (await reply.read()).decode("utf-8", "replace")
        except aiohttp.InvalidURL as exc:
            raise RespondentFailed(self.name, "that is no address.") from exc
        if reply.status in (429, 502, 503, 504):
            raise _Later(f"status {reply.status}")
        if reply.status != 200:
            raise RespondentFailed(self.name, f"status {reply.status}: {text[:300]}.")
        return text


class _Later(Exception):
    """The service asks for patience."""


async def patiently(
    call: Callable[[], Awaitable[T]],
    name: str,
    transient: tuple[type[Exception], ...],
    *,
    pause_s: float = 1.0,
) -> T:
    """Return what `call` does, made again where an error may pass, after pauses that double.

    Raises:
        RespondentFailed: it failed `N_TRIES` times.
    """
    for attempt in range(N_TRIES):
        try:
            return await call()
        except transient as exc:
            if attempt == N_TRIES - 1:
                raise RespondentFailed(name, f"{exc}.") from exc
            await asyncio.sleep(pause_s * 2.0**attempt)
    raise AssertionError("the last attempt returns or raises")


def _response(name: str, text: str, body: dict[str, Any]) -> Response:
    n_options, is_plain = len(body["options"]), body["method"] == Method.PLAIN
    try:
        reply: dict[str, Any] = json.loads(text)
        usage, option = reply["usage"], reply["option"]
        if body.get("adapter") is not None and reply["adapter"] is None:
            because = "; ".join(fallback["because"] for fallback in reply["fallbacks"])
            raise RespondentFailed(
                name, f"it had no adapter to answer for {body['culture']}: {because}."
            )
        shares = None
        if reply["shares"] is not None:
            shares = tuple(float(share["share"]) for share in reply["shares"])
        # Options that a client sends are numbered from 1.
        index = None if option is None else int(option["number"]) - 1
        if index not in (None, *range(n_options)) or len(shares or body["options"]) != n_options:
            raise ValueError(f"an option or shares that {n_options} options do not have")
        return Response(
            text=str(reply["answer"] or "") if index is None else None,
            option=index,
            shares=None if index is None else shares,
            prompt_tokens=int(usage["prompt_tokens"]),
            completion_tokens=int(usage["completion_tokens"]),
            steered=is_plain or bool(reply["steered"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise RespondentFailed(name, f"its reply is none of /answer ({exc!r}).") from exc
