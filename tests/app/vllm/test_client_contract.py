"""What Milieu relies on, of the fake vLLM and of the real one."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from adapters.errors import AdapterLoadFailed
from app.errors import UpstreamInvalid, UpstreamModelMissing, UpstreamRejected
from app.vllm.client import VllmClient
from app.vllm.lora import VllmLora
from app.vllm.wire import ChatChunk, ChatRequest
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from tests.conftest import ServedVllm
from tests.fakes.vllm import FakeVllm, serve

ASKED = (Message("system", "Answer with a number."), Message("user", "How are you? 1 or 2"))
LONG = (Message("user", "a bird in the hand is worth two in the bush, " * 16),)
NEVER_ENDING = ("and so on " * 60,)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.vllm)])
def served(request: pytest.FixtureRequest) -> Iterator[ServedVllm]:
    if request.param == "real":
        vllm: ServedVllm = request.getfixturevalue("real_vllm")
        yield vllm
        return
    fake = FakeVllm(api_key="secret", max_model_len=1024)
    fake.chunk_delay_s = 0.01
    fake.refuses.add("nowhere@1")
    with serve(fake.app) as url:
        yield ServedVllm(url, "secret", fake.model, fake.max_model_len)


@pytest.fixture
async def client(served: ServedVllm) -> AsyncIterator[VllmClient]:
    async with VllmClient([served.url], api_key=served.api_key) as client:
        yield client


async def test_it_is_healthy(client: VllmClient, served: ServedVllm) -> None:
    assert await client.health() == ((served.url, True),)


async def test_it_lists_the_model_and_its_length(client: VllmClient, served: ServedVllm) -> None:
    assert served.model in [model.id for model in await client.models()]
    assert await client.context_tokens(served.model) == served.max_model_len


async def test_a_chat_is_answered(client: VllmClient, served: ServedVllm) -> None:
    completion = await client.chat(ChatRequest(served.model, ASKED, max_tokens=4))

    assert completion.model == served.model
    assert completion.finish_reason in ("length", "stop")
    assert completion.usage.prompt_tokens == await client.count_tokens(ASKED, model=served.model)
    assert 1 <= completion.usage.completion_tokens <= 4


async def test_an_answer_can_be_limited_to_choices(client: VllmClient, served: ServedVllm) -> None:
    request = ChatRequest(served.model, ASKED, max_tokens=32, choices=("No.", "Yes, 2"))

    assert (await client.chat(request)).text in request.choices


async def test_several_answers_come_in_order(client: VllmClient, served: ServedVllm) -> None:
    request = ChatRequest(served.model, ASKED, max_tokens=4, n=3, temperature=1.0)

    completion = await client.chat(request, "the-same-id")

    assert [choice.index for choice in completion.choices] == [0, 1, 2]


async def test_a_stream_says_what_the_whole_says(client: VllmClient, served: ServedVllm) -> None:
    request = ChatRequest(served.model, ASKED, max_tokens=32, choices=("Yes, 2",))

    chunks = [chunk async for chunk in client.stream(request)]

    assert "".join(_text(chunk) for chunk in chunks) == "Yes, 2"
    assert chunks[-1]["choices"] == []
    whole = await client.chat(request)
    assert chunks[-1]["usage"]["prompt_tokens"] == whole.usage.prompt_tokens
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)


async def test_every_field_of_a_request_is_understood(
    client: VllmClient, served: ServedVllm
) -> None:
    request = ChatRequest(
        served.model,
        ASKED,
        max_tokens=2,
        temperature=0.6,
        top_p=0.9,
        top_k=20,
        min_p=0.01,
        seed=42,
        stop=("\n\n",),
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "text"},
    )

    completion = await client.chat(request)

    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs["content"]) == completion.usage.completion_tokens


async def test_labels_are_scored_in_one_token(client: VllmClient, served: ServedVllm) -> None:
    labels = ("1", "2", "3")

    scores = await client.score(ASKED, labels, model=served.model)

    assert scores is not None
    assert scores.labels == labels
    assert all(value < 0.0 for value in scores.logprobs)
    # Sums to 1.00 over all tokens; rounding to bfloat16 may lift it a little.
    assert 0.0 < sum(map(math.exp, scores.logprobs)) < 1.02
    assert scores.usage.completion_tokens == 1


async def test_scores_are_the_same_twice_and_whatever_the_order_of_labels(
    client: VllmClient, served: ServedVllm
) -> None:
    forwards = await client.score(ASKED, ("1", "2"), model=served.model)
    backwards = await client.score(ASKED, ("2", "1"), model=served.model)

    assert forwards is not None
    assert backwards is not None
    # vLLM is not bit-stable: up to 0.06 nat were seen between batch sizes.
    assert forwards.logprobs == pytest.approx(backwards.logprobs[::-1], abs=0.1)


async def test_many_scores_of_one_request_id_run_side_by_side(
    client: VllmClient, served: ServedVllm
) -> None:
    asked = [(Message("user", f"{i} or 2"),) for i in range(8)]
    scoring = (client.score(a, ("1", "2"), model=served.model, request_id="one") for a in asked)

    assert None not in await asyncio.gather(*scoring)


async def test_a_label_of_several_tokens_is_not_scored(
    client: VllmClient, served: ServedVllm
) -> None:
    labels = ("1", "a label of many tokens")

    assert await client.label_token_ids(served.model, labels) is None
    assert await client.score(ASKED, labels, model=served.model) is None


async def test_labels_have_different_tokens_that_the_template_ends_before(
    client: VllmClient, served: ServedVllm
) -> None:
    ids = await client.label_token_ids(served.model, ("1", "2"))

    assert ids is not None
    assert ids[0] != ids[1]
    assert not set(ids) & set(await client.tokenize((Message("user", "?"),), model=served.model))


@pytest.mark.parametrize("first_number", [0, 1])
async def test_a_model_with_tokens_for_numbers_is_asked_by_them_as_ever(
    client: VllmClient, served: ServedVllm, first_number: int
) -> None:
    asked = AskedQuestion("?", ("x",) * 9, first_number)

    assert await client.choose_labels(served.model, asked) is LabelScheme.NUMBERS
    # No more is sent than the chat that anyone would send.
    n_tokens = len(await client.tokenize(ASKED, model=served.model))
    assert await client.count_tokens(ASKED, model=served.model) == n_tokens


async def test_a_text_is_tokenized(client: VllmClient, served: ServedVllm) -> None:
    once = await client.tokenize("bird", model=served.model)

    assert once
    assert await client.count_tokens("bird bird", model=served.model) > len(once)


async def test_a_prefix_seen_before_is_cached(client: VllmClient, served: ServedVllm) -> None:
    # 16 times 45 characters: more than one block of 128 tokens even if tokens are words.
    async def cached_tokens(start: str) -> int:
        messages = (Message("user", f"{start} {LONG[0].content}"),)
        scores = await client.score(messages, ("1", "2"), model=served.model)
        assert scores is not None
        return scores.usage.cached_tokens

    # No other test starts a prompt so.
    assert await cached_tokens("Seven magpies.") == 0
    assert await cached_tokens("Seven magpies.") >= 128
    assert await cached_tokens("Nine herons.") == 0


async def test_hits_of_the_prefix_cache_are_counted_in_tokens(
    client: VllmClient, served: ServedVllm
) -> None:
    before = await _cache_counts(served)
    messages = (Message("user", f"Eleven cranes. {LONG[0].content}"),)
    asked = [await client.score(messages, ("1", "2"), model=served.model) for _ in range(2)]
    usages = [scores.usage for scores in asked if scores is not None]
    expected = (
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )

    # They are counted after the answer has gone out.
    async with asyncio.timeout(20.0):
        while True:
            after = await _cache_counts(served)
            counted = after[0] - before[0], after[1] - before[1]
            if counted[0] >= expected[0]:
                break
            await asyncio.sleep(0.1)
    assert counted == expected
    assert expected[1] >= 128


async def test_a_run_of_a_server_has_a_name_of_its_own(served: ServedVllm) -> None:
    async with VllmLora(served.url, api_key=served.api_key) as server:
        run = await server.identify_run()

        assert run is not None
        assert float(run) <= time.time()
        assert await server.identify_run() == run


async def test_an_adapter_that_is_nowhere_is_not_loaded(served: ServedVllm, tmp_path: Path) -> None:
    async with VllmLora(served.url, api_key=served.api_key) as server:
        before = await server.loaded()
        with pytest.raises(AdapterLoadFailed):
            await server.load("nowhere@1", tmp_path / "nowhere@1")
        # Nor does unloading it do anything.
        await server.unload("nowhere@1")

        assert await server.loaded() == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.chat(ChatRequest("nobody", ASKED)),
        lambda client: anext(client.stream(ChatRequest("nobody", ASKED))),
        lambda client: client.score(ASKED, ("1", "2"), model="nobody"),
        lambda client: client.tokenize("bird", model="nobody"),
        lambda client: client.context_tokens("nobody"),
    ],
    ids=["chat", "stream", "score", "tokenize", "context_tokens"],
)
async def test_an_unknown_model_is_missing(
    client: VllmClient, ask: Callable[[VllmClient], Awaitable[object]]
) -> None:
    with pytest.raises(UpstreamModelMissing, match="nobody") as caught:
        await ask(client)

    assert caught.value.model == "nobody"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_prompt_that_is_too_long_is_rejected_with_vllms_reason(
    client: VllmClient, served: ServedVllm, streamed: bool
) -> None:
    asked = (Message("user", "1 2 3 4 5 6 7 8 9 " * served.max_model_len),)
    request = ChatRequest(served.model, asked, max_tokens=4)

    with pytest.raises(UpstreamRejected, match=str(served.max_model_len)) as caught:
        await (anext(client.stream(request)) if streamed else client.chat(request))

    assert caught.value.status == 400


async def test_a_value_out_of_range_is_rejected(client: VllmClient, served: ServedVllm) -> None:
    with pytest.raises(UpstreamRejected, match="max_tokens"):
        await client.chat(ChatRequest(served.model, ASKED, max_tokens=-1))


async def test_a_wrong_key_is_not_the_clients_fault(served: ServedVllm) -> None:
    async with VllmClient([served.url], api_key="wrong") as client:
        with pytest.raises(UpstreamInvalid, match="401"):
            await client.chat(ChatRequest(served.model, ASKED))


async def test_a_stream_that_is_left_stops_generating(
    client: VllmClient, served: ServedVllm
) -> None:
    request = ChatRequest(served.model, ASKED, max_tokens=500, choices=NEVER_ENDING)

    async with aclosing(client.stream(request)) as chunks:
        await anext(chunks)
        assert await _n_running(served) == 1

    await _until_idle(served)
    assert client.n_in_flight == 0


async def test_a_cancelled_chat_stops_generating(served: ServedVllm) -> None:
    request = ChatRequest(served.model, ASKED, max_tokens=500, choices=NEVER_ENDING)
    async with VllmClient([served.url], api_key=served.api_key) as client:
        chat = asyncio.create_task(client.chat(request))
        while await _n_running(served) == 0:
            assert not chat.done()
            await asyncio.sleep(0.02)
        cancelled = time.monotonic()
        chat.cancel()
        await _until_idle(served)

        # All of it would take longer.
        assert time.monotonic() - cancelled < 1.0
        with pytest.raises(asyncio.CancelledError):
            await chat


@pytest.mark.timeout(180)
async def test_many_long_sampled_chats_with_seeds_leave_it_alive(served: ServedVllm) -> None:
    """Together they are more than one step reads; vLLM on a CPU once died of that."""
    text = "The quick brown fox jumps over the lazy dog near the river bank. " * 12
    chats = [
        ChatRequest(
            served.model, (Message("user", f"{i}: {text}"),), max_tokens=2, temperature=0.9, seed=i
        )
        for i in range(14)
    ]
    async with VllmClient([served.url], api_key=served.api_key) as client:
        answers = await asyncio.gather(*(client.chat(chat) for chat in chats))

        assert all(answer.usage.completion_tokens >= 1 for answer in answers)
        assert (await client.health())[0].is_healthy


def _text(chunk: ChatChunk) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


async def _cache_counts(served: ServedVllm) -> tuple[int, int]:
    """Return how many tokens were looked up in the prefix cache, and how many were there."""
    async with aiohttp.request("GET", f"{served.url}/metrics") as response:
        metrics = await response.text()
    found = [
        re.findall(rf"^vllm:prefix_cache_{what}_total\{{.*\}} (\S+)$", metrics, re.MULTILINE)
        for what in ("queries", "hits")
    ]
    return int(sum(map(float, found[0]))), int(sum(map(float, found[1])))


async def _n_running(served: ServedVllm) -> int:
    async with aiohttp.request("GET", f"{served.url}/metrics") as response:
        found = re.findall(
            r"^vllm:num_requests_running\{.*\} (\S+)$", await response.text(), re.MULTILINE
        )
    return int(sum(map(float, found)))


async def _until_idle(served: ServedVllm) -> None:
    async with asyncio.timeout(5.0):
        while await _n_running(served):  # noqa: ASYNC110  # it happens in another process
            await asyncio.sleep(0.02)
