"""Milieu's way to vLLM: chats, label scores and token counts from one or more servers."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Protocol, Self

from app.errors import UpstreamError, UpstreamInvalid, UpstreamModelMissing
from app.vllm.connections import Call
from app.vllm.event_stream import DONE, event_data
from app.vllm.labels import LabelTokens
from app.vllm.once import OnceCache
from app.vllm.pool import Limiter, Limits, Retries, ServerPool, Timeouts
from app.vllm.routing import Placement, make_route
from app.vllm.status_errors import status_error
from app.vllm.transport import Restore, ServerHealth, Transport, time_limit
from app.vllm.wire import (
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    JsonObject,
    LabelLogprobs,
    ListedModel,
    read_completion,
    read_json,
    read_models,
    read_scores,
    read_tokens,
    score_body,
    template_options,
    wire_messages,
)
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message

_CHAT, _TOKENIZE, _MODELS = "/v1/chat/completions", "/tokenize", "/v1/models"


class Observer(Protocol):
    """Sees what happens between Milieu and vLLM; `app.telemetry.Metrics` is one."""

    def on_error(self, kind: str) -> None:
        """A call failed for good; `kind` is the name of its error class."""

    def on_retry(self) -> None:
        """A call is tried again."""

    def on_in_flight(self, n: int) -> None:
        """`n` chats and scores are under way now."""


class VllmClient:
    """Calls vLLM's OpenAI-compatible API on one of its servers.

    A call with a culture prefers the server that had the last ones for the same culture and model;
    any other goes to the least busy.

    Used as `async with VllmClient(urls) as client`. Cancelling a call closes its connection at
    once, whereupon vLLM stops generating. All methods raise, besides what they say themselves:

        UpstreamUnavailable: no server could be reached, or the one that was asked broke down.
        UpstreamBusy: the queue is full, here (raised at once) or on every server.
        UpstreamTimeout: a time limit ran out.
        UpstreamInvalid: a reply is not what vLLM's API promises.
        UpstreamModelMissing: vLLM does not know the model.
        UpstreamRejected: vLLM refused what the request asks for.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        limits: Limits | None = None,
        rng: random.Random | None = None,
        observer: Observer | None = None,
        restore: Restore | None = None,
        placement: Placement | None = None,
    ) -> None:
        """Ask the servers at `urls`.

        `placement` knows which of them have an adapter. Without it, `restore` is told of a model
        that a server does not know, and says whether the server has it now: adapters are gone from
        a server that was started anew.
        """
        self._observer = observer
        self._timeouts = timeouts or Timeouts()
        self._limits = limits or Limits()
        self._limiter = Limiter(self._limits, on_change=self._report_in_flight)
        self._transport = Transport(
            ServerPool(urls),
            api_key=api_key,
            timeouts=self._timeouts,
            retries=retries or Retries(),
            retry_after_s=self._limits.retry_after_s,
            rng=rng or random.Random(),
            on_retry=self._report_retry,
            placement=placement or _Anywhere(restore),
        )
        self._labels = LabelTokens(self._tokenize_chat)
        self._context_tokens = OnceCache(self._find_context_tokens)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.close()

    @property
    def n_in_flight(self) -> int:
        """How many chats and scores are under way."""
        return self._limiter.n_in_flight

    @property
    def n_queued(self) -> int:
        """How many chats and scores wait for a place."""
        return self._limiter.n_queued

    def check_room(self) -> None:
        """Raise UpstreamBusy where a chat would be turned away at once, before work is put in."""
        self._limiter.check_room()

    async def chat(
        self, request: ChatRequest, request_id: str | None = None, *, culture: str | None = None
    ) -> ChatCompletion:
        """Return the whole answer to `request`; `request_id` becomes part of vLLM's own."""
        route = make_route(culture, request.model)
        call = Call("POST", _CHAT, request.model, request.body(), request_id, route)
        with self._observed():
            return read_completion(await self._generate(call), model=request.model)

    async def stream(
        self, request: ChatRequest, request_id: str | None = None, *, culture: str | None = None
    ) -> AsyncGenerator[ChatChunk, None]:
        """Yield the chunks of the answer as they come; the last one has `usage` and no choice.

        Nothing is sent before the first chunk is asked for, and every error is raised then.
        Close it (`contextlib.aclosing`) if it may be left before its end: that closes the
        connection. An error event within the stream is raised as if it were the status.
        """
        body = request.body(stream=True)
        route = make_route(culture, request.model)
        call = Call("POST", _CHAT, request.model, body, request_id, route, streams=True)
        deadline = self._deadline()
        with self._observed():
            async with AsyncExitStack() as stack:
                async with time_limit("the start of its answer", deadline=deadline):
                    await stack.enter_async_context(self._limiter.slot())
                    reply = await stack.enter_async_context(self._transport.reply(call))
                parts = self._transport.parts(reply, deadline=deadline)
                await stack.enter_async_context(aclosing(parts))
                events = await stack.enter_async_context(aclosing(event_data(parts)))
                async for data in events:
                    if data == DONE:
                        return
                    yield self._chunk(data.encode(), request.model)
                raise UpstreamInvalid("a stream that broke off", expected="[DONE] at its end")

    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        *,
        model: str,
        base_model: str | None = None,
        request_id: str | None = None,
        culture: str | None = None,
    ) -> LabelLogprobs | None:
        """Return the log-probability of each label as first token of the answer to `messages`.

        None where a label is not one token of the model's: then ask by `chat` and read the text.
        Of an adapter, `base_model` is what it is on, whose tokens are its own.

        Raises:
            ValueError: there is no label, or one of them twice.
        """
        if not labels or len(set(labels)) != len(labels):
            raise ValueError(f"labels are {', '.join(labels) or 'none'}; expected different ones")
        found = await self._labels.find(base_model or model, labels)
        if found is None:
            return None
        body = score_body(model, messages, ids=found.ids, thinks=found.thinks)
        with self._observed():
            route = make_route(culture, model)
            reply = await self._generate(Call("POST", _CHAT, model, body, request_id, route))
            return read_scores(read_completion(reply, model=model), labels, ids=found.ids)

    async def choose_labels(self, model: str, asked: AskedQuestion) -> LabelScheme | None:
        """Return how to label the options of `asked` so that `score` can read them.

        Numbers, or letters where a number is not one token of the model's; None where neither is.
        """
        return await self._labels.choose(model, asked)

    async def label_token_ids(self, model: str, labels: Sequence[str]) -> tuple[int, ...] | None:
        """Return one token id per label, None where a label is not one token of its own.

        Looked up once per model and label.
        """
        found = await self._labels.find(model, labels)
        return None if found is None else found.ids

    async def tokenize(self, prompt: str | Sequence[Message], *, model: str) -> tuple[int, ...]:
        """Return the token ids of a text, or of a chat with the start of an answer after it."""
        if isinstance(prompt, str):
            return await self._tokenize({"model": model, "prompt": prompt}, model)
        return await self._tokenize_chat(prompt, model, continues=False, thinks=True)

    async def count_tokens(self, prompt: str | Sequence[Message], *, model: str) -> int:
        """Return how many tokens vLLM reads for `prompt`, the start of an answer included.

        Of a chat as `score` sends it, which is never shorter.
        """
        if isinstance(prompt, str):
            return len(await self.tokenize(prompt, model=model))
        thinks = await self._labels.thinks(model)
        return len(await self._tokenize_chat(prompt, model, continues=False, thinks=thinks))

    async def context_tokens(self, model: str) -> int:
        """Return how many tokens prompt and answer may have together; asked for once per model."""
        return await self._context_tokens.get(model)

    async def models(self) -> tuple[ListedModel, ...]:
        """Return the models that the least busy server serves, adapters included."""
        with self._observed():
            return read_models(await self._ask(Call("GET", _MODELS)))

    async def health(self) -> tuple[ServerHealth, ...]:
        """Return for each server whether it is healthy; a silent one is not. Raises nothing."""
        return await self._transport.health()

    async def _find_context_tokens(self, model: str) -> int:
        served = {card.id: card for card in await self.models()}
        card = served.get(model)
        if card is None:
            raise UpstreamModelMissing(model, f"it serves {', '.join(served) or 'none'}.")
        # An adapter's card leaves the length to its base model's.
        base = served.get(card.parent or "", card)
        n_tokens = card.max_model_len or base.max_model_len
        if n_tokens is None:
            raise UpstreamInvalid(f"no max_model_len of '{model}'", expected="a number of tokens")
        return n_tokens

    async def _tokenize_chat(
        self, prompt: Sequence[Message], model: str, *, continues: bool, thinks: bool
    ) -> tuple[int, ...]:
        body: JsonObject = {
            "model": model,
            "messages": wire_messages(prompt),
            "add_generation_prompt": not continues,
            "continue_final_message": continues,
            **template_options(thinks=thinks),
        }
        return await self._tokenize(body, model)

    async def _tokenize(self, body: JsonObject, model: str) -> tuple[int, ...]:
        with self._observed():
            return read_tokens(await self._ask(Call("POST", _TOKENIZE, model, body)))

    async def _generate(self, call: Call) -> JsonObject:
        async with time_limit("its answer", deadline=self._deadline()), self._limiter.slot():
            reply = await self._transport.read(call)
        self._check_error(reply, call.model)
        return reply

    async def _ask(self, call: Call) -> JsonObject:
        async with time_limit("its answer", deadline=self._deadline()):
            return await self._transport.read(call)

    def _chunk(self, data: bytes, model: str) -> ChatChunk:
        chunk = read_json(data)
        self._check_error(chunk, model)
        return chunk

    def _check_error(self, reply: JsonObject, model: str) -> None:
        """Raise the error that came under the status 200, as if it were the status."""
        error = reply.get("error")
        if error is None:
            return
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) else 500
        data = json.dumps(reply).encode()
        raise status_error(status, data, model=model, retry_after_s=self._limits.retry_after_s)

    @contextmanager
    def _observed(self) -> Iterator[None]:
        try:
            yield
        except UpstreamError as exc:
            if self._observer:
                self._observer.on_error(type(exc).__name__)
            raise

    def _report_in_flight(self, n: int) -> None:
        if self._observer:
            self._observer.on_in_flight(n)

    def _report_retry(self) -> None:
        if self._observer:
            self._observer.on_retry()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeouts.total_s


class _Anywhere:
    """The placement of models that any server may have."""

    def __init__(self, restore: Restore | None) -> None:
        self._restore = restore

    def find_ready(self, name: str) -> None:
        return None

    def lose(self, name: str, url: str) -> None:
        pass

    async def restore(self, name: str) -> bool:
        return False if self._restore is None else await self._restore(name)
