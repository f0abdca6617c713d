"""The exam: what it asks, and what it makes of good and bad replies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from embedded_model.exam import examine, examine_everyday, share_of_prefix, summarize
from embedded_model.reader.everyday import Everyday
from embedded_model.reader.exam_cases import draw_cases, draw_label_cases
from embedded_model.reader.generation import Reply, ServedModel, divide
from embedded_model.reader.material import Material, read_packs, select_examined
from prompting.messages import Message
from survey_data.cultures import read_catalogue
from survey_data.split import read_split
from tests.retrieval.conftest import HashEncoder


@dataclass
class Parrot:
    """Gives the replies it was told to, one after another."""

    texts: Sequence[str]
    asked: list[Sequence[Message]] = field(default_factory=list)

    def reply(self, chats: Sequence[Sequence[Message]], *, max_tokens: int) -> list[Reply]:
        self.asked += chats
        return [Reply(text, True) for text in self.texts[: len(chats)]]


@pytest.fixture(scope="module")
def material() -> Material:
    return select_examined(read_packs(), read_catalogue(), read_split(), HashEncoder())


def test_held_out_questions_are_asked_of_held_out_and_other_peoples(material: Material) -> None:
    held_out = read_split()
    cases = draw_cases(material, held_out, n=60)
    names = {read_catalogue()[code].name_in_sentence for code in held_out.cultures}
    is_apart = [case.expected.people[0] in names for case in cases]

    assert len(cases) == 60
    assert 15 < sum(is_apart) < 45
    assert {case.kind for case in cases} == {
        "survey",
        "survey, following up",
        "estimate",
        "estimate, following up",
        "not known, icl",
        "not known, persona+icl",
    }
    assert draw_cases(material, held_out, n=60) == cases


def test_what_is_expected_is_in_the_prompt(material: Material) -> None:
    for case in draw_cases(material, read_split(), n=60):
        assert case.expected.option in case.expected.prompt
        assert case.expected.share in case.expected.prompt
        assert case.expected.people[0] in case.expected.prompt or "background" in (
            case.expected.prompt
        )
        assert case.messages[-1].role == "user"


def test_right_replies_get_full_marks_and_wrong_ones_none(material: Material) -> None:
    cases = draw_cases(material, read_split(), n=24)
    right = [
        f"{'It is not known, only estimated. ' if not case.expected.is_known else ''}"
        f"{'It is estimated. ' if case.expected.is_estimated else ''}"
        f'In {case.expected.people[0]}, {case.expected.share} said "{case.expected.option}".'
        for case in cases
    ]

    best = summarize(examine(Parrot(right), cases))
    worst = summarize(examine(Parrot(["About 3,141 of them, who knows"] * 24), cases))

    assert best["right"] == 1.0
    assert min(best.values()) == 1.0
    assert worst["right"] == worst["figures"] == worst["formed"] == 0.0


def test_label_questions_have_shares_to_compare_with(material: Material) -> None:
    for case in draw_label_cases(material, read_split(), n=8):
        assert len(case.nearest) == len(case.request.shares) == len(case.request.labels)
        assert sum(case.nearest) == pytest.approx(1.0)


def test_everyday_replies_are_compared_with_the_base_models() -> None:
    requests = [Everyday("Hi", "Hello to you"), Everyday("Bye", "See you soon again")]
    parrot = Parrot(["Hello to you", "See you later then"])

    found = examine_everyday(parrot, requests)

    assert found["everyday unchanged"] == 0.5
    # All of the first, two words of four of the second.
    assert found["everyday words before the first change"] == 0.75
    assert [chat[-1].content for chat in parrot.asked] == ["Hi", "Bye"]


@pytest.mark.parametrize(
    ("reply", "share"),
    [("a b c d", 1.0), ("a b", 0.5), ("x b c d", 0.0), ("a b c d e", 0.99), ("", 0.0)],
)
def test_how_far_a_reply_agrees(reply: str, share: float) -> None:
    assert share_of_prefix(reply, "a b c d") == share


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            choice = {"message": {"content": "Yes."}, "finish_reason": "length"}
            content = json.dumps({"choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/v1", bodies
        served.shutdown()


def test_rows_are_computed_together_as_far_as_they_fit() -> None:
    lengths = [10] * 40 + [3000, 4000, 9000]

    parts = list(divide(range(43), lengths))

    # 32 short rows and 8; 2 x 4000 is below 8192 and 9000 stands alone.
    assert [len(part) for part in parts] == [32, 8, 2, 1]
    assert [row for part in parts for row in part] == list(range(43))


def test_a_server_is_asked_greedily(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, bodies = server

    found = ServedModel(url, "tiny").reply([[Message("user", "Well?")]], max_tokens=9)

    assert found == [Reply("Yes.", is_whole=False)]
    assert bodies == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Well?"}],
            "max_tokens": 9,
            "temperature": 0,
        }
    ]
