"""`/`: a question, and what several peoples answer to it."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from html import unescape
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.app.service import FAR, NEIGHBOURS, RELIGION
from tests.app.web.pages import BROWSER, check_page, open_page, read_text
from tests.fakes.vllm import FakeVllm

PEOPLES = ["DE", "NG", "JP"]


def test_the_empty_page_offers_examples_and_asks_nothing(
    client: httpx.Client, fake: FakeVllm
) -> None:
    page = open_page(client, "/")

    assert "For example" in page
    assert '<p class="fault"' not in page
    assert not fake.chats


def test_every_example_is_answered_for_all_its_countries(client: httpx.Client) -> None:
    addresses = re.findall(r'class="example" href="([^"]+)"', open_page(client, "/"))

    assert len(addresses) >= 3
    for address in map(unescape, addresses):
        page = open_page(client, address)
        assert page.count('class="card"') == 3
        assert "No survey asked this" not in page


def test_people_estimate_and_model_stand_side_by_side(client: httpx.Client) -> None:
    page = open_page(client, "/", question=RELIGION, culture=PEOPLES, method="icl")
    text = read_text(page)

    assert page.count('class="card"') == 3
    assert "Asked there" in text
    assert "Estimated from other countries" in text
    assert "What the people said" in text
    assert "What the model says" in text
    # Germany's and Nigeria's own figures, four options each, and whiskers over them.
    assert page.count('class="way people"') == 8
    assert page.count('class="way estimate"') == page.count('class="way model"') == 12
    assert page.count('class="whisker"') == 20
    assert "Nearness to the people" in text
    assert "1,528 people, 2017-2018" in text
    assert "Haerpfer" in text
    assert "no redistribution of the data files" in text


def test_an_answer_that_is_not_known_is_shown_as_not_known(client: httpx.Client) -> None:
    options = "\n".join(f"Way {n}" for n in range(1, 12))
    page = open_page(client, "/", question=NEIGHBOURS, culture="DE", options=options)

    assert 'class="verdict unknown"' in page
    assert "It is not known what people in Germany would answer." in read_text(page)


def test_free_text_of_the_model_is_called_the_models(client: httpx.Client) -> None:
    text = read_text(open_page(client, "/", question=FAR, culture="DE"))

    assert "No survey asked this" in text
    assert "The model, " in text


def test_one_country_that_fails_does_not_spoil_the_others(client: httpx.Client) -> None:
    page = open_page(client, "/", question=RELIGION, culture=PEOPLES, answer_from="survey")
    text = read_text(page)

    assert page.count('class="card"') == 3
    assert "No answer from this source" in text
    assert text.count("Asked there") == 2


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"question": ""}, "question", "at least 1 character"),
        ({"question": "x" * 2001}, "question", "at most 2000 characters"),
        ({"culture": ""}, "culture", "at least one country"),
        ({"culture": "Atlantis"}, "culture", "Atlantis"),
        ({"culture": "DE,NG,BR,CN,IN,US,GB,MX,RU"}, "culture", "at most 8"),
        ({"options": "Only one"}, "options", "expected 2 to 20"),
        ({"options": "Yes\nyes"}, "options", "two options are the same"),
        ({"answer_from": "stars"}, "answer_from", "should be"),
        ({"method": "guess"}, "method", "should be"),
        ({"method": ["plain", "icl", "persona", "persona+icl", "adapter"]}, "method", "at most 4"),
    ],
)
def test_what_does_not_fit_is_told_beside_its_field_and_kept(
    client: httpx.Client, fields: dict[str, str | list[str]], field: str, message: str
) -> None:
    given: dict[str, Any] = {"question": RELIGION, "culture": "DE"} | fields
    page = open_page(client, "/", status=422, **given)

    fault = re.search(rf'<p class="fault" id="fault-{field}">([^<]+)</p>', page)
    assert fault
    assert message.lower() in unescape(fault[1]).lower()
    assert given["question"] in unescape(page)
    if given["culture"] == "Atlantis":
        assert 'value="Atlantis" checked' in page


def test_what_is_typed_comes_back_as_text(client: httpx.Client) -> None:
    evil = '"><script>alert(1)</script>'
    page = open_page(client, "/", question=evil, culture="DE", options=f"{evil}\nNo")

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_half_a_surrogate_pair_does_no_harm(client: httpx.Client) -> None:
    reply = client.get("/?question=%ED%A0%80%00&culture=DE", headers=BROWSER)

    assert reply.status_code in (200, 422)
    check_page(reply)


def test_the_snippets_ask_the_same(client: httpx.Client) -> None:
    page = open_page(client, "/", question=RELIGION, culture="NG", method="icl")
    shell = unescape(re.findall(r"<code>(curl .+?)</code>", page, re.S)[0])
    sent = json.loads(re.findall(r"-d '(.+)'", shell, re.S)[0])

    assert sent == {"culture": "NG", "question": RELIGION, "method": "icl"}
    assert client.post("/answer", json=sent).status_code == 200


def test_the_python_that_is_shown_runs(client: httpx.Client) -> None:
    page = open_page(client, "/", question=RELIGION, culture="NG", options="Yes\nNo")
    script = unescape(re.findall(r"<code>(from milieu_client .+?)</code>", page, re.S)[0])

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60.0
    )

    _, *shares = done.stdout.splitlines()
    assert [line.split()[0] for line in shares] == ["Yes", "No"]


def test_the_table_has_every_share_with_survey_and_licence(client: httpx.Client) -> None:
    reply = client.get("/ask.csv", params={"question": RELIGION, "culture": ["DE", "JP"]})
    rows = list(csv.DictReader(io.StringIO(reply.text)))

    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in reply.headers["content-disposition"]
    assert {(row["country"], row["source"]) for row in rows} == {
        ("Germany", "survey"), ("Germany", "transfer"), ("Japan", "transfer"),
    }  # fmt: skip
    assert all("Haerpfer" in row["citation"] and row["licence"] for row in rows)
    said = [float(row["share"]) for row in rows if row["source"] == "survey"]
    assert sum(said) == pytest.approx(1.0, abs=1e-3)


def test_a_text_that_a_spreadsheet_would_calculate_stays_a_text(client: httpx.Client) -> None:
    fields = {"question": "=1+1 lend money to neighbours?", "culture": "DE", "options": "+1\nNo"}
    rows = list(csv.DictReader(io.StringIO(client.get("/ask.csv", params=fields).text)))

    assert rows
    assert all(row["question"].startswith("'=") for row in rows)


def test_the_picture_is_sound_and_tells_its_sources(client: httpx.Client) -> None:
    fields = {"question": RELIGION, "culture": ["DE", "JP"], "method": "icl"}
    reply = client.get("/ask.svg", params=fields)
    picture = ElementTree.fromstring(reply.text)
    words = " ".join(each.text or "" for each in picture.iter("{http://www.w3.org/2000/svg}text"))

    assert reply.headers["content-type"].startswith("image/svg+xml")
    assert "Germany" in words
    assert "Haerpfer" in words
    assert "no survey's figures" in words


def test_a_download_of_what_does_not_fit_is_refused_with_a_page(client: httpx.Client) -> None:
    page = open_page(client, "/ask.csv", question=RELIGION, culture="Atlantis", status=422)

    assert "Atlantis" in page
