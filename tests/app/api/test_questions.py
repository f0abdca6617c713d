"""`/v1/questions`: searched in any language, filtered, paged, as JSON and CSV; terms are kept."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from tests.app.api.test_bad_input import check_problem
from tests.app.service import RELIGION, RELIGION_KEY

AS_CSV = {"Accept": "text/csv"}


def find(client: httpx.Client, **params: Any) -> dict[str, Any]:
    reply = client.get("/v1/questions", params=params)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    assert reply.headers["X-Total-Count"] == str(found["total"])
    return found


def keys(found: dict[str, Any]) -> list[str]:
    return [question["question_key"] for question in found["questions"]]


def read_table(reply: httpx.Response) -> list[dict[str, str]]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(reply.text, newline="")))


@pytest.mark.parametrize(
    "text", [RELIGION, "Welche Bedeutung hat die Religion in Ihrem Leben?", "wvs7 Q6 importance"]
)
def test_what_is_asked_comes_first_in_whatever_language(client: httpx.Client, text: str) -> None:
    found = find(client, search=text)

    assert keys(found)[0] == RELIGION_KEY
    assert found["questions"][0]["language"] == "en"
    assert found["total"] >= len(found["questions"])


def test_the_rest_is_ranked_by_words_then_by_similarity(client: httpx.Client) -> None:
    found = find(client, search="religion", limit=100)["questions"]

    ranks = [(not each["has_words"], -each["similarity"]) for each in found]
    assert ranks == sorted(ranks)
    assert {each["has_words"] for each in found} == {True, False}


@pytest.mark.parametrize("text", ["relig", "RELIGION", "life religion", "宗教", "религ"])
def test_words_are_found_while_they_are_typed(client: httpx.Client, text: str) -> None:
    found = find(client, search=text, match="words", limit=100)

    assert RELIGION_KEY in keys(found)
    assert all(each["similarity"] is None and each["has_words"] for each in found["questions"])


@pytest.mark.parametrize("text", ["xyzzy", "???", "religion xyzzy"])
def test_words_that_no_question_has_find_none(client: httpx.Client, text: str) -> None:
    assert find(client, search=text, match="words")["total"] == 0


def test_without_a_search_all_are_listed_page_by_page(client: httpx.Client) -> None:
    first, second = (find(client, limit=100, offset=offset) for offset in (0, 100))

    assert first["total"] == second["total"] > 200
    assert len(set(keys(first) + keys(second))) == 200
    assert first["questions"][0]["has_words"] is None
    assert find(client, offset=10_000)["questions"] == []


def test_filters_narrow_what_is_found(client: httpx.Client) -> None:
    found = find(client, culture=["JP", "Germany"], limit=500)
    assert found["questions"]
    assert all({"JPN", "DEU"} <= set(each["cultures"]) for each in found["questions"])

    found = find(client, pack="undp-ai-2025", topic="AI and jobs", limit=500)
    assert {each["topic"] for each in found["questions"]} == {"AI and jobs"}
    assert [pack["id"] for pack in found["packs"]] == ["undp-ai-2025"]
    assert found["total"] < find(client, pack="undp-ai-2025")["total"]


def test_a_question_is_shown_in_the_wanted_wording(client: httpx.Client) -> None:
    [shown] = find(client, search="Q6 importance", match="words", language="de")["questions"]

    assert shown["language"] == "de"
    assert "Religion" in shown["question"]
    assert set(shown["languages"]) >= {"en", "de", "pt", "zh"}
    detail = client.get(f"/v1/questions/{RELIGION_KEY}", params={"language": "de"}).json()
    assert detail["people"][0]["shares"][0]["label"] == shown["options"][0]["label"]
    # In a language that it is not worded in, it stays in its own.
    [shown] = find(client, search="Q6 importance", match="words", language="sw")["questions"]
    assert shown["language"] == "en"


def test_a_question_has_every_peoples_figures_and_its_translations(client: httpx.Client) -> None:
    shown = client.get(f"/v1/questions/{RELIGION_KEY}").json()

    asked = client.get("/answer", params={"culture": "DE", "question": RELIGION}).json()["people"]
    [germany] = [each for each in shown["people"] if each["culture"]["code"] == "DEU"]
    assert {name: germany[name] for name in germany if name != "culture"} == {
        name: asked[name] for name in germany if name != "culture"
    }
    assert [each["culture"]["code"] for each in shown["people"]] == shown["cultures"]
    assert {each["language"] for each in shown["translations"]} == {"de", "es", "pt", "ru", "zh"}
    assert shown["survey"]["citation"] == asked["citation"]


def test_a_question_is_shown_for_the_named_cultures_alone(client: httpx.Client) -> None:
    params = {"culture": ["NG", "Germany", "de-DE", "JP"]}
    shown = client.get(f"/v1/questions/{RELIGION_KEY}", params=params).json()

    # Japan was not asked.
    assert [each["culture"]["code"] for each in shown["people"]] == ["NGA", "DEU"]


def test_no_list_hands_out_figures_that_may_not_be_passed_on(client: httpx.Client) -> None:
    found = find(client, culture="DE", limit=500)

    terms = {pack["id"]: pack["redistribution"] for pack in found["packs"]}
    assert terms == {"wvs7": False, "undp-ai-2025": True, "climate-2022": False}
    for each in found["questions"]:
        assert (each["people"] is not None) == terms[each["pack"]]
    rows = read_table(
        client.get("/v1/questions", params={"culture": "DE", "limit": 500}, headers=AS_CSV)
    )
    assert {row["pack"] for row in rows if row["share"]} == {"undp-ai-2025"}
    assert {row["pack"] for row in rows} == set(terms)


@pytest.mark.parametrize("path", ["/v1/questions?culture=DE&limit=500", "/v1/questions/wvs7:Q6"])
def test_every_row_of_a_table_has_licence_source_and_citation(
    client: httpx.Client, path: str
) -> None:
    for row in read_table(client.get(path, headers=AS_CSV)):
        assert row["licence"]
        assert row["source"]
        assert row["citation"]


def test_a_table_has_a_row_per_culture_and_option(client: httpx.Client) -> None:
    path = f"/v1/questions/{RELIGION_KEY}"
    shown = client.get(path, params={"culture": "DE"}).json()["people"][0]
    rows = read_table(client.get(path, params={"culture": "DE"}, headers=AS_CSV))

    assert [float(row["share"]) for row in rows] == [s["share"] for s in shown["shares"]]
    assert [float(row["high"]) for row in rows] == [s["interval"]["high"] for s in shown["shares"]]
    assert {row["n_respondents"] for row in rows} == {str(shown["n_respondents"])}
    assert {row["culture"] for row in rows} == {"DEU"}


@pytest.mark.parametrize(
    ("accept", "is_table"),
    [
        ("text/csv", True),
        ("text/csv;q=0.9, application/json;q=0.1", True),
        ("application/json, text/csv;q=0.5", False),
        ("*/*", False),
        ("text/*", True),
        ("text/html,*/*;q=0.8", False),
        ("text/csv;q=x", False),
        ("", False),
    ],
)
def test_the_form_is_the_one_that_is_preferred(
    client: httpx.Client, accept: str, is_table: bool
) -> None:
    reply = client.get("/v1/questions", params={"limit": 1}, headers={"Accept": accept})

    assert reply.headers["content-type"].startswith("text/csv") == is_table
    assert reply.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/questions/wvs7:Q6x", 404, ["'wvs7:Q6x'", "Did you mean wvs7:Q6"]),
        ("/v1/questions/nothing-like-it", 404, ["GET /v1/questions"]),
        ("/v1/questions?culture=Germny", 404, ["Did you mean Germany"]),
        ("/v1/questions/wvs7:Q6?culture=IS", 404, ["No loaded survey asked people of Iceland"]),
        ("/v1/questions?pack=wvs8", 422, ["pack: found 'wvs8'", "climate-2022", "wvs7"]),
        ("/v1/questions?topic=Love", 422, ["topic: found 'Love'", "Religious values"]),
        ("/v1/questions?limit=0", 422, ["query.limit", "greater than or equal to 1"]),
        ("/v1/questions?limit=501", 422, ["less than or equal to 500"]),
        ("/v1/questions?offset=-1", 422, ["query.offset"]),
        ("/v1/questions?match=tarot", 422, ["query.match", "'words'"]),
        ("/v1/questions?searhc=x", 422, ["query.searhc", "not permitted"]),
    ],
)
def test_what_does_not_fit_is_named(
    client: httpx.Client, path: str, status: int, said: list[str]
) -> None:
    check_problem(client.get(path), status, *said)
