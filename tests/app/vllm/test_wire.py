"""The body that a request becomes."""

from __future__ import annotations

import pytest

from app.errors import UpstreamInvalid
from app.vllm.wire import ChatRequest, read_json
from prompting.messages import Message

ASKED = (Message("user", "1 or 2?"),)


def test_every_field_has_its_place_in_the_body() -> None:
    request = ChatRequest(
        "fake",
        ASKED,
        max_tokens=2,
        temperature=0.0,
        top_p=0.9,
        top_k=20,
        min_p=0.01,
        seed=0,
        stop=("a",),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        n=2,
        choices=("x", "y"),
        response_format={"type": "json_object"},
    )

    assert request.body(stream=True) == {
        "model": "fake",
        "messages": [{"role": "user", "content": "1 or 2?"}],
        "max_tokens": 2,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.01,
        "seed": 0,
        "stop": ["a"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 0,
        "n": 2,
        "structured_outputs": {"choice": ["x", "y"]},
        "response_format": {"type": "json_object"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("n", [0, 9])
def test_a_number_of_answers_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        ChatRequest("fake", ASKED, n=n)


def test_a_chat_without_messages_is_refused() -> None:
    with pytest.raises(ValueError, match="message"):
        ChatRequest("fake", ())


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[1]", b'{"a":' * 100_000, rb'{"half a pair": "\ud83d"}'], ids=len
)
def test_a_reply_that_is_no_object_is_invalid(data: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        read_json(data)
