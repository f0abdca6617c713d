"""Peoples, chat, experiments and adapters, as they are without JavaScript."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app.web.peoples import REGIONS, find_region
from app.web.peoples_picture import Spot, lay_out
from app.web.policy import REPORT_POLICY
from survey_data.cultures import read_catalogue
from tests.app.experiment_commands import Experiments
from tests.app.service import RELIGION, opened
from tests.app.web.pages import BROWSER, OWN, check_page, open_page, read_text
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import MakeSettings


@pytest.mark.parametrize(("by", "n"), [("wvs7", 19), ("climate-2022", 107), ("", 19)])
def test_every_people_of_a_survey_has_a_point(client: httpx.Client, by: str, n: int) -> None:
    page = open_page(client, "/peoples", by=by)

    assert page.count('<g class="spot">') == n
    assert page.count('<tr><th scope="row">') == n
    rows = list(csv.DictReader(io.StringIO(client.get("/peoples.csv", params={"by": by}).text)))
    assert len(rows) == n
    assert all(row["licence"] for row in rows)
    ElementTree.fromstring(client.get("/peoples.svg", params={"by": by}).text)


def test_the_published_map_names_its_dimensions(client: httpx.Client) -> None:
    text = read_text(open_page(client, "/peoples", by="inglehart-welzel"))

    assert "survival \u2192 self-expression" in text
    assert "Inglehart" in text


def test_a_survey_that_is_none_is_told_beside_its_field(client: httpx.Client) -> None:
    assert 'id="fault-by"' in open_page(client, "/peoples", by="none", status=422)
    for path in ("/peoples.csv", "/peoples.svg"):
        open_page(client, path, by="none", status=422)


def test_every_sub_region_of_the_catalogue_is_in_a_region() -> None:
    outside = {culture.region for culture in read_catalogue() if not find_region(culture)}

    assert outside <= {"Antarctica", ""}
    assert len({part for parts in REGIONS.values() for part in parts}) == 22


def test_names_are_left_out_where_they_have_no_room() -> None:
    crowd = [Spot(f"People {n}", "", n / 1e6, 0.0) for n in range(40)]
    found = lay_out([*crowd, Spot("Apart", "", 1.0, 1.0)])

    assert len(found) == 41
    # Beside, above and below one point there is room for four at most.
    assert 2 <= sum(bool(each.anchor) for each in found[:-1]) <= 4
    assert found[-1].anchor
    assert all(0 <= each.x <= 960 and 0 <= each.y <= 620 for each in found)
    assert lay_out([]) == []
    assert lay_out([Spot("Alone", "", 2.0, 3.0)])[0][2:4] == (480.0, 310.0)


def test_without_javascript_both_panes_are_answered(client: httpx.Client, fake: FakeVllm) -> None:
    page = open_page(client, "/chat", message=RELIGION, culture="DE", reply="1")
    text = read_text(page)

    assert len(fake.chats) == 2
    assert "As the people of Germany" in text
    assert "1,528 people in Germany were asked" in text
    assert "35% Not that important" in text
    replies = re.findall(r'<p class="reply" aria-live="polite">([^<]+)</p>', page)
    assert len(set(replies)) == 2


def test_without_being_sent_nothing_is_asked(client: httpx.Client, fake: FakeVllm) -> None:
    page = open_page(client, "/chat", message=RELIGION, culture="DE")

    assert RELIGION in page
    assert not fake.chats


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"message": "", "culture": "DE"}, "message"),
        ({"message": "x" * 4001, "culture": "DE"}, "message"),
        ({"message": "Hello", "culture": ""}, "culture"),
        ({"message": "Hello", "culture": "Atlantis"}, "culture"),
        ({"message": "Hello", "culture": "DE", "method": "guess"}, "method"),
    ],
)
def test_what_does_not_fit_a_chat_is_told_beside_its_field(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any], field: str
) -> None:
    page = open_page(client, "/chat", status=422, reply="1", **fields)

    assert f'id="fault-{field}"' in page
    assert not fake.chats


def test_one_pane_may_fail_alone(client: httpx.Client, fake: FakeVllm) -> None:
    fake.script(Scripted(status=400, message="no"))
    page = open_page(client, "/chat", message=RELIGION, culture="DE", reply="1")

    assert page.count('<p class="fault" hidden>') == 1
    assert "vLLM refused the request" in page


async def test_what_runs_is_shown_to_admins(
    make_settings: MakeSettings, running: Experiments
) -> None:
    settings = make_settings(admin_keys="root-key", data_folder=running.settings.data_folder)
    async with opened(settings) as client:
        assert (await client.get("/experiments", headers=BROWSER)).status_code == 401
        await client.post("/key", data={"key": "root-key"}, headers=OWN)
        page = await client.get("/experiments", headers=OWN)
        check_page(page)
        assert re.search(r'class="state running">running', page.text)
        report = await client.get("/experiments/ways/report", headers=OWN)
        assert report.headers["content-security-policy"] == REPORT_POLICY
        assert "ways" in report.text
        unknown = await client.get("/experiments/none/report", headers=OWN)
        assert unknown.status_code == 404
        check_page(unknown)
        adapters = await client.get("/adapters", headers=OWN)
        check_page(adapters)
        assert "No adapters are served here" in adapters.text


async def test_without_experiments_the_view_says_so(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(admin_keys="root-key", experiments={"store": "none"})
    async with opened(settings) as client:
        await client.post("/key", data={"key": "root-key"}, headers=OWN)
        page = await client.get("/experiments", headers=OWN)

        assert "No experiments are kept here" in page.text
