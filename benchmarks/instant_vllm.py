"""A vLLM that answers at once: `python -m benchmarks.instant_vllm PORT`.

It says the same to everybody, in replies that were written before anybody asked, so that what a
proxy before it takes is all that is measured. It knows the routes that a gateway without adapters
calls, and reads no more of a request than where it ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Final

MODEL: Final = "instant"
N_WORDS: Final = 8
TEXT: Final = "It is said to be so. "
_ABOUT: Final = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": MODEL}
_USAGE: Final = {"prompt_tokens": 20, "completion_tokens": N_WORDS, "total_tokens": 20 + N_WORDS}
_HEAD_END: Final = b"\r\n\r\n"


def _write_reply(body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _write_chat() -> bytes:
    message = {"role": "assistant", "content": TEXT * (N_WORDS // 4)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    fields = {"object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return _write_reply(json.dumps(_ABOUT | fields).encode())


def _write_stream() -> bytes:
    """Return a streamed reply, each word of it a chunk."""
    deltas: list[Mapping[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"word{i} "} for i in range(N_WORDS)]
    kind = {"object": "chat.completion.chunk"}
    events: list[Mapping[str, object]] = [
        _ABOUT
        | kind
        | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
        for delta in deltas
    ]
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    events += [_ABOUT | kind | {"choices": [last]}]
    events += [_ABOUT | kind | {"choices": [], "usage": _USAGE}]
    lines = [*(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"]
    chunks = "".join(f"{len(line):x}\r\n{line}\r\n" for line in lines)
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return f"{head}{chunks}0\r\n\r\n".encode()


_MODELS: Final = {
    "object": "list",
    "data": [{"id": MODEL, "object": "model", "root": MODEL, "max_model_len": 16384}],
}
_CHAT, _STREAM = _write_chat(), _write_stream()
_OTHERS: Final = {
    b"/v1/models": _write_reply(json.dumps(_MODELS).encode()),
    b"/tokenize": _write_reply(json.dumps({"count": 3, "tokens": [1, 2, 3]}).encode()),
    b"/health": _write_reply(b""),
}


class _Connection(asyncio.Protocol):
    """One client, which sends its bodies with a length."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            whole = end + len(_HEAD_END) + _read_length(self._received[:end])
            if len(self._received) < whole:
                return
            self._transport.write(_find_reply(self._received[:end], self._received[end:whole]))
            self._received = self._received[whole:]


def _read_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _find_reply(head: bytes, body: bytes) -> bytes:
    path = head.split(b" ", 2)[1]
    if path != b"/v1/chat/completions":
        return _OTHERS.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
    return _STREAM if b'"stream":true' in body.replace(b" ", b"") else _CHAT


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
