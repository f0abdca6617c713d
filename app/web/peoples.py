"""`/peoples`: where peoples stand to each other, by how alike they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ResourcesDep
from app.resources import Resources
from app.web.downloads import Row, send_csv, send_svg
from app.web.pages import Pages, PagesDep
from app.web.peoples_picture import Spot, draw_peoples, lay_out
from survey_data.cultures import Culture
from survey_data.errors import PackMissing
from survey_data.model import PackManifest

router = APIRouter(include_in_schema=False)
PUBLISHED = "inglehart-welzel"
PUBLISHED_NAME = "Inglehart\u2013Welzel map, as published"
# The sub-regions of UN M49 in its regions.
REGIONS = {
    "Africa": ("Northern Africa", "Eastern Africa", "Middle Africa", "Southern Africa",
               "Western Africa"),
    "Americas": ("Caribbean", "Central America", "South America", "Northern America"),
    "Asia": ("Central Asia", "Eastern Asia", "South-eastern Asia", "Southern Asia",
             "Western Asia"),
    "Europe": ("Eastern Europe", "Northern Europe", "Southern Europe", "Western Europe"),
    "Oceania": ("Australia and New Zealand", "Melanesia", "Micronesia", "Polynesia"),
}  # fmt: skip


class Placed(NamedTuple):
    """Peoples on a map.

    `kept` is how much of all distances two dimensions hold, in [0, 1]; None for a published map,
    whose dimensions have names.
    """

    by: str
    name: str
    peoples: list[tuple[Culture, float, float]]
    kept: float | None
    manifest: PackManifest | None
    axes: tuple[str, str] = ("", "")


@router.get("/peoples")
async def show_peoples(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show where peoples stand."""
    by = request.query_params.get("by", "")
    choices = [
        *((pack.manifest.id, pack.manifest.title_in_sentence) for pack in resources.library.packs),
        (PUBLISHED, PUBLISHED_NAME),
    ]
    fault, placed = "", None
    try:
        placed = await _place(by, resources)
    except PackMissing as error:
        fault = str(error)
    values: dict[str, Any] = {"placed": placed, "choices": choices, "by": by}
    values["faults"] = {"by": fault} if fault else {}
    values["regions"] = list(REGIONS)
    values["spots"] = lay_out(_name_spots(placed)) if placed else []
    return pages.render(request, "peoples.html", status=422 if fault else 200, **values)


@router.get("/peoples.csv")
async def download_csv(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the positions as a table."""
    try:
        placed = await _place(request.query_params.get("by", ""), resources)
    except PackMissing as error:
        return _refuse(request, pages, error)
    return send_csv(_tabulate(placed), f"milieu-peoples-{placed.by}")


@router.get("/peoples.svg")
async def download_svg(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the map as a picture."""
    try:
        placed = await _place(request.query_params.get("by", ""), resources)
    except PackMissing as error:
        return _refuse(request, pages, error)
    spots = lay_out(_name_spots(placed))
    picture = draw_peoples(placed.name, spots, placed.axes, placed.manifest, list(REGIONS))
    return send_svg(picture, f"milieu-peoples-{placed.by}")


def find_region(culture: Culture) -> str:
    """Return the region of UN M49 that a culture's sub-region is in, empty for none."""
    return next((name for name, of in REGIONS.items() if culture.region in of), "")


async def _place(by: str, resources: Resources) -> Placed:
    """Return the map by the survey with this id, without one by the first that is large.

    Raises:
        PackMissing: no loaded pack has it.
    """
    library = resources.library
    catalogue = library.catalogue
    if by == PUBLISHED:
        peoples = [
            (culture, culture.position.survival_expression, culture.position.traditional_secular)
            for culture in catalogue
            if culture.position is not None
        ]
        axes = ("survival \u2192 self-expression", "traditional \u2192 secular-rational")
        return Placed(by, PUBLISHED_NAME, peoples, None, None, axes)
    widest = max(library.packs, key=lambda pack: len(pack.questions))
    pack = library.pack(by) if by else widest
    found = await resources.peoples.place(pack)
    points = found.points.tolist()
    placed = [
        (catalogue[code], float(x), float(y))
        for code, (x, y) in zip(found.cultures, points, strict=True)
    ]
    manifest = pack.manifest
    return Placed(manifest.id, manifest.title_in_sentence, placed, found.kept, manifest)


def _name_spots(placed: Placed) -> Sequence[Spot]:
    return [Spot(culture.name, find_region(culture), x, y) for culture, x, y in placed.peoples]


def _tabulate(placed: Placed) -> Iterator[Row]:
    yield ("culture", "country", "region", "x", "y", "by", "licence", "citation")
    manifest = placed.manifest
    about = ("", "") if manifest is None else (manifest.licence, manifest.citation)
    for culture, x, y in placed.peoples:
        place = (round(x, 4), round(y, 4))
        yield (culture.code, culture.name, culture.region, *place, placed.name, *about)


def _refuse(request: Request, pages: Pages, error: Exception) -> Response:
    return pages.render_problem(request, 422, "The request does not fit", str(error))
