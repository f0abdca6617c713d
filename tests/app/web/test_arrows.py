"""The cultural map with arrows from peoples to a model's answers as them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from app.web.model_arrows import draw_arrows
from app.web.peoples_picture import RADIUS, Spot, lay_out
from survey_data.cultures import Culture, read_catalogue
from tests.app.model_maps import make_map, write_map
from tests.app.service import opened
from tests.app.web.pages import BROWSER, open_page, read_text
from tests.fixtures.service import MakeSettings

BY = "inglehart-welzel"


def list_peoples(*codes: str) -> list[tuple[Culture, float, float]]:
    catalogue = read_catalogue()
    return [
        (culture, culture.position.survival_expression, culture.position.traditional_secular)
        for culture in (catalogue[code] for code in codes)
        if culture.position is not None
    ]


def test_arrows_are_measured_and_the_farthest_comes_first() -> None:
    arrows = draw_arrows(make_map(), "persona", list_peoples("NGA", "DEU"))

    assert arrows is not None
    assert [row.culture.code for row in arrows.rows] == ["DEU", "NGA"]
    # As published Germany is at (1.879, 1.062), Nigeria at (-1.078, -1.276).
    # Germany: √(1.879² + 1.062²) to (0, 0); Nigeria: √(1.378² + 1.276²) to (0.3, 0).
    assert [row.length for row in arrows.rows] == pytest.approx([2.1584, 1.8780], abs=1e-4)
    assert arrows.mean_length == pytest.approx(2.0182, abs=1e-4)
    assert arrows.answers_apart == pytest.approx(0.3)
    # √(2.957² + 2.338²)
    assert arrows.people_apart == pytest.approx(3.7696, abs=1e-4)
    assert arrows.n_beyond_error == 2


def test_an_arrow_ends_at_the_edge_of_its_points() -> None:
    [spot, far, near] = lay_out(
        [
            Spot("From", "", 0.0, 0.0, (1.0, 0.0)),
            Spot("Aside", "", 0.0, 1.0),
            Spot("Near", "", 0.5, 0.5, (0.501, 0.5)),
        ]
    )

    assert spot.shaft is not None
    assert spot.shaft.line is not None
    x1, y1, x2, y2 = spot.shaft.line
    assert x1 == pytest.approx(spot.x + RADIUS)
    assert y1 == y2 == spot.y == spot.shaft.to_y
    assert x2 < spot.shaft.to_x - RADIUS
    assert (far.shaft, far.anchor) == (None, "")
    assert near.shaft is not None
    assert (near.shaft.line, near.shaft.head) == (None, "")


def test_the_published_map_has_an_arrow_to_the_answers_as_each_people(
    client: httpx.Client,
) -> None:
    page = open_page(client, "/peoples", by=BY)
    text = read_text(page)

    assert page.count('<a class="moved k') == 4
    assert '<option value="persona" selected>' in page
    assert "Asked by the method persona, fake lands" in text
    assert "placed 0.24 from where they stand" in text
    assert re.findall(r'<tr id="at-(\w+)">', page)[0] == "DEU"
    assert "Germany 2.16 1.88 0.00 1.06 0.00" in text


def test_the_way_is_in_the_address_and_may_be_none(client: httpx.Client) -> None:
    plain = open_page(client, "/peoples", by=BY, way="plain")
    none = open_page(client, "/peoples", by=BY, way="none")
    other = open_page(client, "/peoples", by="climate-2022", way="plain")

    assert "fake answers everyone alike" in read_text(plain)
    assert 'href="/peoples.csv?by=inglehart-welzel&amp;way=plain"' in plain
    assert '<option value="none" selected>' in none
    for page in (none, other):
        assert 'class="moved' not in page


def test_an_unknown_way_is_told_beside_its_field(client: httpx.Client) -> None:
    page = open_page(client, "/peoples", by=BY, way="icl", status=422)

    assert 'id="fault-way"' in page
    assert "“icl” is none of plain, persona, none." in read_text(page)
    for path in ("/peoples.csv", "/peoples.svg"):
        open_page(client, path, by=BY, way="icl", status=422)


def test_table_and_picture_take_the_answers_along(client: httpx.Client) -> None:
    asked = {"by": BY, "way": "persona"}
    table = client.get("/peoples.csv", params=asked).text
    rows = {row["culture"]: row for row in csv.DictReader(io.StringIO(table))}
    picture = client.get("/peoples.svg", params=asked).text

    assert len(rows) == 108
    germany = rows["DEU"]
    assert (germany["model"], germany["way"], germany["error"]) == ("fake", "persona", "0.24")
    assert (float(germany["answers_x"]), float(germany["answers_y"])) == (0.0, 0.0)
    assert germany["distance"] == "2.1584"
    assert rows["FRA"]["answers_x"] == rows["FRA"]["model"] == ""
    ElementTree.fromstring(picture)
    assert picture.count("<path") == 4
    for told in ("the answers of fake", "by the method persona", "Hollow points are estimates"):
        assert told in re.sub(r"</text><text[^>]*>", " ", picture)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "another"}, "map.json: found that of another, expected fake."),
        ({"identity": {"model root": "other"}}, "found that of model root other, expected model"),
    ],
)
async def test_the_map_of_another_model_is_not_shown(
    make_settings: MakeSettings, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    file = write_map(tmp_path / "map.json", **changes)
    async with opened(make_settings(model_map=file)) as client:
        reply = await client.get("/peoples", params={"by": BY}, headers=BROWSER)

    assert reply.status_code == 200
    assert 'class="moved' not in reply.text
    assert told in read_text(reply.text)


async def test_without_a_map_the_page_says_how_one_is_made(make_settings: MakeSettings) -> None:
    async with opened(make_settings()) as client:
        reply = await client.get("/peoples", params={"by": BY}, headers=BROWSER)

    text = read_text(reply.text)
    assert "Where the answers of fake as these peoples stand is not known here" in text
    assert "milieu evaluate --cultural-map" in text
