"""What the proxies of Ray Serve say of a replica that is gone. Needs no Ray."""

from __future__ import annotations

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.ray.proxy import LostReplica, list_middlewares


async def lost(scope: Scope, receive: Receive, send: Send) -> None:
    """As Serve does of a replica that ended: nothing."""


async def breaking_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"its own"})


async def get(app: ASGIApp) -> httpx.Response:
    transport = httpx.ASGITransport(LostReplica(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://milieu") as client:
        return await client.get("/answer")


async def test_a_request_whose_replica_ended_is_to_be_sent_again() -> None:
    response = await get(lost)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "Send it again" in response.json()["detail"]


async def test_what_the_service_says_itself_stays() -> None:
    response = await get(refusing)
    assert (response.status_code, response.content) == (500, b"its own")


async def test_a_stream_that_breaks_off_gets_no_second_answer() -> None:
    sent: list[str] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))

    async def receive() -> dict[str, object]:
        pytest.fail("nothing is read")

    await LostReplica(breaking_off)({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start", "http.response.body"]


async def test_a_client_that_left_is_told_nothing() -> None:
    sent: list[str] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    await LostReplica(reading)({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert sent == []


def test_the_proxies_find_it() -> None:
    (only,) = list_middlewares()
    assert isinstance(only.cls(lost, *only.args, **only.kwargs), LostReplica)
