"""The bridge to a vLLM that is elsewhere, with a fake in place of Ray. Needs no Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from deploy.ray.bridge import Asked, Bridge, Head

PART_S = 0.15
JSON = {"content-type": "application/json", "content-length": "999", "Connection": "close"}


class Lost(Exception):
    """Whoever had the request is gone."""


@dataclass
class Elsewhere:
    """What is asked, and how it answers."""

    asked: list[Asked] = field(default_factory=list)
    n_given_up: int = 0
    lost_after: int | None = None
    n_parts: int = 3

    @asynccontextmanager
    async def forward(self, asked: Asked) -> AsyncIterator[AsyncIterator[Head | bytes]]:
        self.asked.append(asked)
        async with aclosing(self._parts()) as parts:
            yield parts

    async def _parts(self) -> AsyncGenerator[Head | bytes, None]:
        n_sent = 0
        try:
            if self.lost_after == 0:
                raise Lost("it ended")
            yield Head(200, {"content-type": "text/plain"})
            for number in range(self.n_parts):
                if self.lost_after == number + 1:
                    raise Lost("it ended")
                yield f"{number};".encode()
                n_sent += 1
                await asyncio.sleep(PART_S)
        finally:
            self.n_given_up += n_sent < self.n_parts


Ask = Callable[..., Awaitable[aiohttp.ClientResponse]]


@asynccontextmanager
async def bridged(elsewhere: Elsewhere) -> AsyncIterator[Ask]:
    """A bridge, and what asks over it with the right key."""

    async def wait() -> None:
        await asyncio.sleep(0)

    bridge = Bridge(elsewhere.forward, wait_until_ready=wait, lost=(Lost,))
    async with bridge, aiohttp.ClientSession() as session:
        url, key = await bridge.address()

        def ask(path: str = "/v1/chat/completions", *, key: str = key) -> object:
            headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "r-1"}
            return session.post(url + path, data=b"{}", headers=headers)

        yield ask  # type: ignore[misc]  # aiohttp's own awaitable


async def test_a_request_goes_through_without_its_key_and_comes_back_in_parts() -> None:
    elsewhere = Elsewhere()
    async with bridged(elsewhere) as ask:
        response = await ask("/tokenize?a=1")
        came = [(part, time.monotonic()) async for part in response.content.iter_any()]

    assert response.status == 200
    assert response.content_type == "text/plain"
    assert b"".join(part for part, _ in came) == b"0;1;2;"
    assert came[-1][1] - came[0][1] > PART_S
    (asked,) = elsewhere.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/tokenize?a=1", b"{}")
    assert asked.headers["x-request-id"] == "r-1"
    assert {"authorization", "host", "content-length"}.isdisjoint(asked.headers)
    assert elsewhere.n_given_up == 0


async def test_another_key_is_refused() -> None:
    elsewhere = Elsewhere()
    async with bridged(elsewhere) as ask:
        assert (await ask(key="another")).status == 401
    assert elsewhere.asked == []


async def test_what_was_lost_before_it_began_is_to_be_sent_again() -> None:
    async with bridged(Elsewhere(lost_after=0)) as ask:
        response = await ask()
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert "it ended" in (await response.json())["error"]["message"]


async def test_what_was_lost_later_breaks_off() -> None:
    async with bridged(Elsewhere(lost_after=2)) as ask:
        response = await ask()
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_who_answers_learns_that_the_client_left() -> None:
    elsewhere = Elsewhere(n_parts=100)
    async with bridged(elsewhere) as ask:
        response = await ask()
        assert await response.content.readany() == b"0;"
        response.close()
        for _ in range(40):
            if elsewhere.n_given_up:
                break
            await asyncio.sleep(0.05)
    assert elsewhere.n_given_up == 1
