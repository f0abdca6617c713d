"""A simulated vLLM: the routes that Milieu calls, deterministic, without a model, and scriptable.

The tokens are roles, numbers up to 20 and single characters; the template is one of its own. What
it answers is a hash of model and prompt, so an answer shows which adapter it is by. It loads and
unloads adapters, has slots for them and a prefix cache with vLLM's figures, takes time, breaks down
as it is told to, and forgets what it has when it restarts. What it refuses, and with which words,
was seen on vLLM 0.32; the contract tests hold both to the same. `tests.fakes.simulator` runs it as
a process, or as a server in this one that can be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fakes.prefix_cache import PrefixCache

JsonObject = dict[str, Any]

MODEL = "fake"
BLOCK_TOKENS = 128
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_NUMBERS = tuple(str(number) for number in range(21))
_PIECES = re.compile(r"<\|\w+\|>|\d+|.", re.DOTALL)
_WORDS = re.compile(r"\S+\s*|\s+")
_FULL = "The engine is currently busy and cannot accept new requests. Please try again later."


@dataclass(frozen=True, slots=True)
class Received:
    """A request that arrived: path, JSON body and headers (lower case)."""

    path: str
    body: JsonObject
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scripted:
    """What the next chat gets instead of, or before, its answer.

    `status` other than 200 refuses it; `drops_after` ends the connection after so many chunks;
    `error_after` sends an error event after so many; `raw` is sent as the body, as it is; one that
    `stalls` is never answered.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = _FULL
    drops_after: int | None = None
    error_after: int | None = None
    raw: bytes | None = None
    stalls: bool = False


class ChatTokenizer(Protocol):
    """A tokenizer of transformers' with a chat template."""

    def apply_chat_template(self, conversation: list[JsonObject], **options: Any) -> Any:
        """Return the tokens of a chat."""
        ...


class FakeVllm:
    """The state of one fake server; `app` is its ASGI application.

    Attributes:
        received: every request, in order of arrival, while it `keeps_requests`.
        adapters: name and path of the adapters that are loaded.
        refuses: names of adapters that it does not load.
        idle: names of adapters that it loads, and then answers as if it had not.
        delay_s: time before an answer begins.
        prompt_token_s: time that each token of a prompt takes that is not cached.
        slot_s: time that an adapter takes that is in none of the slots.
        cache: the prefix cache.
        n_slotted: how often an adapter was brought into a slot.
        started_at: the Unix time of the last start.
        chunk_delay_s: time that each word takes.
        n_running: chats that are being answered now.
        n_left: chats whose client left before the end.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        max_model_len: int = 2048,
        api_key: str | None = None,
        tokenizer: ChatTokenizer | None = None,
        max_loras: int = 4,
        block_tokens: int = BLOCK_TOKENS,
        cache_blocks: int | None = None,
    ) -> None:
        """Serve `model`; `tokenizer` says what `/tokenize` answers to chats, in place of its own.

        What the prompts of chats are counted in stays its own. There are slots for `max_loras`
        adapters at a time, and a prefix cache of `cache_blocks` blocks, None for all that come.
        """
        self.model, self.max_model_len = model, max_model_len
        self._tokenizer = tokenizer
        self.received: list[Received] = []
        self.keeps_requests = True
        self.delay_s = self.prompt_token_s = self.slot_s = 0.0
        self.chunk_delay_s = 0.0
        self.is_healthy = True
        self.n_running = 0
        self.n_left = 0
        self._script: deque[Scripted] = deque()
        self.adapters: dict[str, str] = {}
        self.refuses: set[str] = set()
        self.idle: set[str] = set()
        self.cache = PrefixCache(block_tokens, cache_blocks)
        self._slots: OrderedDict[str, None] = OrderedDict()
        self._max_loras, self.n_slotted = max_loras, 0
        self.started_at = time.time()
        routes = [
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self._unload, methods=["POST"]),
        ]
        self.app: ASGIApp = _KeyGuard(Starlette(routes=routes), api_key)

    def script(self, *steps: Scripted) -> None:
        """Let the next chats get these steps, one each; later ones are answered as usual."""
        self._script.extend(steps)

    def restart(self) -> None:
        """Forget adapters and cache, as a process does that ends and is started anew."""
        self.adapters.clear()
        self._slots.clear()
        self.cache.clear()
        self.started_at = max(time.time(), self.started_at + 0.01)

    @property
    def chats(self) -> list[Received]:
        """The chats that arrived."""
        return [request for request in self.received if request.path == "/v1/chat/completions"]

    async def _health(self, request: Request) -> Response:
        return Response(status_code=200 if self.is_healthy else 503)

    async def _metrics(self, request: Request) -> Response:
        of = f'{{engine="0",model_name="{self.model}"}}'
        return PlainTextResponse(
            f"process_start_time_seconds {self.started_at}\n"
            f"vllm:num_requests_running{of} {self.n_running}.0\n"
            f"vllm:prefix_cache_queries_total{of} {self.cache.n_queried}.0\n"
            f"vllm:prefix_cache_hits_total{of} {self.cache.n_hit}.0\n"
        )

    async def _models(self, request: Request) -> Response:
        self._keep(request, {})
        base = _card(self.model, root=self.model, max_model_len=self.max_model_len)
        adapters = [
            _card(name, root=path, parent=self.model) for name, path in self.adapters.items()
        ]
        return JSONResponse({"object": "list", "data": [base, *adapters]})

    async def _load(self, request: Request) -> Response:
        body = self._keep(request, await request.json())
        if body["lora_name"] in self.refuses:
            return _error(404, f"No adapter found for {body['lora_path']}", kind="NotFoundError")
        if body["lora_name"] in self.adapters:
            message = f"The lora adapter '{body['lora_name']}' has already been loaded."
            return _error(400, message, kind="InvalidUserInput")
        self.adapters[body["lora_name"]] = body["lora_path"]
        return PlainTextResponse(f"Success: LoRA adapter '{body['lora_name']}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        body = self._keep(request, await request.json())
        if self.adapters.pop(body["lora_name"], None) is None:
            message = f"The lora adapter '{body['lora_name']}' cannot be found."
            return _error(404, message, kind="NotFoundError")
        self._slots.pop(body["lora_name"], None)
        return PlainTextResponse(f"Success: LoRA adapter '{body['lora_name']}' removed.")

    async def _tokenize(self, request: Request) -> Response:
        body = self._keep(request, await request.json())
        if refused := self._check_model(body):
            return refused
        tokens = token_ids(body["prompt"]) if "prompt" in body else self._chat_tokens(body)
        reply = {"count": len(tokens), "max_model_len": self.max_model_len, "tokens": tokens}
        return JSONResponse({**reply, "token_strs": None})

    def _chat_tokens(self, body: JsonObject) -> list[int]:
        asks = body.get("add_generation_prompt", True)
        continues = body.get("continue_final_message", False)
        if self._tokenizer is None:
            return token_ids(_rendered(body["messages"], asks=asks, continues=continues))
        encoded = self._tokenizer.apply_chat_template(
            body["messages"],
            tokenize=True,
            return_dict=True,
            add_generation_prompt=asks,
            continue_final_message=continues,
            **body.get("chat_template_kwargs", {}),
        )
        return list(encoded["input_ids"])

    async def _chat(self, request: Request) -> Response:
        body = self._keep(request, await request.json())
        step = self._script.popleft() if self._script else Scripted()
        if step.status != 200:
            return _error(step.status, step.message, headers=step.headers)
        prompt = _rendered(body["messages"], asks=True, continues=False)
        n_prompt = len(token_ids(prompt))
        if refused := self._check_model(body) or self._check_tokens(body, n_prompt):
            return refused
        # An adapter answers otherwise than the model that it is on.
        said = prompt if body["model"] in self.idle | {self.model} else f"{body['model']}|{prompt}"
        ids = token_ids(prompt)
        n_cached = self.cache.look_up(body["model"], ids)
        answer = _Answer(body, said, n_prompt, n_cached)
        takes_s = self.delay_s + (len(ids) - n_cached) * self.prompt_token_s
        takes_s += self._take_slot(body["model"])
        self.n_running += 1
        if body.get("stream"):
            return _Streamed(self, answer, step, takes_s)
        try:
            takes_s += answer.n_words * self.chunk_delay_s
            takes_s = math.inf if step.stalls else takes_s
            if await self._client_leaves(request, takes_s):
                return Response(status_code=499)
            if step.raw is not None:
                return Response(step.raw, media_type="application/json")
            return JSONResponse(answer.completion())
        finally:
            self.n_running -= 1

    async def _client_leaves(self, request: Request, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if await request.is_disconnected():
                self.n_left += 1
                return True
            await asyncio.sleep(0.005)
        return False

    def _keep(self, request: Request, body: JsonObject) -> JsonObject:
        if self.keeps_requests:
            self.received.append(Received(request.url.path, body, dict(request.headers)))
        return body

    def _check_model(self, body: JsonObject) -> Response | None:
        if body.get("model") in (self.model, *self.adapters):
            return None
        message = f"The model `{body.get('model')}` does not exist. Valid aliases: {self.model}."
        return _error(404, message, kind="NotFoundError")

    def _check_tokens(self, body: JsonObject, n_prompt: int) -> Response | None:
        n_new = body.get("max_tokens")
        if n_new is not None and n_new < 1:
            return _error(400, f"max_tokens must be at least 1, got {n_new}.")
        if n_prompt + (n_new or 1) > self.max_model_len:
            message = (
                f"This model's maximum context length is {self.max_model_len} tokens. However, "
                f"you requested {n_new} output tokens and your prompt contains {n_prompt}."
            )
            return _error(400, message)
        return None

    def _take_slot(self, model: str) -> float:
        """Bring an adapter into a slot, out of which another may go; return the seconds."""
        if model == self.model:
            return 0.0
        takes_s = 0.0 if model in self._slots else self.slot_s
        self.n_slotted += model not in self._slots
        self._slots[model] = None
        self._slots.move_to_end(model)
        if len(self._slots) > self._max_loras:
            self._slots.popitem(last=False)
        return takes_s


def token_ids(text: str) -> list[int]:
    """Return the tokens of `text`: 0 to 3 roles, 10 to 30 numbers, the rest characters."""
    ids: list[int] = []
    for piece in _PIECES.findall(text):
        if piece in _ROLES:
            ids.append(_ROLES.index(piece))
        elif piece in _NUMBERS:
            ids.append(10 + int(piece))
        else:
            ids.extend(1000 + ord(char) for char in piece)
    return ids


class _Answer:
    """What one chat is answered with."""

    def __init__(self, body: JsonObject, prompt: str, n_prompt: int, n_cached: int) -> None:
        self._body, self._prompt = body, prompt
        self._n_prompt, self._n_cached = n_prompt, n_cached

    @property
    def n_words(self) -> int:
        return len(self._words(0)[0])

    def completion(self) -> JsonObject:
        n = self._body.get("n") or 1
        choices = []
        for index in range(n):
            words, reason = self._words(index)
            message = {"role": "assistant", "content": "".join(words), "refusal": None}
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": self._logprobs(words),
                    "finish_reason": reason,
                }
            )
        head = self._head("chat.completion")
        return {**head, "choices": choices, "usage": self._usage(n * self.n_words)}

    def chunks(self) -> Iterator[JsonObject]:
        words, reason = self._words(0)
        yield self._chunk({"role": "assistant", "content": ""}, None)
        for word in words[:-1]:
            yield self._chunk({"content": word}, None)
        yield self._chunk({"content": words[-1]}, reason)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            head = self._head("chat.completion.chunk")
            yield {**head, "choices": [], "usage": self._usage(len(words))}

    def _chunk(self, delta: JsonObject, reason: str | None) -> JsonObject:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> JsonObject:
        name = f"chatcmpl-{_hash(self._prompt):016x}"
        return {"id": name, "object": kind, "created": 1, "model": self._body["model"]}

    def _usage(self, n_completion: int) -> JsonObject:
        return {
            "prompt_tokens": self._n_prompt,
            "completion_tokens": n_completion,
            "total_tokens": self._n_prompt + n_completion,
            "prompt_tokens_details": {"cached_tokens": self._n_cached},
        }

    def _words(self, index: int) -> tuple[list[str], str]:
        seed = f"{self._prompt}|{self._body.get('seed')}|{index}"
        choice = (self._body.get("structured_outputs") or {}).get("choice")
        if choice:
            return _WORDS.findall(choice[_hash(seed) % len(choice)]), "stop"
        n_words = self._body.get("max_tokens") or 16
        words = [f" w{_hash(f'{seed}|{i}') % 100}" for i in range(n_words)]
        return words, "length"

    def _logprobs(self, words: Sequence[str]) -> JsonObject | None:
        if not self._body.get("logprobs"):
            return None
        wanted = self._body.get("logprob_token_ids") or []
        tops = []
        for token_id in wanted:
            # Between 1/100 and 1/40 of the probability each, so that 20 labels fit into 1.
            share = 0.01 + 0.015 * (_hash(f"{self._prompt}|{token_id}") % 1000) / 1000
            tops.append({"token": f"token_id:{token_id}", "logprob": math.log(share), "bytes": []})
        content = [
            {"token": word, "logprob": -0.5, "bytes": [], "top_logprobs": tops} for word in words
        ]
        return {"content": content}


class _Streamed(Response):
    """An answer in chunks, which ends when the client leaves or the script says so."""

    def __init__(self, fake: FakeVllm, answer: _Answer, step: Scripted, takes_s: float) -> None:
        super().__init__(media_type="text/event-stream")
        self._fake, self._answer, self._step = fake, answer, step
        self._takes_s = takes_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_disconnected(receive))
        sending = asyncio.create_task(self._send(send))
        try:
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                self._fake.n_left += 1
        finally:
            self._fake.n_running -= 1
            for task in (leaving, sending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._step.raw is not None:
            await send({"type": "http.response.body", "body": self._step.raw, "more_body": False})
            return
        async for event in self._events():
            body = f"data: {event}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if self._step.drops_after is None:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        # Otherwise uvicorn sees an unfinished response, and closes the connection.

    async def _events(self) -> AsyncIterator[str]:
        if self._step.stalls:
            await asyncio.Event().wait()
        await asyncio.sleep(self._takes_s)
        for n_sent, chunk in enumerate(self._answer.chunks()):
            if n_sent == self._step.drops_after:
                return
            if n_sent == self._step.error_after:
                error = {"message": _FULL, "type": "ServiceUnavailable", "code": 503}
                yield json.dumps({"error": error})
                break
            yield json.dumps(chunk)
            await asyncio.sleep(self._fake.chunk_delay_s)
        yield "[DONE]"


class _KeyGuard:
    """Asks for the key under `/v1`, and only there, as vLLM does."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app, self._api_key = app, api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"").decode()
        guarded = self._api_key is not None and scope["path"].startswith("/v1")
        app = self._app
        if guarded and sent != f"Bearer {self._api_key}":
            app = JSONResponse({"error": "Unauthorized"}, status_code=401)
        await app(scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _rendered(messages: Sequence[JsonObject], *, asks: bool, continues: bool) -> str:
    parts = [f"<|{message['role']}|>{message['content']}<|end|>" for message in messages]
    text = "".join(parts)
    if continues:
        text = text.removesuffix("<|end|>")
    return text + ("<|assistant|>" if asks else "")


def _card(
    name: str, *, root: str, parent: str | None = None, max_model_len: int | None = None
) -> JsonObject:
    return {
        "id": name,
        "object": "model",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
    }


def _error(
    status: int,
    message: str,
    *,
    kind: str = "BadRequestError",
    headers: Mapping[str, str] | None = None,
) -> Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return JSONResponse({"error": error}, status_code=status, headers=dict(headers or {}))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@contextlib.contextmanager
def serve(app: ASGIApp, *, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serve `app` on a free loopback port, in a thread; yields its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan=lifespan,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served-app", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the application did not start")
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
