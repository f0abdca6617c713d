"""Problems as browsers see them, the reference, and the headers of all that is sent."""

from __future__ import annotations

import httpx
import pytest

from app.web.policy import DOCS_POLICY, PROTECTION
from tests.app.web.pages import BROWSER, check_page, open_page, read_text

PROGRAMS = {"Accept": "application/json"}


def test_a_browser_gets_a_page_for_what_is_not_there(client: httpx.Client) -> None:
    reply = client.get("/nowhere", headers=BROWSER)

    assert reply.status_code == 404
    check_page(reply)
    assert reply.headers["x-request-id"] in reply.text
    assert "urn:milieu:problem:not-found" in reply.text
    assert 'href="/questions"' in reply.text


@pytest.mark.parametrize("path", ["/nowhere", "/v1/cultures/Atlantis", "/v1/nothing"])
@pytest.mark.parametrize("headers", [PROGRAMS, {"Accept": "*/*"}])
def test_a_program_gets_a_problem(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    reply = client.get(path, headers=headers)

    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_the_api_answers_browsers_as_it_does_programs(client: httpx.Client) -> None:
    reply = client.get("/v1/cultures/Atlantis", headers=BROWSER)

    assert reply.headers["content-type"] == "application/problem+json"


def test_another_method_is_refused_with_a_page(client: httpx.Client) -> None:
    reply = client.post("/", headers=BROWSER)

    assert reply.status_code == 405
    check_page(reply)
    assert reply.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/livez", "/v1/cultures", "/", "/nowhere", "/openapi.json"])
def test_every_reply_is_protected(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert {name: headers[name] for name in PROTECTION} == PROTECTION


def test_the_reference_to_try_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    reply = client.get("/docs", headers=BROWSER)

    assert reply.headers["content-security-policy"] == DOCS_POLICY
    assert "swagger-ui-bundle.js" in reply.text
    assert "//" not in reply.text.replace("//www.w3.org", "")


def test_the_reference_to_read_has_every_route(client: httpx.Client) -> None:
    text = read_text(open_page(client, "/redoc"))

    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in text
    assert "2 to 20 answers to choose from" in text


def test_the_page_is_no_part_of_the_api(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    assert not [path for path in paths if path in ("/", "/key", "/docs") or "static" in path]
