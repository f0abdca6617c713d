"""Requests as other people's clients send them: twice, compressed, in UTF-8, from browsers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.api.schemas.answer import NO_OPTIONS
from app.api.strict import StrictRoute
from app.main import create_app
from app.settings import Settings
from tests.app.api.test_bad_input import check_problem
from tests.app.service import NEIGHBOURS, RELIGION
from tests.fakes.vllm import FakeVllm

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
LINE_ENDS = "\x85\u2028\u2029"
ORIGIN = "https://app.example.org"
ASKED = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def chat_of(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    asked = list(messages) or [{"role": "user", "content": NEIGHBOURS}]
    return {"model": "fake", "messages": asked, "max_tokens": 4} | fields


def sent(fake: FakeVllm) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in fake.chats[-1].body["messages"]]


class TestTwice:
    def test_every_route_is_strict(self) -> None:
        routes = [
            route
            for route in create_app(Settings()).routes
            if isinstance(route, APIRoute) and route.include_in_schema
        ]

        assert routes
        assert [r.path for r in routes if not isinstance(r, StrictRoute)] == []

    @pytest.mark.parametrize("second", ["KE", "DE", "Atlantis"])
    def test_a_culture_in_the_query_is_refused(self, client: httpx.Client, second: str) -> None:
        reply = client.get("/answer", params={"question": RELIGION, "culture": ["DE", second]})

        problem = check_problem(reply, 422, "query.culture", "found 2 values", f"'{second}'")
        assert problem["type"].endswith("value-repeated")

    def test_it_is_refused_beside_a_body_too(self, client: httpx.Client) -> None:
        reply = client.post("/answer?culture=DE&culture=KE", json={"question": RELIGION})

        check_problem(reply, 422, "query.culture")

    def test_a_field_of_json_is_refused_however_deep(self, client: httpx.Client) -> None:
        body = '{"question": "x", "culture": "DE", "culture": "KE"}'
        check_problem(client.post("/answer", content=body, headers=JSON), 422, "body.culture")

        message = '{"role": "user", "content": "one", "content": "two"}'
        body = f'{{"model": "fake", "messages": [{message}]}}'
        reply = client.post(CHAT, content=body, headers=JSON)
        assert reply.status_code == 400
        assert "found 2 values" in reply.json()["error"]["message"]

    def test_a_header_is_refused(self, client: httpx.Client) -> None:
        headers = [("X-Culture", "DE"), ("X-Culture", "KE")]
        reply = client.post(CHAT, json=chat_of(), headers=headers)

        assert reply.status_code == 400
        assert "header.x-culture" in reply.json()["error"]["message"]

    def test_a_list_may_come_as_often_as_it_has_parts(self, client: httpx.Client) -> None:
        params = {"question": NEIGHBOURS, "culture": "DE", "options": ["Yes", "No"]}
        reply = client.get("/answer", params=params)

        assert reply.status_code == 200, reply.text
        assert [share["label"] for share in reply.json()["shares"]] == ["Yes", "No"]


class TestCompressed:
    def ask(self, client: httpx.Client, content: bytes, encoding: str = "gzip") -> httpx.Response:
        return client.post(
            "/answer", content=content, headers=JSON | {"Content-Encoding": encoding}
        )

    def test_a_gzip_body_is_read(self, client: httpx.Client) -> None:
        body = json.dumps({"question": RELIGION, "culture": "DE"}).encode()

        reply = self.ask(client, gzip.compress(body))
        assert reply.status_code == 200, reply.text
        assert reply.json()["culture"]["code"] == "DEU"

    def test_one_that_is_no_gzip_or_cut_short_is_refused(self, client: httpx.Client) -> None:
        check_problem(self.ask(client, b"{}"), 400, "no gzip")
        check_problem(self.ask(client, gzip.compress(b"{}" * 99)[:-9]), 400, "ends too early")

    def test_a_small_one_does_not_become_a_large_one(self, client: httpx.Client) -> None:
        bomb = gzip.compress(b" " * 50_000_000)
        assert len(bomb) < 60_000

        check_problem(self.ask(client, bomb), 413, "more than 262144 bytes")

    def test_another_encoding_is_named(self, client: httpx.Client) -> None:
        check_problem(self.ask(client, b"x", "br"), 415, "'br'", "expected gzip")


class TestHeaders:
    def test_a_culture_in_utf8_is_read_as_such(self, client: httpx.Client, fake: FakeVllm) -> None:
        headers = [(b"X-Culture", "Türkiye".encode())]
        reply = client.post(CHAT, json=chat_of(), headers=headers)

        assert reply.status_code == 200, reply.text
        assert reply.json()["milieu"]["culture"]["code"] == "TUR"

    def test_one_in_latin_1_is_read_as_before(self, client: httpx.Client) -> None:
        headers = [(b"X-Culture", "Türkiye".encode("latin-1"))]

        assert client.post(CHAT, json=chat_of(), headers=headers).status_code == 200


class TestBrowsers:
    @pytest.fixture
    def allowing(self) -> TestClient:
        """Return a client of a service that has not started: none of this asks what it opens."""
        settings = Settings(cors_origins=(ORIGIN,), api_keys=(SecretStr("key-of-test"),))
        return TestClient(create_app(settings))

    def test_a_site_that_is_allowed_may_ask(self, allowing: TestClient) -> None:
        headers = ASKED | {"Access-Control-Request-Headers": "authorization, x-stainless-os"}
        preflight = allowing.options("/answer", headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "x-stainless-os" in preflight.headers["Access-Control-Allow-Headers"]

        refused = allowing.get("/v1/cultures", headers={"Origin": ORIGIN})
        # The page learns why, and that by which it can be found in the log.
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "X-Request-Id" in refused.headers["Access-Control-Expose-Headers"]

    def test_another_may_not(self, allowing: TestClient, client: httpx.Client) -> None:
        elsewhere = ASKED | {"Origin": "https://elsewhere.example.org"}

        assert (
            "Access-Control-Allow-Origin"
            not in allowing.options("/answer", headers=elsewhere).headers
        )
        assert "Access-Control-Allow-Origin" not in client.options("/answer", headers=ASKED).headers


class TestHistory:
    def test_calls_of_tools_are_read_as_what_the_assistant_said(
        self, client: httpx.Client, fake: FakeVllm
    ) -> None:
        body = chat_of(
            {"role": "user", "content": "How is the weather?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "12 degrees"},
            {"role": "assistant", "content": "It is cold.", "refusal": None, "annotations": []},
            {"role": "user", "content": NEIGHBOURS},
            culture="DE",
            method="persona",
        )
        reply = client.post(CHAT, json=body)

        assert reply.status_code == 200, reply.text
        assert sent(fake)[-3:] == [
            ("user", "How is the weather?"),
            ("assistant", "12 degrees\nIt is cold."),
            ("user", NEIGHBOURS),
        ]
        assert any("tools" in warning for warning in reply.json()["milieu"]["warnings"])

    def test_what_a_tool_returned_may_come_last(self, client: httpx.Client, fake: FakeVllm) -> None:
        body = chat_of(
            {"role": "user", "content": "How is the weather?"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "12"}]},
        )

        assert client.post(CHAT, json=body).status_code == 200
        assert sent(fake)[-1] == ("assistant", "12")

    def test_unknown_keys_of_messages_and_their_parts_are_ignored(
        self, client: httpx.Client, fake: FakeVllm
    ) -> None:
        part = {"type": "text", "text": NEIGHBOURS, "cache_control": {"type": "ephemeral"}, "id": 1}
        refused = {"type": "refusal", "refusal": "I would rather not say.", "id": "x"}
        body = chat_of(
            {"role": "user", "content": "Hello", "id": "m1"},
            {"role": "assistant", "content": [refused], "id": "m2"},
            {"role": "user", "content": [part], "id": "m3"},
        )

        assert client.post(CHAT, json=body).status_code == 200
        assert sent(fake)[-2:] == [("assistant", refused["refusal"]), ("user", NEIGHBOURS)]

    @pytest.mark.parametrize("role", ["user", "system", "tool"])
    def test_a_message_without_content_is_the_assistants_alone(
        self, client: httpx.Client, role: str
    ) -> None:
        body = chat_of({"role": "user", "content": "x"}, {"role": role, "content": None})

        reply = client.post(CHAT, json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "messages.1"
        assert f"a message of the {role} without content" in reply.json()["error"]["message"]


class TestOpenAI:
    def test_a_model_is_retrieved(self, client: httpx.Client) -> None:
        listed = {model["id"]: model for model in client.get("/v1/models").json()["data"]}

        for name, shown in (("fake", "fake"), ("fake@DE", "fake@DE"), ("fake@Germany", "fake@DE")):
            assert client.get(f"/v1/models/{name}").json() == listed[shown]
        for name in ("other", "fake@Atlantis", "fake@", "a/b"):
            reply = client.get(f"/v1/models/{name}")
            assert reply.status_code == 404
            assert reply.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        "path", ["embeddings", "responses", "completions", "images/generations", "batches", "chat"]
    )
    def test_what_is_not_served_has_openais_error(self, client: httpx.Client, path: str) -> None:
        reply = client.post(f"/v1/{path}", json={})

        assert reply.status_code == 404
        assert "/v1/chat/completions" in reply.json()["error"]["message"]

    def test_a_path_of_nobody_has_a_problem(self, client: httpx.Client) -> None:
        check_problem(client.get("/v1/embeddingss"), 404)

    def test_too_long_a_prompt_says_both_sizes(self, client: httpx.Client) -> None:
        messages = {"role": "user", "content": f"{RELIGION} " * 450}
        reply = client.post(
            CHAT, json=chat_of(messages, culture="DE", method="persona", steer="always")
        )

        error = reply.json()["error"]
        assert reply.status_code == 400
        assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
        assert "the model reads 16384, and 4 of them are kept" in error["message"]

    def test_the_field_that_does_not_fit_is_named(self, client: httpx.Client) -> None:
        for fields, param in (({"temperature": 3}, "temperature"), ({"tools": [1]}, "tools")):
            reply = client.post(CHAT, json=chat_of(**fields))
            assert reply.json()["error"]["param"] == param


class TestFaults:
    def test_shapes_have_no_names_of_ours(self, client: httpx.Client) -> None:
        body = {"answer_id": "a", "metric": "thumb", "value": "true"}
        problem = check_problem(client.post("/v1/feedback", json=body), 422)

        assert [fault["where"] for fault in problem["errors"]] == ["body.value"]
        assert "boolean, or input should be a valid" in problem["detail"]

    def test_a_part_is_named_by_where_it_stands(self, client: httpx.Client) -> None:
        image = {"type": "image_url", "image_url": {"url": "x"}}
        reply = client.post(CHAT, json=chat_of({"role": "user", "content": [image]}))

        assert reply.json()["error"]["param"] == "messages.0.content.0"
        assert "image_url" in reply.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("path", "body", "meant"),
        [
            ("/answer", {"question": "x", "cultrue": "DE"}, "culture"),
            ("/answer", {"question": "x", "anwser_from": "model"}, "answer_from"),
            ("/v1/exemplars", {"question": "x", "culture": "DE", "retreiver": "chrf"}, "retriever"),
            (CHAT, chat_of(cultur="DE"), "culture"),
        ],
    )
    def test_a_slip_in_a_name_is_told_what_is_meant(
        self, client: httpx.Client, path: str, body: dict[str, Any], meant: str
    ) -> None:
        assert f"Did you mean '{meant}'?" in client.post(path, json=body).text

    def test_json_that_breaks_off_says_where(self, client: httpx.Client) -> None:
        reply = client.post("/answer", content=b'{"question": }', headers=JSON)

        problem = check_problem(reply, 400, "at character 13")
        assert problem["errors"][0]["where"] == "body"


class TestTexts:
    def ask(self, client: httpx.Client, *options: str) -> httpx.Response:
        return client.post(
            "/answer", json={"question": NEIGHBOURS, "culture": "DE", "options": list(options)}
        )

    @pytest.mark.parametrize(
        "second",
        ["CAF\u00c9", "cafe\u0301", "caf\u00e9\u200b", " caf\u00e9", "caf\u00e9\u200d", "ｃａｆé"],
    )
    def test_options_that_look_the_same_are_refused(
        self, client: httpx.Client, second: str
    ) -> None:
        check_problem(self.ask(client, "caf\u00e9", second), 422, "two options are the same")

    def test_an_option_is_one_line_with_single_spaces(
        self, client: httpx.Client, fake: FakeVllm
    ) -> None:
        body = {"question": NEIGHBOURS, "culture": "DE", "method": "persona"}
        options = ["Yes,\n\nalways", "No,\u00a0 never\ufeff"]
        reply = client.post("/answer", json=body | {"options": options}).json()

        assert [share["label"] for share in reply["shares"]] == ["Yes, always", "No, never"]
        assert "Yes, always\n" in fake.chats[-1].body["messages"][-1]["content"]

    def test_joined_letters_stay_as_they_were_written(self, client: httpx.Client) -> None:
        options = ["नहीं चाहिए", "क्\u200dष"]
        reply = self.ask(client, *options)

        assert [share["label"] for share in reply.json()["shares"]] == options

    def test_no_options_are_taken_as_none_at_all_and_that_is_said(
        self, client: httpx.Client
    ) -> None:
        body = {"question": RELIGION, "culture": "DE"}
        known = client.post("/answer", json=body).json()
        empty = client.post("/answer", json=body | {"options": []}).json()

        assert empty["warnings"] == [*known["warnings"], NO_OPTIONS]
        assert empty["shares"] == known["shares"]


class TestLines:
    def test_a_line_of_a_stream_is_whole_json(self, client: httpx.Client) -> None:
        question = f"Would you lend money{LINE_ENDS}to your neighbours?"
        body = {"question": question, "culture": "DE", "options": ["a", "b"], "stream": True}
        with client.stream("POST", "/answer", json=body) as reply:
            lines = [line for line in reply.iter_lines() if line]

        names = [line for line in lines if line.startswith("event: ")]
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert len(names) + len(data) == len(lines)
        assert json.loads(data[-1])["shares"]


@pytest.mark.parametrize("user", ["undefined", "null", "None", "[object Object]"])
def test_a_user_that_nobody_set_is_noted(client: httpx.Client, user: str) -> None:
    body = {"question": RELIGION, "culture": "DE", "user": user}
    warnings = client.post("/answer", json=body).json()["warnings"]

    assert any(f"user '{user}' looks like a variable" in warning for warning in warnings)
    known = client.post("/answer", json=body | {"user": "u1"}).json()["warnings"]
    assert not any("variable" in warning for warning in known)
