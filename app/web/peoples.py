"""`/peoples`: where peoples stand to each other, by how alike they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ResourcesDep
from app.resources import Resources
from app.web.downloads import Row, send_csv, send_svg
from app.web.model_arrows import NO_WAY, Arrow, Arrows, WayUnknown, draw_arrows
from app.web.pages import Pages, PagesDep
from app.web.peoples_picture import Spot, draw_peoples, lay_out
from survey_data.cultures import Culture
from survey_data.errors import PackMissing
from survey_data.model import PackManifest

router = APIRouter(include_in_schema=False)
PUBLISHED = "inglehart-welzel"
ARROW_COLUMNS = ("model", "way", "answers_x", "answers_y", "distance", "error", "asked")
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


class Shown(NamedTuple):
    """What the view is of: peoples on a map, and a model's answers as them where there are any."""

    placed: Placed
    arrows: Arrows | None = None


@router.get("/peoples")
async def show_peoples(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show where peoples stand."""
    by, way = (request.query_params.get(name, "") for name in ("by", "way"))
    choices = [
        *((pack.manifest.id, pack.manifest.title_in_sentence) for pack in resources.library.packs),
        (PUBLISHED, PUBLISHED_NAME),
    ]
    faults, shown = {}, None
    try:
        shown = await _show(by, way, resources)
    except PackMissing as error:
        faults["by"] = str(error)
    except WayUnknown as error:
        faults["way"] = str(error)
        shown = await _show(by, NO_WAY, resources)
    values: dict[str, Any] = {"choices": choices, "by": by, "way": way, "faults": faults}
    values["placed"], values["arrows"] = shown or (None, None)
    values["spots"] = lay_out(_name_spots(shown)) if shown else []
    values["regions"], values["model"] = list(REGIONS), resources.settings.model
    values["model_map"], values["refused_because"] = resources.model_map
    return pages.render(request, "peoples.html", status=422 if faults else 200, **values)


@router.get("/peoples.csv")
async def download_csv(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the positions as a table."""
    try:
        shown = await _read(request, resources)
    except (PackMissing, WayUnknown) as error:
        return _refuse(request, pages, error)
    return send_csv(_tabulate(shown), _name_file(shown))


@router.get("/peoples.svg")
async def download_svg(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the map as a picture."""
    try:
        shown = await _read(request, resources)
    except (PackMissing, WayUnknown) as error:
        return _refuse(request, pages, error)
    placed, arrows = shown
    spots = lay_out(_name_spots(shown))
    notes = () if arrows is None else _explain(arrows)
    picture = draw_peoples(
        placed.name, spots, placed.axes, placed.manifest, list(REGIONS), notes=notes
    )
    return send_svg(picture, _name_file(shown))


def find_region(culture: Culture) -> str:
    """Return the region of UN M49 that a culture's sub-region is in, empty for none."""
    return next((name for name, of in REGIONS.items() if culture.region in of), "")


async def _read(request: Request, resources: Resources) -> Shown:
    """Return what an address is of, as `_show` does."""
    query = request.query_params
    return await _show(query.get("by", ""), query.get("way", ""), resources)


async def _show(by: str, way: str, resources: Resources) -> Shown:
    """Return the map by a survey, or the published one with a model's answers of one way.

    Raises:
        PackMissing: no loaded pack has this id.
        WayUnknown: the model was not asked so.
    """
    placed = await _place(by, resources)
    model_map = resources.model_map.map
    if by != PUBLISHED or model_map is None:
        return Shown(placed)
    return Shown(placed, draw_arrows(model_map, way, placed.peoples))


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


def _name_spots(shown: Shown) -> Sequence[Spot]:
    to = {row.culture.code: row.answers for row in _list_rows(shown)}
    return [
        Spot(culture.name, find_region(culture), x, y, to.get(culture.code))
        for culture, x, y in shown.placed.peoples
    ]


def _list_rows(shown: Shown) -> Sequence[Arrow]:
    return () if shown.arrows is None else shown.arrows.rows


def _name_file(shown: Shown) -> str:
    return f"milieu-peoples-{shown.placed.by}{'' if shown.arrows is None else '-answers'}"


def _explain(arrows: Arrows) -> Sequence[str]:
    """Return what a picture's arrows are, in lines."""
    of, day = arrows.of, arrows.of.created[:10]
    return (
        f"Arrows: from where the people stand, as published, to where the answers of {of.model} as "
        f"them stand, asked {of.n_questions} questions by the method {arrows.way}, {day}.",
        "Hollow points are estimates: a country's own people, left out of the fit, are placed "
        f"{of.error:.2f} from where they stand (root mean square).",
    )


def _tabulate(shown: Shown) -> Iterator[Row]:
    placed, arrows = shown
    columns = ("culture", "country", "region", "x", "y", "by", "licence", "citation")
    yield columns if arrows is None else (*columns, *ARROW_COLUMNS)
    manifest = placed.manifest
    about = ("", "") if manifest is None else (manifest.licence, manifest.citation)
    rows = {row.culture.code: row for row in _list_rows(shown)}
    for culture, x, y in placed.peoples:
        place = (round(x, 4), round(y, 4))
        row = (culture.code, culture.name, culture.region, *place, placed.name, *about)
        yield row if arrows is None else (*row, *_tabulate_arrow(arrows, rows.get(culture.code)))


def _tabulate_arrow(arrows: Arrows, row: Arrow | None) -> Row:
    if row is None:
        return (None,) * len(ARROW_COLUMNS)
    found = (round(value, 4) for value in (*row.answers, row.length, arrows.of.error))
    return (arrows.of.model, arrows.way, *found, arrows.of.created)


def _refuse(request: Request, pages: Pages, error: Exception) -> Response:
    return pages.render_problem(request, 422, "The request does not fit", str(error))
