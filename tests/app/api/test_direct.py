"""A direct route takes and refuses what FastAPI would, and leaves to it what it does not read."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from app.api.direct import DirectRoute
from app.api.problems import install
from app.api.strict import StrictRoute


class Wanted(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=5)
    tags: list[str] = Field(default_factory=list)


class Filters(BaseModel):
    """Query parameters."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(1, ge=0)
    only: list[str] = Field(default_factory=list)


async def find_path(request: Request) -> str:
    """Return what a route may look up in a request."""
    return request.url.path


async def find_length(path: Annotated[str, Depends(find_path)]) -> int:
    """Return what depends on something that depends on a request."""
    return len(path)


async def take(
    body: Wanted,
    filters: Annotated[Filters, Query()],
    path: Annotated[str, Depends(find_path)],
    x_from: Annotated[str | None, Header(max_length=4)] = None,
) -> Response:
    """Return what arrived."""
    return Response(f"{body!r} {filters!r} {path} {x_from}")


def client_of(route_class: type[APIRoute]) -> httpx.AsyncClient:
    app, router = FastAPI(), APIRouter(route_class=route_class)
    router.post("/take")(take)
    install(app)
    app.routes.extend(router.routes)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


SOUND: list[dict[str, Any]] = [
    {"json": {"name": "a"}},
    {"json": {"name": "ä", "tags": ["x", "y"]}, "params": {"k": "3", "only": ["a", "b"]}},
    {"json": {"name": "a"}, "params": {"only": "a"}, "headers": {"X-From": "here"}},
]
UNUSUAL: list[dict[str, Any]] = [
    {"content": b'{"name": "a"}', "headers": {"Content-Type": "application/json; charset=utf-8"}},
    {"content": b'{"name": "a"}', "headers": {"Content-Type": "application/problem+json"}},
    {"content": b'{"name": "a"}', "headers": {"Content-Type": "text/plain"}},
    {"content": b'{"name": "a"}'},
    {"content": b'{"name": "a"', "headers": {"Content-Type": "application/json"}},
    {"content": b"\xff", "headers": {"Content-Type": "application/json"}},
    {"content": b"[" * 5_000, "headers": {"Content-Type": "application/json"}},
    {"content": b"", "headers": {"Content-Type": "application/json"}},
    {"content": b'{"name": "a", "name": "b"}', "headers": {"Content-Type": "application/json"}},
    {"json": []},
    {"json": None},
    {"json": {"name": "too long"}},
    {"json": {"name": "a", "other": 1}},
    {"json": {"name": "a"}, "params": {"k": "-1"}},
    {"json": {"name": "a"}, "params": {"k": ["1", "2"]}},
    {"json": {"name": "a"}, "params": {"other": "1"}},
    {"json": {"name": "a"}, "headers": [("X-From", "a"), ("X-From", "b")]},
    {"json": {"name": "a"}, "headers": {"X-From": "nowhere"}},
]


@pytest.mark.parametrize("request_", [*SOUND, *UNUSUAL])
async def test_it_replies_as_fastapi_does(request_: dict[str, Any]) -> None:
    async with client_of(DirectRoute) as direct, client_of(StrictRoute) as usual:
        found = await direct.post("/take", **request_)
        expected = await usual.post("/take", **request_)

    assert (found.status_code, found.text) == (expected.status_code, expected.text)
    assert (found.status_code == 200) == (request_ in SOUND or request_ in UNUSUAL[:2])


@pytest.mark.parametrize("request_", SOUND)
async def test_what_is_sound_fastapi_does_not_read(
    request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(**_: Any) -> None:
        raise AssertionError

    async with client_of(DirectRoute) as direct:
        monkeypatch.setattr("fastapi.routing.solve_dependencies", refuse)
        assert (await direct.post("/take", **request_)).status_code == 200


def test_an_endpoint_that_takes_more_is_refused() -> None:
    async def takes_path(name: str) -> Response:
        return Response(name)

    async def takes_nested(found: Annotated[str, Depends(find_length)]) -> Response:
        return Response(found)

    router = APIRouter(route_class=DirectRoute)
    with pytest.raises(TypeError, match=r"/by/.* takes more"):
        router.get("/by/{name}")(takes_path)
    with pytest.raises(TypeError, match="/nested takes more"):
        router.get("/nested")(takes_nested)
