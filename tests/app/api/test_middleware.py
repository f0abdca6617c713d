"""Request ids, keys, clients that leave, faults, and the count of it all."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware import BodyReader, KeyCheck, RequestContext
from app.api.problems import response_to
from app.errors import KeyRefused
from app.logs import request_id
from app.telemetry import Metrics
from experiments.errors import ExperimentUnknown
from tests.app.service import NEIGHBOURS, RELIGION, counted, opened
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings

RELIGION_IN_GERMANY = {"culture": "DE", "question": RELIGION, "answer_from": "model"}
GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("given", ["a", "abc-123_x.Y", "z" * 64])
def test_a_harmless_request_id_is_taken_over(client: httpx.Client, given: str) -> None:
    reply = client.get("/nowhere", headers={"X-Request-Id": given})

    assert reply.headers["X-Request-Id"] == given
    assert reply.json()["instance"] == f"urn:milieu:request:{given}"


@pytest.mark.parametrize("given", ["", "a b", "z" * 65, "a=b", '"', "é", "a\tb", "{}"])
def test_any_other_is_replaced(client: httpx.Client, given: str) -> None:
    reply = client.get("/livez", headers={b"X-Request-Id": given.encode()})

    assert GENERATED.fullmatch(reply.headers["X-Request-Id"])


def test_every_request_gets_an_id_of_its_own(client: httpx.Client) -> None:
    ids = {client.get("/livez").headers["X-Request-Id"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first"},
        {"Authorization": "bearer second"},
        {"X-API-Key": "second"},
        {"X-API-Key": "first", "Authorization": "Basic dTpw"},
        {"X-API-Key": "first", "Authorization": "Bearer wrong"},
    ],
)
async def test_a_request_with_a_key_is_served(
    make_settings: MakeSettings, headers: dict[str, str]
) -> None:
    async with opened(make_settings(api_keys="first, second")) as client:
        assert (await client.get("/v1/cultures", headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/adapters", "/v1/adapters/a@1", "/v1/experiments/e"])
async def test_what_is_an_admins_is_closed_and_says_what_failed(
    make_settings: MakeSettings, path: str
) -> None:
    async with opened(make_settings()) as client:
        assert (await client.get(path)).status_code == 401
    told = response_to({"type": "http", "path": path}, ExperimentUnknown("none", ["secret"]))
    assert b"secret" in cast(JSONResponse, told).body


@pytest.mark.parametrize("path", ["/v1/adaptersX", "/v1/experiments-2", "/v1/adapter"])
async def test_a_path_that_only_begins_like_an_admins_is_anybodys(
    make_settings: MakeSettings, path: str
) -> None:
    async with opened(make_settings()) as client:
        assert (await client.get(path)).status_code == 404
    told = response_to({"type": "http", "path": path}, ExperimentUnknown("none", ["secret"]))
    assert b"secret" not in cast(JSONResponse, told).body


async def test_a_request_without_a_key_is_refused(make_settings: MakeSettings) -> None:
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "first"},
        {"Authorization": "Basic first"},
        {"Authorization": "Bearer "},
        {"X-API-Key": ""},
        {"X-API-Key": "firs"},
        {"X-API-Key": "first, second"},
    ]
    async with opened(make_settings(api_keys="first,second")) as client:
        for headers in wrong:
            reply = await client.get("/answer", params=RELIGION_IN_GERMANY, headers=headers)
            assert reply.status_code == 401, headers
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["type"] == "urn:milieu:problem:key-refused"
            assert "X-API-Key" in reply.json()["detail"]
            assert "first" not in reply.text
        for path in ("/metrics", "/openapi.json", "/docs", "/v1/cultures", "/nowhere"):
            assert (await client.get(path)).status_code == 401, path
        assert "error" in (await client.get("/v1/models")).json()


async def test_whether_it_lives_and_is_ready_needs_no_key(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys="first")) as client:
        for path in ("/livez", "/readyz"):
            assert (await client.get(path)).status_code == 200


ADMINS = ("/v1/adapters", "/v1/adapters/", "/v1/adapters/x", "/v1/adapters/x/activate")


@pytest.mark.parametrize("api_keys", ["", "user"])
async def test_what_is_an_admins_needs_an_admin_key(
    make_settings: MakeSettings, api_keys: str
) -> None:
    async with opened(make_settings(api_keys=api_keys, admin_keys="root, other")) as client:
        for path in ADMINS:
            for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer "}):
                reply = await client.get(path, headers=headers)
                assert reply.status_code == 401, (path, headers)
                assert reply.json()["detail"].startswith("Send an admin key as ")
            reply = await client.get(path, headers={"X-API-Key": "user"})
            assert reply.status_code == (403 if api_keys else 401)
            reply = await client.get(path, headers={"X-API-Key": "other"})
            assert reply.status_code not in (401, 403)


async def test_an_ordinary_key_is_told_that_it_is_none(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys="user", admin_keys="root")) as client:
        reply = await client.delete("/v1/adapters/x", headers={"Authorization": "Bearer user"})

    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:milieu:problem:admin-key-refused"
    assert "MILIEU_ADMIN_KEYS" in reply.json()["detail"]
    assert "root" not in reply.text


async def test_an_admin_key_opens_everything(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys="user", admin_keys="root")) as client:
        for path in ("/v1/cultures", "/metrics", "/openapi.json"):
            for key in ("user", "root"):
                reply = await client.get(path, headers={"X-API-Key": key})
                assert reply.status_code == 200, (path, key)
            assert (await client.get(path)).status_code == 401


async def test_without_an_admin_key_nobody_is_an_admin(make_settings: MakeSettings) -> None:
    async with opened(make_settings()) as client:
        for headers in ({}, {"X-API-Key": ""}, {"Authorization": "Bearer "}):
            assert (await client.get("/v1/adapters", headers=headers)).status_code == 401
        assert (await client.get("/v1/cultures")).status_code == 200


@pytest.mark.parametrize(
    "path", ["//v1/adapters", "/V1/adapters", "/v1//adapters", "/v1/adapters%2f", "/v1/./adapters"]
)
def test_no_other_spelling_of_a_path_leads_there(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (401, 404)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def post(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_left(fake: FakeVllm, *, n: int = 1) -> None:
    await until(lambda: fake.n_left >= n and not fake.n_running)


CHAT: dict[str, Any] = {"model": "fake@DE", "messages": [{"role": "user", "content": NEIGHBOURS}]}
LEFT: list[tuple[str, dict[str, Any]]] = [
    ("/answer", {"culture": "DE", "question": RELIGION, "answer_from": "model"}),
    ("/answer", {"culture": "DE", "question": NEIGHBOURS}),
    ("/answer", {"culture": "DE", "question": NEIGHBOURS, "stream": True}),
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", CHAT | {"stream": True}),
]


@pytest.mark.parametrize(("path", "body"), LEFT)
async def test_a_client_that_leaves_before_the_first_token_stops_vllm(
    milieu_url: str, fake: FakeVllm, path: str, body: dict[str, Any]
) -> None:
    fake.delay_s = 30.0
    async with connection(milieu_url) as (_, writer):
        writer.write(post(path, body))
        await until(lambda: fake.n_running == 1)

    await until_left(fake)


async def test_a_client_that_leaves_stops_every_order(milieu_url: str, fake: FakeVllm) -> None:
    fake.delay_s = 30.0
    async with connection(milieu_url) as (_, writer):
        writer.write(
            post(
                "/answer",
                {"culture": "DE", "question": RELIGION, "answer_from": "model", "orders": 2},
            )
        )
        await until(lambda: fake.n_running == 2)

    await until_left(fake, n=2)


@pytest.mark.parametrize(("path", "body"), [left for left in LEFT if "stream" in left[1]])
async def test_a_client_that_leaves_amid_a_stream_stops_vllm(
    milieu_url: str, fake: FakeVllm, path: str, body: dict[str, Any]
) -> None:
    fake.chunk_delay_s = 0.05
    async with connection(milieu_url) as (reader, writer):
        writer.write(post(path, body | {"max_tokens": 1000}))
        async with asyncio.timeout(5.0):
            await reader.readuntil(b'": " w')
        assert fake.n_running == 1

    await until_left(fake)


async def test_a_client_that_leaves_is_counted_as_such(
    milieu_url: str, client: httpx.Client, fake: FakeVllm
) -> None:
    def n_left() -> float:
        metrics = client.get("/metrics").text
        return counted(metrics, "milieu_requests_total", route="/answer", status="499")

    before = n_left()
    fake.delay_s = 30.0
    async with connection(milieu_url) as (_, writer):
        writer.write(post("/answer", RELIGION_IN_GERMANY))
        await until(lambda: fake.n_running == 1)
    await until_left(fake)

    await until(lambda: n_left() == before + 1)


async def test_a_body_that_is_cut_off_is_not_answered(milieu_url: str, fake: FakeVllm) -> None:
    async with connection(milieu_url) as (_, writer):
        writer.write(post("/answer", RELIGION_IN_GERMANY)[:-10])
        await writer.drain()

    async with connection(milieu_url) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in await reader.readline()
    assert fake.chats == []


def test_requests_are_counted_by_route_and_status(client: httpx.Client) -> None:
    def n(route: str, status: str) -> float:
        metrics = client.get("/metrics").text
        return counted(metrics, "milieu_requests_total", route=route, status=status)

    kinds = [
        ("/answer", "200"),
        ("/v1/cultures/{code}", "404"),
        ("unmatched", "404"),
        ("unmatched", "413"),
    ]
    before = [n(*kind) for kind in kinds]
    client.get("/answer", params=RELIGION_IN_GERMANY)
    client.get("/v1/cultures/nowhere")
    client.get("/secret-path")
    client.post("/answer", content=b" " * 300_000)

    assert [n(*kind) for kind in kinds] == [count + 1 for count in before]
    assert "secret-path" not in client.get("/metrics").text


def scope_of(path: str = "/answer") -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": []}


async def exchange(app: Any, *messages: Message, path: str = "/answer") -> list[Message]:
    """Return what `app` sends to a client that sends `messages` and then waits."""
    waiting = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(path), receive, send)
    return sent


async def test_a_fault_is_a_problem_with_the_id_that_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = ""

    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        seen = request_id.get()
        raise KeyError("the secret of the fault")

    metrics = Metrics()
    sent = await exchange(RequestContext(faulty, metrics, response_to))

    assert sent[0]["status"] == 500
    headers = dict(sent[0]["headers"])
    assert headers[b"x-request-id"].decode() == seen
    problem = json.loads(sent[1]["body"])
    assert problem["instance"] == f"urn:milieu:request:{seen}"
    assert "secret" not in json.dumps(problem)
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.getMessage() == "request_failed"
    assert record.exc_info
    labels = {"route": "unmatched", "status": "500"}
    assert metrics.registry.get_sample_value("milieu_requests_total", labels) == 1.0


async def test_a_fault_amid_a_response_breaks_it_off() -> None:
    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("later")

    with pytest.raises(KeyError, match="later"):
        await exchange(RequestContext(faulty, Metrics(), response_to))


async def test_a_body_comes_whole_however_it_was_cut() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        await send({"type": "http.response.body", "body": message["body"]})

    parts: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": False},
    ]
    [sent] = await exchange(BodyReader(echo, response_to), *parts)

    assert sent["body"] == b"abc"


async def test_a_client_that_leaves_amid_its_body_is_not_served() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    parts: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert await exchange(BodyReader(never, response_to), *parts) == []


async def test_a_fault_passes_the_body_reader() -> None:
    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("passed")

    with pytest.raises(KeyError, match="passed"):
        await exchange(BodyReader(faulty, response_to), {"type": "http.request"})


async def test_a_request_ends_with_its_client_and_nothing_else_does() -> None:
    ended: list[str] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("request")

    parts: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]
    assert await exchange(BodyReader(wait, response_to), *parts) == []
    ended.append("server")

    assert ended == ["request", "server"]


async def test_a_server_that_ends_a_request_is_obeyed() -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    serving = asyncio.create_task(exchange(BodyReader(wait, response_to), {"type": "http.request"}))
    await asyncio.sleep(0)
    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_what_is_no_http_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    for wrapped in (
        BodyReader(app, response_to),
        KeyCheck(app, ("key",), response_to),
        RequestContext(app, Metrics(), response_to),
    ):
        await wrapped({"type": "lifespan"}, nothing, nothing)

    assert seen == ["lifespan"] * 3


async def test_without_keys_every_request_passes() -> None:
    async def ok(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    [sent] = await exchange(KeyCheck(ok, (), response_to))
    assert sent["status"] == 200
    refused = await exchange(KeyCheck(ok, ("key",), response_to))
    assert refused[0]["status"] == 401
    assert json.loads(refused[1]["body"])["detail"] == str(KeyRefused())
