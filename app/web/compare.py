"""`/compare`: one question, all peoples side by side."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ResourcesDep
from app.resources import Resources
from app.web.ask_form import split_names
from app.web.compare_picture import draw_compared
from app.web.downloads import send_csv, send_svg
from app.web.figures import Figure, Order, find_figures, read_order, sort_figures, tabulate_figures
from app.web.pages import Pages, PagesDep
from app.web.picking import Picked, pick_question
from app.web.scales import Stack, name_colours, stack_shares
from survey_data.errors import SurveyDataError
from survey_data.model import PackManifest, Question

router = APIRouter(include_in_schema=False)


class Compared(NamedTuple):
    """What the view shows of a question."""

    question: Question
    manifest: PackManifest
    figures: list[Figure]
    groups: list[tuple[str, list[Figure]]]
    stack: Stack
    order: Order
    query: dict[str, Any]


@router.get("/compare")
async def show_compare(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show the peoples' shares side by side."""
    picked, compared, faults = await _compare(request, resources)
    values: dict[str, Any] = {"picked": picked, "compared": compared, "faults": faults}
    values["countries"] = [resources.library.catalogue[c] for c in resources.library.cultures]
    if compared is not None:
        rows = [figure for _, group in compared.groups for figure in group if figure.shares]
        values["bars"] = dict(
            zip((row.culture.code for row in rows), compared.stack.bars, strict=True)
        )
        values["colours"] = name_colours(compared.question)
    status = 422 if faults else 200
    return pages.render(request, "compare.html", status=status, **values)


@router.get("/compare.csv")
async def download_csv(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the figures of the view as a table."""
    _, compared, faults = await _compare(request, resources)
    if compared is None:
        return _refuse(request, pages, faults)
    rows = tabulate_figures(compared.question, _sorted(compared), compared.manifest)
    return send_csv(rows, f"milieu-{compared.question.key.replace(':', '-')}")


@router.get("/compare.svg")
async def download_svg(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the bars of the view as a picture."""
    _, compared, faults = await _compare(request, resources)
    if compared is None:
        return _refuse(request, pages, faults)
    picture = draw_compared(
        compared.question, compared.groups, compared.stack, manifest=compared.manifest
    )
    return send_svg(picture, f"milieu-{compared.question.key.replace(':', '-')}")


async def _compare(
    request: Request, resources: Resources
) -> tuple[Picked, Compared | None, dict[str, str]]:
    query = request.query_params
    picked = await pick_question(query, resources)
    faults, names = dict(picked.faults), split_names(query.getlist("culture"))
    codes = []
    for name in names:
        try:
            codes.append(resources.library.find_culture(name).code)
        except SurveyDataError as error:
            faults["culture"] = f"{faults.get('culture', '')} {error}".strip()
    if picked.question is None or picked.manifest is None:
        return picked, None, faults
    estimates = query.get("estimates", "") == "1"
    question = picked.question
    figures = await find_figures(
        question,
        resources,
        cultures=tuple(dict.fromkeys(codes)),
        estimates=estimates or bool(codes),
    )
    order = read_order(query, question, default=0)
    groups = sort_figures(figures, order)
    rows = [figure for _, group in groups for figure in group if figure.shares]
    stack = stack_shares(question, [[share.share for share in row.shares] for row in rows])
    kept = {
        "key": question.key,
        "culture": names,
        "estimates": "1" if estimates else "",
        "group": "region" if order.by_region else "",
        "sort": query.get("sort", ""),
    }
    return picked, Compared(question, picked.manifest, figures, groups, stack, order, kept), faults


def _sorted(compared: Compared) -> list[Figure]:
    return [figure for _, group in compared.groups for figure in group]


def _refuse(request: Request, pages: Pages, faults: dict[str, str]) -> Response:
    detail = " ".join(faults.values()) or "Name a question."
    return pages.render_problem(request, 422, "The request does not fit", detail)
