"""How the client behaves when vLLM is slow, full, broken or gone."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelMissing,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.vllm.client import VllmClient
from app.vllm.pool import Limits, Retries, Timeouts
from app.vllm.wire import ChatRequest
from prompting.messages import Message
from tests.fakes.vllm import FakeVllm, Scripted, serve

ASKED = (Message("user", "1 or 2?"),)
REQUEST = ChatRequest("fake", ASKED, max_tokens=3)
FAST = Retries(n_retries=2, base_s=0.01, cap_s=0.02)

OpenClient = Callable[..., Awaitable[VllmClient]]
Serve = Callable[[FakeVllm], str]


class Seen:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.n_retries = 0
        self.in_flight: list[int] = []

    def on_error(self, kind: str) -> None:
        self.errors.append(kind)

    def on_retry(self) -> None:
        self.n_retries += 1

    def on_in_flight(self, n: int) -> None:
        self.in_flight.append(n)


@pytest.fixture
def serving() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda fake: stack.enter_context(serve(fake.app))


@pytest.fixture
def fake() -> FakeVllm:
    return FakeVllm()


@pytest.fixture
def url(fake: FakeVllm, serving: Serve) -> str:
    return serving(fake)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def open_client(seen: Seen) -> AsyncIterator[OpenClient]:
    async with AsyncExitStack() as stack:

        async def open_(*urls: str, **options: object) -> VllmClient:
            settings = {"retries": FAST, "rng": random.Random(0), "observer": seen, **options}
            client = VllmClient(urls, **settings)  # type: ignore[arg-type]  # as the tests say
            return await stack.enter_async_context(client)

        yield open_


# What is sent


async def test_only_the_fields_of_the_request_are_sent(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)

    await client.chat(ChatRequest("fake", ASKED))

    messages = [{"role": "user", "content": "1 or 2?"}]
    assert fake.chats[0].body == {
        "model": "fake",
        "messages": messages,
        "n": 1,
        "stream": False,
    }


async def test_a_score_asks_for_one_token_and_the_labels_alone(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)

    await client.score(ASKED, ("1", "2"), model="fake")

    # The fake's token of a number is 10 more than it.
    assert fake.chats[0].body == {
        "model": "fake",
        "messages": [{"role": "user", "content": "1 or 2?"}],
        "max_tokens": 1,
        "temperature": 0.0,
        "n": 1,
        "logprobs": True,
        "logprob_token_ids": [11, 12],
        "return_tokens_as_token_ids": True,
        "stream": False,
    }


async def test_key_and_request_id_go_into_headers(serving: Serve, open_client: OpenClient) -> None:
    fake = FakeVllm(api_key="secret")
    client = await open_client(serving(fake), api_key="secret")

    await client.chat(REQUEST, "id-1")

    assert fake.chats[0].headers["authorization"] == "Bearer secret"
    assert fake.chats[0].headers["x-request-id"] == "id-1"


@pytest.mark.parametrize("labels", [(), ("1", "1")])
async def test_labels_that_are_not_different_are_refused(
    url: str, open_client: OpenClient, labels: tuple[str, ...]
) -> None:
    client = await open_client(url)

    with pytest.raises(ValueError, match="different"):
        await client.score(ASKED, labels, model="fake")


# Labels


async def test_a_label_is_looked_up_once_however_many_ask(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)

    found = await asyncio.gather(*(client.label_token_ids("fake", ("1", "2")) for _ in range(20)))
    again = await client.label_token_ids("fake", ("2", "1"))

    assert set(found) == {(11, 12)}
    assert again == (12, 11)
    # Two for the chat that asks, as it is and without thoughts, and one per label.
    assert len([r for r in fake.received if r.path == "/tokenize"]) == 4


async def test_a_failed_look_up_is_not_remembered(url: str, open_client: OpenClient) -> None:
    client = await open_client(url)

    for _ in range(2):
        with pytest.raises(UpstreamModelMissing):
            await client.label_token_ids("nobody", ("1",))

    assert await client.label_token_ids("fake", ("1",)) == (11,)


async def test_who_gives_up_does_not_stop_the_look_up_for_others(
    url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)
    impatient = asyncio.create_task(client.label_token_ids("fake", ("1",)))
    patient = asyncio.create_task(client.label_token_ids("fake", ("1",)))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient == (11,)


async def test_the_length_of_an_adapter_is_that_of_its_base(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.adapters["german"] = "/adapters/german"
    client = await open_client(url)

    assert await client.context_tokens("german") == fake.max_model_len


# Retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_reached_no_model_is_tried_again(
    fake: FakeVllm, url: str, open_client: OpenClient, seen: Seen, status: int
) -> None:
    client = await open_client(url)
    fake.script(Scripted(status), Scripted(status))

    await client.chat(REQUEST)

    assert len(fake.chats) == 3
    assert seen.n_retries == 2
    assert seen.errors == []


async def test_a_stream_is_tried_again_before_its_first_byte(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)
    fake.script(Scripted(503))

    chunks = [chunk async for chunk in client.stream(REQUEST)]

    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert len(fake.chats) == 2


async def test_a_model_that_one_server_cannot_get_back_is_asked_of_another(
    serving: Serve, open_client: OpenClient
) -> None:
    lacking, having = FakeVllm(), FakeVllm()
    having.adapters["german"] = "/adapters/german"
    asked: list[str] = []

    async def restore(model: str) -> bool:
        asked.append(model)
        return True

    client = await open_client(serving(lacking), serving(having), restore=restore)
    await client.chat(ChatRequest("german", ASKED, max_tokens=3))

    assert asked == ["german"]
    assert (len(lacking.chats), len(having.chats)) == (1, 1)


async def test_a_model_that_no_server_has_is_restored_once(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    asked: list[str] = []

    async def restore(model: str) -> bool:
        asked.append(model)
        return True

    client = await open_client(url, restore=restore)
    with pytest.raises(UpstreamModelMissing):
        await client.chat(ChatRequest("german", ASKED, max_tokens=3))

    assert (asked, len(fake.chats)) == (["german"], 2)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, UpstreamRejected),
        (401, UpstreamInvalid),
        (404, UpstreamInvalid),
        (413, UpstreamRejected),
        (500, UpstreamUnavailable),
    ],
)
async def test_what_another_try_would_not_mend_is_not_tried_again(
    fake: FakeVllm, url: str, open_client: OpenClient, status: int, error: type[UpstreamError]
) -> None:
    client = await open_client(url)
    fake.script(Scripted(status, message="no way"))

    with pytest.raises(error, match="no way"):
        await client.chat(REQUEST)

    assert len(fake.chats) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, UpstreamBusy), (503, UpstreamBusy), (502, UpstreamUnavailable)],
)
async def test_tries_are_bounded(
    fake: FakeVllm,
    url: str,
    open_client: OpenClient,
    seen: Seen,
    status: int,
    error: type[UpstreamError],
) -> None:
    client = await open_client(url)
    fake.script(*[Scripted(status)] * 5)

    with pytest.raises(error, match="currently busy"):
        await client.chat(REQUEST)

    assert len(fake.chats) == 3
    assert seen.errors == [error.__name__]


async def test_retry_after_is_waited_for(fake: FakeVllm, url: str, open_client: OpenClient) -> None:
    client = await open_client(url)
    fake.script(Scripted(503, headers={"Retry-After": "0.3"}))
    started = time.monotonic()

    await client.chat(REQUEST)

    assert 0.3 <= time.monotonic() - started < 2.0


async def test_a_long_retry_after_is_passed_on_instead(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)
    fake.script(Scripted(429, headers={"Retry-After": "60"}))

    with pytest.raises(UpstreamBusy) as caught:
        await client.chat(REQUEST)

    assert caught.value.retry_after_s == 60.0
    assert len(fake.chats) == 1


# Several servers


async def test_the_least_busy_server_gets_the_next_call(
    serving: Serve, open_client: OpenClient
) -> None:
    fakes = [FakeVllm(), FakeVllm()]
    for fake in fakes:
        fake.delay_s = 0.2
    client = await open_client(*map(serving, fakes))

    await asyncio.gather(*(client.chat(REQUEST) for _ in range(6)))

    assert [len(fake.chats) for fake in fakes] == [3, 3]


async def test_a_server_that_is_gone_is_left_out(
    fake: FakeVllm, url: str, open_client: OpenClient, seen: Seen
) -> None:
    client = await open_client(_closed_url(), url)

    for _ in range(3):
        await client.chat(REQUEST)

    assert len(fake.chats) == 3
    assert seen.n_retries == 1
    assert [health.is_healthy for health in await client.health()] == [False, True]


async def test_a_full_server_is_left_without_a_wait(
    serving: Serve, open_client: OpenClient
) -> None:
    full, free = FakeVllm(), FakeVllm()
    full.script(Scripted(503, headers={"Retry-After": "60"}))
    client = await open_client(serving(full), serving(free))

    await client.chat(REQUEST)

    assert len(full.chats) == len(free.chats) == 1


async def test_when_none_can_be_reached_the_log_says_which_and_the_error_when_to_come_back(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    gone = _closed_url()
    client = await open_client(gone)

    with pytest.raises(UpstreamUnavailable) as caught:
        await client.chat(REQUEST)

    assert caught.value.retry_after_s > 0
    # Whoever asked need not know where the servers are.
    assert gone not in str(caught.value)
    assert vars(caplog.records[-1])["fields"]["url"] == gone


async def test_a_single_server_is_tried_even_when_it_failed_just_now(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)
    fake.script(Scripted(500))
    with pytest.raises(UpstreamUnavailable):
        await client.chat(REQUEST)

    await client.chat(REQUEST)


# Leaving early


async def test_cancelling_a_chat_closes_its_connection(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.delay_s = 30.0
    client = await open_client(url)
    chat = asyncio.create_task(client.chat(REQUEST))
    await _until(lambda: fake.n_running == 1)

    chat.cancel()

    await _until(lambda: fake.n_left == 1)
    assert client.n_in_flight == 0
    with pytest.raises(asyncio.CancelledError):
        await chat


@pytest.mark.parametrize("n_read", [0, 2])
async def test_cancelling_a_stream_closes_its_connection(
    fake: FakeVllm, url: str, open_client: OpenClient, n_read: int
) -> None:
    fake.delay_s = 0.0 if n_read else 30.0
    fake.chunk_delay_s = 0.1
    client = await open_client(url)
    n_chunks = 0

    async def read() -> None:
        nonlocal n_chunks
        async with aclosing(client.stream(ChatRequest("fake", ASKED, max_tokens=500))) as chunks:
            async for _ in chunks:
                n_chunks += 1

    reading = asyncio.create_task(read())
    await _until(lambda: fake.n_running == 1 and n_chunks >= n_read)
    reading.cancel()

    await _until(lambda: fake.n_left == 1)
    assert client.n_in_flight == 0
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_leaving_a_stream_closes_its_connection(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.chunk_delay_s = 0.05
    client = await open_client(url)

    async with aclosing(client.stream(ChatRequest("fake", ASKED, max_tokens=500))) as chunks:
        await anext(chunks)

    await _until(lambda: fake.n_left == 1)
    assert client.n_in_flight == 0


# Too much at once


async def test_what_finds_the_queue_full_is_turned_away_at_once(
    fake: FakeVllm, url: str, open_client: OpenClient, seen: Seen
) -> None:
    fake.delay_s = 0.5
    limits = Limits(max_in_flight=1, max_queued=1, retry_after_s=3.0)
    client = await open_client(url, limits=limits)
    two = [asyncio.create_task(client.chat(REQUEST)) for _ in range(2)]
    await _until(lambda: fake.n_running == 1)
    assert (client.n_in_flight, client.n_queued) == (1, 1)
    started = time.monotonic()

    with pytest.raises(UpstreamBusy, match="1 requests run and 1 wait") as caught:
        await client.chat(REQUEST)

    assert time.monotonic() - started < 0.2
    assert caught.value.retry_after_s == 3.0
    await asyncio.gather(*two)
    assert len(fake.chats) == 2
    assert max(seen.in_flight) == 1
    assert seen.in_flight[-1] == 0


async def test_what_waits_too_long_in_the_queue_is_turned_away(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.delay_s = 1.0
    client = await open_client(url, limits=Limits(max_in_flight=1, queue_s=0.1))
    first = asyncio.create_task(client.chat(REQUEST))
    await _until(lambda: fake.n_running == 1)

    with pytest.raises(UpstreamBusy, match=r"within 0\.1 s"):
        await client.chat(REQUEST)

    await first


async def test_who_leaves_the_queue_takes_no_place(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.delay_s = 0.2
    client = await open_client(url, limits=Limits(max_in_flight=1))
    tasks = [asyncio.create_task(client.chat(REQUEST)) for _ in range(3)]
    await _until(lambda: fake.n_running == 1)
    tasks[1].cancel()

    await asyncio.gather(tasks[0], tasks[2])

    assert (client.n_in_flight, client.n_queued) == (0, 0)
    assert len(fake.chats) == 2


async def test_a_failed_call_gives_its_place_back(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url, limits=Limits(max_in_flight=1, max_queued=0))
    fake.script(Scripted(400))
    with pytest.raises(UpstreamRejected):
        await client.chat(REQUEST)

    await client.chat(REQUEST)


# Too slow


async def test_a_chat_has_a_time_limit(
    fake: FakeVllm, url: str, open_client: OpenClient, seen: Seen
) -> None:
    fake.delay_s = 30.0
    client = await open_client(url, timeouts=Timeouts(total_s=0.2))

    with pytest.raises(UpstreamTimeout, match=r"its answer within 0\.2 s"):
        await client.chat(REQUEST)

    await _until(lambda: fake.n_left == 1)
    assert seen.errors == ["UpstreamTimeout"]


@pytest.mark.parametrize(
    ("delay_s", "chunk_delay_s", "timeouts", "waited_for"),
    [
        (30.0, 0.0, Timeouts(first_byte_s=0.2), r"the start of its answer within 0\.2 s"),
        (0.0, 30.0, Timeouts(idle_s=0.2), r"the next part of its answer within 0\.2 s"),
        (0.0, 0.1, Timeouts(total_s=0.5), "the next part of its answer"),
    ],
)
async def test_a_stream_has_time_limits(
    fake: FakeVllm,
    url: str,
    open_client: OpenClient,
    delay_s: float,
    chunk_delay_s: float,
    timeouts: Timeouts,
    waited_for: str,
) -> None:
    fake.delay_s, fake.chunk_delay_s = delay_s, chunk_delay_s
    client = await open_client(url, timeouts=timeouts)

    with pytest.raises(UpstreamTimeout, match=waited_for):
        _ = [chunk async for chunk in client.stream(ChatRequest("fake", ASKED, max_tokens=500))]

    await _until(lambda: fake.n_left == 1)


async def test_a_connection_has_a_time_limit(open_client: OpenClient) -> None:
    with socket.socket() as listening:
        # Nobody accepts, and two connections fill the queue of waiting ones.
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        with ExitStack() as stack:
            for _ in range(2):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(address)
            client = await open_client(
                f"http://127.0.0.1:{address[1]}",
                timeouts=Timeouts(connect_s=0.2),
                retries=Retries(n_retries=0),
            )
            started = time.monotonic()

            with pytest.raises(UpstreamUnavailable, match=r"(?i)timeout"):
                await client.chat(REQUEST)

            assert time.monotonic() - started < 2.0


# Broken


async def test_a_connection_dropped_before_an_answer_is_not_tried_again(
    open_client: OpenClient,
) -> None:
    async with _dropping() as (url, dropped):
        client = await open_client(url)

        with pytest.raises(UpstreamUnavailable):
            await client.chat(REQUEST)

        assert len(dropped) == 1


async def test_a_connection_dropped_within_a_stream_is_not_tried_again(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.script(Scripted(drops_after=2))
    client = await open_client(url)
    chunks = client.stream(REQUEST)

    assert [(await anext(chunks))["object"] for _ in range(2)] == ["chat.completion.chunk"] * 2
    with pytest.raises(UpstreamUnavailable):
        await anext(chunks)

    assert len(fake.chats) == 1


async def test_an_error_within_a_stream_is_raised(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    fake.script(Scripted(error_after=1))
    client = await open_client(url)
    chunks = client.stream(REQUEST)
    await anext(chunks)

    with pytest.raises(UpstreamBusy, match="currently busy"):
        await anext(chunks)

    assert len(fake.chats) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "out of memory", "code": 500}, UpstreamUnavailable),
        ({"message": "out of memory", "code": 503}, UpstreamBusy),
        ({"message": "out of memory", "code": 400}, UpstreamRejected),
        ("out of memory", UpstreamUnavailable),
    ],
)
async def test_an_error_under_the_status_200_is_raised_as_what_it_says(
    fake: FakeVllm,
    url: str,
    open_client: OpenClient,
    error: object,
    expected: type[UpstreamError],
) -> None:
    client = await open_client(url)
    fake.script(Scripted(raw=json.dumps({"error": error}).encode()))

    with pytest.raises(expected, match="out of memory"):
        await client.chat(REQUEST)


WHOLE = '{"id":"a","created":1,"model":"fake","choices":[%s],"usage":%s}'
CHOICE = '{"index":0,"message":{"content":"x"},"finish_reason":"stop"}'
USAGE = '{"prompt_tokens":1,"completion_tokens":1}'


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "no json"),
        (200, "[]"),
        (200, "{}"),
        (200, (WHOLE % (CHOICE, USAGE)).replace("fake", "other")),
        (200, WHOLE % ("", USAGE)),
        (200, WHOLE % (CHOICE, "null")),
        (200, (WHOLE % (CHOICE, USAGE)).replace('"x"', "5")),
        (200, (WHOLE % (CHOICE, USAGE)).replace('"index":0', '"index":null')),
        (307, ""),
        (404, "<html>"),
        (405, '{"detail":"Method Not Allowed"}'),
    ],
)
async def test_a_reply_that_makes_no_sense_is_invalid(
    open_client: OpenClient, status: int, body: str
) -> None:
    with serve(_always(status, body)) as url:
        client = await open_client(url)

        with pytest.raises(UpstreamInvalid, match="expected"):
            await client.chat(REQUEST)


async def test_a_label_without_a_log_probability_is_invalid(
    fake: FakeVllm, url: str, open_client: OpenClient
) -> None:
    client = await open_client(url)
    fake.script(Scripted(raw=(WHOLE % (CHOICE, USAGE)).encode()))

    with pytest.raises(UpstreamInvalid, match="labels 1, 2"):
        await client.score(ASKED, ("1", "2"), model="fake")


@pytest.mark.parametrize("body", ["data: {}\n\n", "data: nonsense\n\n", "", "data: []\n\n"])
async def test_a_stream_that_breaks_off_or_makes_no_sense_is_invalid(
    open_client: OpenClient, body: str
) -> None:
    with serve(_always(200, body)) as url:
        client = await open_client(url)

        with pytest.raises(UpstreamInvalid):
            _ = [chunk async for chunk in client.stream(REQUEST)]


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await VllmClient(["http://127.0.0.1:1"]).chat(REQUEST)


def _closed_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _always(status: int, body: str) -> Starlette:
    async def reply(request: Request) -> Response:
        return Response(body, status_code=status, headers={"Location": "/elsewhere"})

    return Starlette(routes=[Route("/{path:path}", reply, methods=["POST", "GET"])])


@asynccontextmanager
async def _dropping() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve a port that reads each request and hangs up; yields its URL and what it read."""
    dropped: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dropped.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", dropped


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not holds():  # noqa: ASYNC110  # what it waits for happens in another thread
            await asyncio.sleep(0.01)
