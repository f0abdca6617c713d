"""The page and keys: asked for, kept in a session only, and spent by the page alone."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.datastructures import Headers

from app.api.sessions import COOKIE, Role, Sessions, is_own_request
from tests.app.service import RELIGION, opened
from tests.app.web.pages import BROWSER, OWN, check_page
from tests.fixtures.service import MakeSettings

KEYS = {"api_keys": "user-key", "admin_keys": "root-key"}


async def enter(client: httpx.AsyncClient, key: str, next_path: str = "/") -> httpx.Response:
    return await client.post("/key", data={"key": key, "next_path": next_path}, headers=OWN)


async def test_without_a_key_a_browser_is_asked_for_one(make_settings: MakeSettings) -> None:
    async with opened(make_settings(**KEYS)) as client:
        reply = await client.get("/?question=a&culture=DE", headers=BROWSER)
        asset = re.findall(r'href="(/static/[^"]+css)"', reply.text)[0]

        assert reply.status_code == 401
        check_page(reply)
        assert 'name="next_path" value="/?question=a&amp;culture=DE"' in reply.text
        assert (await client.get(asset)).status_code == 200
        assert (await client.get("/", headers={"Accept": "*/*"})).json()["status"] == 401


async def test_a_key_opens_a_session_that_no_script_can_read(make_settings: MakeSettings) -> None:
    async with opened(make_settings(**KEYS)) as client:
        reply = await enter(client, "user-key", "/?question=a")
        cookie = reply.headers["set-cookie"]

        assert reply.status_code == 303
        assert reply.headers["location"] == "/?question=a"
        for part in (f"{COOKIE}=", "HttpOnly", "SameSite=strict", "Path=/"):
            assert part in cookie
        assert "user-key" not in cookie
        assert "max-age" not in cookie.lower()
        assert "expires" not in cookie.lower()
        page = await client.get(f"/?question={RELIGION}&culture=DE", headers=OWN)
        assert page.status_code == 200
        assert "user-key" not in page.text
        assert "Forget the key" in page.text


@pytest.mark.parametrize("key", ["", "wrong", "user-ke"])
async def test_a_wrong_key_is_refused_beside_its_field(
    make_settings: MakeSettings, key: str
) -> None:
    async with opened(make_settings(**KEYS)) as client:
        reply = await enter(client, key)

        assert reply.status_code == 401
        check_page(reply)
        assert 'id="fault-key"' in reply.text
        assert "set-cookie" not in reply.headers
        assert "user-key" not in reply.text


async def test_a_forgotten_key_opens_nothing(make_settings: MakeSettings) -> None:
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "user-key")
        token = client.cookies[COOKIE]
        assert (await client.get("/", headers=OWN)).status_code == 200
        assert (await client.post("/key/forget", headers=OWN)).status_code == 303
        client.cookies.set(COOKIE, token)
        assert (await client.get("/", headers=OWN)).status_code == 401


CROSS = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://elsewhere"},
    {"Origin": "null"},
    {},
]


@pytest.mark.parametrize("headers", CROSS)
async def test_a_request_of_another_site_spends_no_key(
    make_settings: MakeSettings, headers: dict[str, str]
) -> None:
    body = {"question": RELIGION, "culture": "DE"}
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "user-key")
        refused = await client.post("/answer", json=body, headers=headers)
        own = {"Origin": "http://milieu"}
        served = [await client.post("/answer", json=body, headers=each) for each in (OWN, own)]

        assert refused.status_code == 401
        assert [reply.status_code for reply in served] == [200, 200]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_link_of_another_site_reads_nothing_with_a_key(
    make_settings: MakeSettings, site: str
) -> None:
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "user-key")
        reply = await client.get("/", headers=BROWSER | {"Sec-Fetch-Site": site})

        assert reply.status_code == 401
        assert "Open the page again" in reply.text


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize("path", ["/key", "/key/forget"])
async def test_another_site_neither_enters_nor_forgets_a_key(
    make_settings: MakeSettings, headers: dict[str, str], path: str
) -> None:
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "user-key")
        data = {"key": "root-key"}
        reply = await client.post(path, data=data, headers=BROWSER | headers)

        assert reply.status_code == 403
        assert "set-cookie" not in reply.headers
        assert (await client.get("/", headers=OWN)).status_code == 200


async def test_a_session_changes_nothing_that_is_an_admins(make_settings: MakeSettings) -> None:
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "root-key")
        read = await client.get("/v1/experiments", headers=OWN)
        changed = await client.post("/v1/experiments", json={"name": "a"}, headers=OWN)
        by_key = await client.post("/v1/experiments", json={}, headers={"X-API-Key": "root-key"})

        assert read.status_code == 200
        assert changed.status_code == 401
        assert by_key.status_code == 422


async def test_an_ordinary_session_is_told_that_it_needs_an_admins(
    make_settings: MakeSettings,
) -> None:
    async with opened(make_settings(**KEYS)) as client:
        await enter(client, "user-key")
        reply = await client.get("/experiments", headers=OWN)

        assert reply.status_code == 403
        assert "An admin key is needed" in reply.text


@pytest.mark.parametrize(
    "wanted", ["//evil", "/\\evil", "http://evil", "javascript:alert(1)", "", "/a\r\nX: y"]
)
async def test_a_key_leads_to_no_other_site(make_settings: MakeSettings, wanted: str) -> None:
    async with opened(make_settings(**KEYS)) as client:
        assert (await enter(client, "user-key", wanted)).headers["location"] == "/"


def test_sessions_end_when_they_are_not_used_or_too_many() -> None:
    ended, few = Sessions(idle_s=-1.0), Sessions(max_sessions=2)
    tokens = [few.open(Role.USER) for _ in range(2)]
    few.find(tokens[0])
    tokens.append(few.open(Role.ADMIN))

    assert ended.find(ended.open(Role.USER)) is None
    assert [few.find(token) for token in tokens] == [Role.USER, None, Role.ADMIN]


@pytest.mark.parametrize(
    ("method", "headers", "is_own"),
    [
        ("GET", {"Sec-Fetch-Site": "none"}, True),
        ("POST", {"Sec-Fetch-Site": "none"}, False),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Origin": "https://m:8000", "Host": "m:8000"}, True),
        ("POST", {"Origin": "https://m:8001", "Host": "m:8000"}, False),
        ("GET", {"Origin": "null", "Host": "m"}, False),
        ("POST", {"Host": "m"}, False),
        ("GET", {"Host": "m"}, True),
    ],
)
def test_who_sent_a_request(method: str, headers: dict[str, str], is_own: bool) -> None:
    assert is_own_request(method, Headers(headers)) is is_own
