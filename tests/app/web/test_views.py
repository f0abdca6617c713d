"""The views that lay peoples side by side: compare, map, questions, and what they give along."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app.web.scales import cut_steps, stack_shares
from app.web.vendored import STATIC
from app.web.world_map import read_places
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Question, Scale
from tests.app.service import FAR, RELIGION, RELIGION_KEY, share_library
from tests.app.web.pages import open_page, read_text
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings

AI = "undp-ai-2025:Q8_AI_Familiarity"


@pytest.fixture
def library(make_settings: MakeSettings) -> SurveyLibrary:
    return share_library(make_settings(), read_catalogue())


def rows_of(client: httpx.Client, path: str, **fields: Any) -> list[dict[str, str]]:
    reply = client.get(path, params=fields)
    assert reply.status_code == 200, reply.text[:500]
    assert reply.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(reply.text)))


def countries(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'<th scope="row"><a[^>]*>([^<]+)</a>', page)]


def test_all_who_were_asked_are_compared(client: httpx.Client, library: SurveyLibrary) -> None:
    page = open_page(client, "/compare", key=RELIGION_KEY)

    assert len(countries(page)) == len(library.cultures_of(RELIGION_KEY))
    assert page.count('<svg class="stack"') == len(countries(page))
    assert "estimate</span>" not in page
    assert "Haerpfer" in page


def test_with_estimates_all_peoples_are_compared(
    client: httpx.Client, library: SurveyLibrary
) -> None:
    page = open_page(client, "/compare", key=RELIGION_KEY, estimates="1", group="region")

    assert len(countries(page)) == len(library.cultures)
    n_asked = len(library.cultures_of(RELIGION_KEY))
    assert page.count('class="estimated"') == len(library.cultures) - n_asked
    assert page.count('class="group"') > 10


@pytest.mark.parametrize("place", [0, 3])
def test_rows_are_sorted_by_any_option(
    client: httpx.Client, library: SurveyLibrary, place: int
) -> None:
    number = str(library.questions[RELIGION_KEY].numbers[place])
    page = open_page(client, "/compare", key=RELIGION_KEY, sort=number)

    def share(name: str) -> float:
        cell = library.distribution(RELIGION_KEY, library.catalogue.resolve(name).code)
        assert cell is not None
        return cell.shares[place]

    shares = [share(name) for name in countries(page)]
    assert shares == sorted(shares, reverse=True)


def test_rows_are_sorted_by_name(client: httpx.Client) -> None:
    found = countries(open_page(client, "/compare", key=RELIGION_KEY, sort="name"))

    assert found == sorted(found)


def test_a_question_in_other_words_is_recognised(client: httpx.Client) -> None:
    for path in ("/compare", "/map"):
        page = open_page(client, path, question=RELIGION)
        assert f"key={RELIGION_KEY.replace(':', '%3A')}" in page


@pytest.mark.parametrize("path", ["/compare", "/map"])
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"question": FAR}, "No survey asked this"),
        ({"key": "wvs7:Q6000"}, "no key of a question"),
        ({"question": "x" * 2001}, "At most 2000 characters"),
    ],
)
def test_what_no_survey_asked_is_told_beside_the_field(
    client: httpx.Client, path: str, fields: dict[str, str], told: str
) -> None:
    page = open_page(client, path, status=422, **fields)

    assert re.search(rf'id="fault-question">[^<]*{told}', unescape(page))


@pytest.mark.parametrize("path", ["/compare", "/map"])
def test_the_empty_view_offers_questions(client: httpx.Client, path: str) -> None:
    page = open_page(client, path)
    addresses = re.findall(r'class="example" href="([^"]+)"', page)

    assert len(addresses) == 3
    for address in addresses:
        assert "<table" in open_page(client, unescape(address))


def test_a_country_that_is_none_is_told_beside_its_field(client: httpx.Client) -> None:
    page = open_page(client, "/compare", key=RELIGION_KEY, culture="DE, Atlantis", status=422)

    assert "Atlantis" in re.findall(r'id="fault-culture">([^<]+)', page)[0]
    assert countries(page) == ["Germany"]


def test_the_tables_have_the_surveys_figures_with_their_terms(
    client: httpx.Client, library: SurveyLibrary
) -> None:
    rows = rows_of(client, "/compare.csv", key=RELIGION_KEY)
    germany = [float(row["share"]) for row in rows if row["country"] == "Germany"]
    known = library.distribution(RELIGION_KEY, "DEU")

    assert known is not None
    assert germany == pytest.approx(known.shares, abs=1e-3)
    assert {row["source"] for row in rows} == {"survey"}
    assert all(row["licence"] and "Haerpfer" in row["citation"] for row in rows)
    every = rows_of(client, "/map.csv", key=RELIGION_KEY)
    assert {row["culture"] for row in every} == set(library.cultures)
    assert {row["source"] for row in every} == {"survey", "transfer"}


def test_the_picture_of_a_comparison_is_sound(client: httpx.Client) -> None:
    reply = client.get("/compare.svg", params={"key": RELIGION_KEY, "group": "region"})
    words = ElementTree.fromstring(reply.text).itertext()

    assert {"Germany", "Western Europe", "Nigeria"} <= set(words)
    assert "Haerpfer" in reply.text


@pytest.mark.parametrize("path", ["/compare.csv", "/compare.svg", "/map.csv"])
def test_a_download_of_no_question_is_refused_with_a_page(client: httpx.Client, path: str) -> None:
    open_page(client, path, status=422)


def test_the_map_has_every_people_and_tells_estimates_apart(
    client: httpx.Client, library: SurveyLibrary, fake: FakeVllm
) -> None:
    page = open_page(client, "/map", key=RELIGION_KEY, option="1")

    n_asked = len(library.cultures_of(RELIGION_KEY))
    assert page.count('data-kind="survey"') == n_asked
    assert page.count('data-kind="estimate"') == len(library.cultures) - n_asked
    without = open_page(client, "/map", key=RELIGION_KEY, estimates="0")
    assert without.count("<tr data-shape") == n_asked
    assert not fake.chats


@pytest.mark.parametrize("option", ["9", "0", "x", "\u00b2"])
def test_an_option_that_is_none_is_told_beside_its_field(client: httpx.Client, option: str) -> None:
    page = open_page(client, "/map", key=RELIGION_KEY, option=option, status=422)

    assert 'id="fault-option"' in page


def test_every_people_has_a_place_on_the_map(library: SurveyLibrary) -> None:
    atlas = json.loads((STATIC / "vendor" / "countries-110m.json").read_bytes())
    shapes = {
        country.get("id", country["properties"]["name"])
        for country in atlas["objects"]["countries"]["geometries"]
    }
    places = read_places()

    for code in library.cultures:
        place = places[code]
        assert place.shape in shapes or (place.longitude and place.latitude), code
    assert len({place.shape for place in places.values()}) == len(places)
    names = {
        c.get("id"): c["properties"]["name"] for c in atlas["objects"]["countries"]["geometries"]
    }
    catalogue = read_catalogue()
    same = [
        code for code, place in places.items() if catalogue[code].name == names.get(place.shape)
    ]
    # The rest is abbreviated there ("Dem. Rep. Congo") or too small.
    assert len(same) > 130


def test_questions_are_browsed_by_survey_and_topic(client: httpx.Client) -> None:
    every = open_page(client, "/questions")
    page = open_page(client, "/questions", pack="climate-2022", topic="Climate policy")

    assert "294 questions, page 1 of 10" in read_text(every)
    assert 'rel="next"' in every
    assert page.count('class="title"') == 6
    assert "wvs7" not in "".join(re.findall(r'class="title" href="([^"]+)', page))


def test_every_page_of_questions_leads_to_the_next(client: httpx.Client) -> None:
    found, address = [], "/questions?pack=wvs7"
    while address:
        page = open_page(client, unescape(address))
        found += re.findall(r'class="title" href="([^"]+)"', page)
        following = re.findall(r'rel="next" href="([^"]+)"', page)
        address = following[0] if following else ""

    assert len(found) == len(set(found)) == 252


def test_questions_are_found_in_other_languages(client: httpx.Client) -> None:
    page = open_page(client, "/questions", search="Vertrauen in die Polizei")

    first = re.findall(r'class="title" href="([^"]+)">([^<]+)', page)[0]
    assert "police" in first[1]


@pytest.mark.parametrize("fields", [{"pack": "none"}, {"topic": "none"}, {"culture": "Atlantis"}])
def test_a_filter_that_is_none_is_told_beside_it(
    client: httpx.Client, fields: dict[str, str]
) -> None:
    page = open_page(client, "/questions", status=422, **fields)

    assert 'id="fault-filter"' in page


@pytest.mark.parametrize("page", ["0", "-1", "x", "999999999999", "\u00b2"])
def test_a_page_that_is_none_does_no_harm(client: httpx.Client, page: str) -> None:
    open_page(client, "/questions", page=page)


@pytest.mark.parametrize("key", [RELIGION_KEY, AI])
def test_a_question_has_a_page_of_its_own(client: httpx.Client, key: str) -> None:
    page = open_page(client, f"/questions/{key}")
    asked = client.get(f"/v1/questions/{key}").json()

    assert countries(page) == sorted(each["culture"]["name"] for each in asked["people"])
    for address in re.findall(r'href="(/(?:compare|map|\?)[^"]*)"', page):
        assert client.get(unescape(address)).status_code == 200
    rows = rows_of(client, f"/questions/{key}.csv")
    assert len(rows) == len(asked["people"]) * len(asked["options"])


def test_a_question_that_is_none_has_no_page(client: httpx.Client) -> None:
    assert "wvs7:Q6" in open_page(client, "/questions/wvs7:Q666", status=404)
    open_page(client, "/questions/nothing.csv", status=404)


def test_no_list_hands_out_figures_whose_terms_forbid_it(client: httpx.Client) -> None:
    rows = rows_of(client, "/questions.csv", culture="DE")

    assert {row["pack"] for row in rows if row["share"]} <= {"undp-ai-2025"}
    assert {row["pack"] for row in rows} >= {"wvs7"}


def test_what_is_typed_is_completed_from_the_surveys(client: httpx.Client) -> None:
    found = client.get("/suggest", params={"question": "police", "view": "/map"}).text
    asked = client.get("/suggest", params={"question": "police", "view": "/", "culture": "DE"}).text

    assert 'href="/map?key=wvs7%3A' in found
    assert "culture=DE" in asked
    assert "<li>" not in client.get("/suggest", params={"question": "po"}).text


@pytest.mark.parametrize("view", ["javascript:alert(1)", "//evil", "http://evil"])
def test_what_is_suggested_leads_nowhere_else(client: httpx.Client, view: str) -> None:
    found = client.get("/suggest", params={"question": "police", "view": view}).text

    assert "evil" not in found
    assert "javascript" not in found


def question(n: int, scale: Scale) -> Question:
    return Question("a:b", "t", "?", tuple(f"o{i}" for i in range(n)), scale)


def test_a_scale_meets_in_its_middle() -> None:
    # Left of the middle: 0.4 + 0.2 / 2 = 0.5 and 0.1 + 0.3 / 2 = 0.25; right: 0.5 and 0.75.
    stack = stack_shares(question(3, Scale.ORDINAL), [(0.4, 0.2, 0.4), (0.1, 0.3, 0.6)])

    assert stack.middle == pytest.approx(0.5 / 1.25)
    assert stack.bars[0][0].start == 0.0
    assert stack.bars[1][0].start == pytest.approx(0.25 / 1.25)
    assert sum(each.width for each in stack.bars[1]) == pytest.approx(1 / 1.25)
    assert [each.colour for each in stack.bars[0]] == ["d0", "d5", "d10"]


def test_what_has_no_order_is_stacked_from_the_left() -> None:
    stack = stack_shares(question(3, Scale.NOMINAL), [(0.4, 0.2, 0.4), (0.1, 0.3, 0.6)])

    assert not stack.is_diverging
    assert {bar[0].start for bar in stack.bars} == {0.0}


def test_classes_of_a_map_hold_every_share_and_are_whole_percents() -> None:
    steps = cut_steps([0.031, 0.5, 0.94])

    # From 3 to 94, in 7 steps of 13.
    assert steps.edges == pytest.approx((0.03, 0.16, 0.29, 0.42, 0.55, 0.68, 0.81, 0.94))
    assert [steps.find(share) for share in (0.031, 0.16, 0.5, 0.94)] == [0, 1, 3, 6]
    assert cut_steps([0.5, 0.5]).find(0.5) == 0
    assert cut_steps([0.0, 1.0]).find(1.0) == 6
