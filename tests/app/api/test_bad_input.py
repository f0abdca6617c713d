"""Bad input gets a clear 4xx, and every error that can be raised has a place in one table."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from adapters.errors import AdapterError, RegistryInvalid
from app.api.problems import INTERNAL, PROBLEMS, kind_of
from app.errors import AppError
from experiments.errors import ExperimentError, StoreRefused
from prompting.errors import PromptingError
from retrieval.errors import RetrievalError
from survey_data.errors import SurveyDataError
from tests.app.service import RELIGION
from tests.fakes.vllm import FakeVllm

JSON = {"Content-Type": "application/json"}
ROOTS: tuple[type[Exception], ...] = (
    AdapterError,
    AppError,
    PromptingError,
    ExperimentError,
    RetrievalError,
    SurveyDataError,
)
BODIES = (
    "cut short", "python", "empty", "null", "list", "text", "latin-1", "long number", "deep",
    "plain", "form", "no type", "long type", "large", "very large",
)  # fmt: skip


def leaves(root: type[Exception]) -> Iterator[type[Exception]]:
    # Tests may define errors of their own.
    children = [c for c in root.__subclasses__() if not c.__module__.startswith("tests")]
    if not children:
        yield root
    for child in children:
        yield from leaves(child)


def check_problem(reply: httpx.Response, status: int, *said: str) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.content) < 8000
    problem: dict[str, Any] = reply.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:milieu:problem:")
    assert problem["title"]
    assert problem["instance"] == f"urn:milieu:request:{reply.headers['x-request-id']}"
    for part in said:
        assert part in problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"culture": "Atlantis"}, 404, ["'Atlantis' is no ISO 3166-1 code"]),
        ({"culture": "\x00"}, 404, ["no ISO 3166-1 code"]),
        ({"culture": None}, 422, ["No culture was given", "/v1/cultures"]),
        ({"culture": ""}, 422, ["body.culture", "at least 1 character", "found ''"]),
        ({"culture": "x" * 81}, 422, ["body.culture", "at most 80"]),
        ({"culture": ["DE"]}, 422, ["body.culture", "valid string", "found ['DE']"]),
        ({"question": ""}, 422, ["body.question", "at least 1 character"]),
        ({"question": " \n\t "}, 422, ["body.question", "must not be blank"]),
        ({"question": "x" * 100_000}, 422, ["body.question", "at most 2000", "found 'xxx"]),
        ({"question": None}, 422, ["body.question", "found None"]),
        ({"question": 7}, 422, ["body.question", "valid string", "found 7"]),
        ({"question": "\ud800"}, 422, ["body.question", "unicode"]),
        ({"options": ["yes"]}, 422, ["body.options", "found 1 options, expected 2 to 20"]),
        ({"options": [str(n) for n in range(60)]}, 422, ["found 60 options, expected 2 to 20"]),
        ({"options": ["yes", "Yes "]}, 422, ["two options are the same"]),
        ({"options": ["yes", ""]}, 422, ["body.options.1", "at least 1 character"]),
        ({"options": ["yes", "x" * 301]}, 422, ["body.options.1", "at most 300"]),
        ({"options": "yes"}, 422, ["body.options", "valid list", "found 'yes'"]),
        ({"options": [1] * 20_000}, 422, ["body.options.0", "found 1", "and 19990 more"]),
        ({"k": 0}, 422, ["body.k", "greater than or equal to 1", "found 0"]),
        ({"k": 1000}, 422, ["body.k", "less than or equal to 20", "found 1000"]),
        ({"k": "three"}, 422, ["body.k", "valid integer", "found 'three'"]),
        ({"k": 2.5}, 422, ["body.k", "integer", "found 2.5"]),
        ({"method": "tarot"}, 422, ["body.method", "'persona+icl'", "found 'tarot'"]),
        ({"retriever": "google"}, 422, ["body.retriever", "'dense'"]),
        ({"exemplar_style": "loud"}, 422, ["body.exemplar_style", "'shares'"]),
        ({"orders": 0}, 422, ["body.orders"]),
        ({"orders": 9}, 422, ["body.orders", "less than or equal to 8"]),
        ({"user": "u" * 201}, 422, ["body.user", "at most 200"]),
        ({"stream": "maybe"}, 422, ["body.stream", "boolean"]),
        ({"seed": -1}, 422, ["body.seed"]),
        ({"seed": 2**31}, 422, ["body.seed"]),
        ({"temperature": 2.1}, 422, ["body.temperature"]),
        ({"temperature": float("nan")}, 422, ["body.temperature", "found nan"]),
        ({"top_p": 0.0}, 422, ["body.top_p", "greater than 0"]),
        ({"max_tokens": 200_000}, 422, ["body.max_tokens", "less than or equal to 131072"]),
        ({"max_tokens": 10**50}, 422, ["body.max_tokens"]),
        ({"cultur": "DE"}, 422, ["body.cultur", "not permitted"]),
        ({"x" * 100_000: 1}, 422, ["not permitted"]),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any], status: int, said: list[str]
) -> None:
    body = {"culture": "DE", "question": RELIGION} | fields
    reply = client.post("/answer", content=json.dumps(body), headers=JSON)

    problem = check_problem(reply, status, *said)
    for fault in problem.get("errors", []):
        assert set(fault) == {"where", "found", "expected"}
        assert len(fault["found"]) <= 80
    assert fake.chats == []


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({}, 422, ["query.question", "Field required", "found nothing"]),
        ({"question": RELIGION}, 422, ["No culture was given"]),
        ({"question": RELIGION, "culture": "DE", "k": "0"}, 422, ["query.k"]),
        ({"question": RELIGION, "culture": "DE", "options": "yes"}, 422, ["found 1 options"]),
        ({"question": RELIGION, "culture": "DE", "page": "2"}, 422, ["query.page"]),
        ({"question": RELIGION, "culture": "DE", "method": ""}, 422, ["query.method"]),
    ],
)
def test_a_query_that_does_not_fit_is_named(
    client: httpx.Client, params: dict[str, str], status: int, said: list[str]
) -> None:
    check_problem(client.get("/answer", params=params), status, *said)


def test_a_post_takes_nothing_but_the_culture_from_the_query(client: httpx.Client) -> None:
    reply = client.post("/answer?culture=DE&k=3", json={"question": RELIGION})

    check_problem(reply, 422, "query.k", "not permitted")


@pytest.mark.parametrize("path", ["/answer", "/v1/exemplars"])
@pytest.mark.parametrize(
    ("data", "content_type", "status", "said"),
    [
        (b'{"question": ', "application/json", 400, ["Input should be JSON"]),
        (b"{'question': 1}", "application/json", 400, ["double quotes"]),
        (b"", "application/json", 422, ["body", "Field required"]),
        (b"null", "application/json", 422, ["body", "Field required"]),
        (b"[1]", "application/json", 422, ["Input should be a JSON object", "found [1]"]),
        (b'"DE"', "application/json", 422, ["Input should be a JSON object", "found 'DE'"]),
        (b'{"question": "\xff"}', "application/json", 400, ["can't decode byte 0xff"]),
        (b'{"k": ' + b"9" * 5000 + b"}", "application/json", 400, ["4300 digits"]),
        (b"[" * 50_000 + b"]" * 50_000, "application/json", 400, ["recursion"]),
        (b'{"question": "x"}', "text/plain", 415, ["found content type text/plain"]),
        (b"question=x", "application/x-www-form-urlencoded", 415, ["x-www-form-urlencoded"]),
        (b"question", "", 415, ["found content type", "expected application/json"]),
        (b"\x00", "x" * 999, 415, ["found content type xxx", "…"]),
        (b" " * 300_000, "application/json", 413, ["more than 262144 bytes"]),
        (b" " * 10_000_000, "application/json", 413, ["more than 262144 bytes"]),
    ],
    ids=BODIES,
)
def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.Client, path: str, data: bytes, content_type: str, status: int, said: list[str]
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    check_problem(client.post(path, content=data, headers=headers), status, *said)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/answer", "GET, POST"),
        ("HEAD", "/answer", "GET, POST"),
        ("POST", "/v1/cultures", "GET"),
        ("GET", "/v1/exemplars", "POST"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_served_is_told_which_are(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    reply = client.request(method, path)

    assert reply.status_code == 405
    assert reply.headers["Allow"] == allowed
    if method != "HEAD":
        check_problem(reply, 405, f"{method} {path}")


@pytest.mark.parametrize(
    "path", ["/nothing", "/answers", "/v1/cultures/DE/x", "/%00", "/" + "x" * 3000]
)
def test_a_path_that_is_not_there_is_a_problem(client: httpx.Client, path: str) -> None:
    check_problem(client.get(path), 404, "Not Found")


@pytest.mark.parametrize("code", ["Atlantis", "%ff", "x" * 3000, "%00", "٣"])
def test_an_unknown_culture_has_no_page(client: httpx.Client, code: str) -> None:
    check_problem(client.get(f"/v1/cultures/{code}"), 404, "no ISO 3166-1 code")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"culture": "IS"}, 404),
        ({"culture": None}, 422),
        ({"k": 21}, 422),
        ({"retriever": "best"}, 422),
        ({"question": " "}, 422),
        ({"options": ["a", "b"]}, 422),
    ],
)
def test_exemplars_are_refused_alike(
    client: httpx.Client, fields: dict[str, Any], status: int
) -> None:
    body = {"culture": "DE", "question": RELIGION} | fields
    check_problem(client.post("/v1/exemplars", json=body), status)


@pytest.mark.parametrize("root", ROOTS)
def test_every_error_has_its_place_in_the_table(root: type[Exception]) -> None:
    inherited = {PROBLEMS[base] for base in root.__mro__ if base in PROBLEMS}
    for leaf in leaves(root):
        mapped = any(base in PROBLEMS for base in leaf.__mro__)
        assert mapped or issubclass(leaf, INTERNAL), f"{leaf.__name__} is in no table"
        assert not (mapped and issubclass(leaf, INTERNAL)), f"{leaf.__name__} is in both"
    assert root is RetrievalError or not inherited


def test_no_error_of_the_table_is_a_fault_but_those_of_what_milieu_keeps() -> None:
    faults = {error for error, kind in PROBLEMS.items() if kind.status == 500}

    assert faults == {RetrievalError, RegistryInvalid, StoreRefused}


def test_an_error_is_answered_as_its_nearest_base() -> None:
    assert kind_of(KeyError("x")).status == 500
    assert kind_of(KeyError("x")).code == "fault"
    unmapped = [leaf for root in ROOTS for leaf in leaves(root) if issubclass(leaf, INTERNAL)]
    assert unmapped
    assert all(not inspect.isabstract(leaf) for leaf in unmapped)
