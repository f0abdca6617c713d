"""Peoples as points: where each stands on the picture, and whose name has room beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.web.compare_picture import COLOURS
from app.web.drawing import MARGIN, WIDTH, Sheet, label
from app.web.share_tables import cite
from reports.markup import tag
from reports.style import FAINT, INK, SOFT
from survey_data.model import PackManifest

AREA_WIDTH, AREA_HEIGHT, EDGE = 960.0, 620.0, 46.0
SIZE, CHARACTER, RADIUS = 12.0, 6.4, 4.5


class Spot(NamedTuple):
    """A people before it is laid out: its name, its region, and where it stands."""

    name: str
    region: str
    x: float
    y: float


class LaidOut(NamedTuple):
    """A people on the picture, in its pixels; `anchor` is empty where its name has no room."""

    name: str
    region: str
    x: float
    y: float
    anchor: str
    label_x: float
    label_y: float


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        is_beside = self.right <= other.left or other.right <= self.left
        return not (is_beside or self.bottom <= other.top or other.bottom <= self.top)


def lay_out(spots: Sequence[Spot]) -> list[LaidOut]:
    """Return the points of a picture, drawn to one measure both ways, and the names with room."""
    if not spots:
        return []
    xs, ys = [spot.x for spot in spots], [spot.y for spot in spots]
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    scale = min((AREA_WIDTH - 3 * EDGE) / width, (AREA_HEIGHT - 2 * EDGE) / height)
    middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    points = [
        (
            AREA_WIDTH / 2 + (spot.x - middle_x) * scale,
            AREA_HEIGHT / 2 - (spot.y - middle_y) * scale,
        )
        for spot in spots
    ]
    taken = [_Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in points]
    found = []
    for spot, (x, y) in zip(spots, points, strict=True):
        anchor, at_x, at_y = _find_room(spot.name, x, y, taken)
        found.append(LaidOut(spot.name, spot.region, x, y, anchor, at_x, at_y))
    return found


def _find_room(name: str, x: float, y: float, taken: list[_Box]) -> tuple[str, float, float]:
    """Return where a name goes that meets nothing in `taken`, which it is then added to."""
    width, gap = len(name) * CHARACTER, RADIUS + 3.0
    places = (
        ("start", x + gap, y + 4.0, x + gap),
        ("end", x - gap, y + 4.0, x - gap - width),
        ("middle", x, y - gap - 1.0, x - width / 2),
        ("middle", x, y + gap + SIZE - 2.0, x - width / 2),
    )
    for anchor, at_x, at_y, left in places:
        box = _Box(left, at_y - SIZE + 2.0, left + width, at_y + 3.0)
        is_inside = box.left >= 0 and box.right <= AREA_WIDTH
        if is_inside and not any(box.meets(other) for other in taken):
            taken.append(box)
            return anchor, at_x, at_y
    return "", x, y


def draw_peoples(
    name: str,
    spots: Sequence[LaidOut],
    axes: tuple[str, str],
    manifest: PackManifest | None,
    regions: Sequence[str],
) -> str:
    """Return the picture as a file of its own."""
    sheet = Sheet()
    sheet.write("Peoples by how alike they answer", size=20.0, bold=True, serif=True)
    sheet.write(name, size=13.0, soft=True)
    x = MARGIN
    for place, region in enumerate(regions):
        sheet.add(tag("circle", cx=x + 6, cy=sheet.y + 16, r=5, fill=COLOURS[f"n{place}"]))
        sheet.add(label(region, x + 16, sheet.y + 20, size=12.0))
        x += 110.0
    sheet.skip(34.0)
    factor = (WIDTH - 2 * MARGIN) / AREA_WIDTH
    pieces = [tag("rect", width=AREA_WIDTH, height=AREA_HEIGHT, fill="none", stroke=FAINT)]
    for spot in spots:
        colour = COLOURS[f"n{regions.index(spot.region)}"] if spot.region in regions else SOFT
        pieces.append(tag("circle", cx=spot.x, cy=spot.y, r=RADIUS, fill=colour))
        if spot.anchor:
            pieces.append(
                label(spot.name, spot.label_x, spot.label_y, size=SIZE, anchor=spot.anchor)
            )
    if axes[0]:
        pieces.append(label(axes[0], AREA_WIDTH - 8, AREA_HEIGHT - 8, anchor="end", fill=INK))
        pieces.append(label(f"\u2191 {axes[1]}", 8, 18, fill=INK))
    moved = f"translate({MARGIN:g} {sheet.y:g}) scale({factor:.4f})"
    sheet.add(tag("g", *pieces, transform=moved))
    sheet.skip(AREA_HEIGHT * factor + 6.0)
    for line in cite([manifest])[: 1 if manifest else 0]:
        sheet.write(line, size=11.0, soft=True)
    return sheet.finish()
