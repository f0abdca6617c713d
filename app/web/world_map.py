"""`/map`: the share of one answer, country by country."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ResourcesDep
from app.api.schemas.sources import OptionShare
from app.web.downloads import send_csv
from app.web.figures import Figure, Order, find_figures, sort_figures, tabulate_figures
from app.web.pages import PagesDep
from app.web.picking import Picked, pick_question
from app.web.scales import cut_steps
from survey_data.model import Question

router = APIRouter(include_in_schema=False)


class Place(NamedTuple):
    """Where a country is on the map.

    `shape` is what the map's data calls it: its ISO 3166-1 number, of Kosovo its name. The point
    is the middle of its largest part, in degrees, empty where the data has none.
    """

    shape: str
    longitude: str
    latitude: str


class MapRow(NamedTuple):
    """A country as the table lists it and the map paints it; nothing known without a `share`."""

    figure: Figure
    place: Place
    share: OptionShare | None
    step: int


@cache
def read_places() -> dict[str, Place]:
    """Return where each country is, by alpha-3 code."""
    with files("app.web").joinpath("places.csv").open(encoding="utf-8") as file:
        return {
            row["alpha3"]: Place(row["numeric"], row["longitude"], row["latitude"])
            for row in csv.DictReader(file)
        }


@router.get("/map")
async def show_map(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show a map of one option's shares, and the table that it is painted by."""
    picked = await pick_question(request.query_params, resources)
    values: dict[str, Any] = {"picked": picked, "faults": picked.faults, "rows": ()}
    if picked.question is not None:
        option, fault = _read_option(request.query_params.get("option", ""), picked.question)
        if fault:
            values["faults"] = picked.faults | {"option": fault}
        estimates = request.query_params.get("estimates", "1") != "0"
        figures = await find_figures(picked.question, resources, estimates=estimates)
        known = [figure.shares[option].share for figure in figures if figure.shares]
        steps = cut_steps(known)
        rows = []
        for figure in sort_figures(figures, Order(option, by_region=False))[0][1]:
            share = figure.shares[option] if figure.shares else None
            step = -1 if share is None else steps.find(share.share)
            rows.append(MapRow(figure, read_places()[figure.culture.code], share, step))
        values |= {"rows": rows, "option": option, "edges": steps.edges, "estimates": estimates}
        values["n_surveyed"] = sum(not row.figure.is_estimate for row in rows if row.share)
    status = 422 if values["faults"] else 200
    return pages.render(request, "map.html", status=status, **values)


@router.get("/map.csv")
async def download_csv(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the figures of the map, of all options, as a table."""
    picked = await pick_question(request.query_params, resources)
    if picked.question is None or picked.manifest is None:
        return pages.render_problem(request, 422, "The request does not fit", _explain(picked))
    estimates = request.query_params.get("estimates", "1") != "0"
    figures = await find_figures(picked.question, resources, estimates=estimates)
    rows = tabulate_figures(picked.question, figures, picked.manifest)
    return send_csv(rows, f"milieu-map-{picked.question.key.replace(':', '-')}")


def _explain(picked: Picked) -> str:
    return picked.fault or "Name a question."


def _read_option(text: str, question: Question) -> tuple[int, str]:
    """Return the place of the option with a number, the first one without; or what is wrong."""
    if not text:
        return 0, ""
    if text.isascii() and text.isdigit() and int(text[:6]) in question.numbers:
        return int(text) - question.first_number, ""
    first, last = question.numbers[0], question.numbers[-1]
    return 0, f"No option has the number '{text[:20]}'; expected {first} to {last}."
