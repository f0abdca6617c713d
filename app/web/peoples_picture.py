"""Peoples as points: where each stands on the picture, what it points to, whose name has room."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from typing import NamedTuple

from app.web.compare_picture import COLOURS
from app.web.drawing import MARGIN, WIDTH, Sheet, label
from app.web.share_tables import cite
from reports.markup import Markup, tag
from reports.style import FAINT, INK, PAPER, SOFT
from survey_data.model import PackManifest

AREA_WIDTH, AREA_HEIGHT, EDGE = 960.0, 620.0, 46.0
SIZE, CHARACTER, RADIUS = 12.0, 6.4, 4.5
# Of the head of an arrow, in pixels.
HEAD_LENGTH, HEAD_WIDTH = 8.0, 6.0


class Spot(NamedTuple):
    """A people before it is laid out: its name, its region, where it stands and points to."""

    name: str
    region: str
    x: float
    y: float
    to: tuple[float, float] | None = None


class Shaft(NamedTuple):
    """An arrow on the picture, from the edge of one point to that of another at `to`.

    `head` is the path of its head. Points that touch have neither line nor head.
    """

    to_x: float
    to_y: float
    line: tuple[float, float, float, float] | None
    head: str


class LaidOut(NamedTuple):
    """A people on the picture, in its pixels; `anchor` is empty where its name has no room."""

    name: str
    region: str
    x: float
    y: float
    anchor: str
    label_x: float
    label_y: float
    shaft: Shaft | None = None


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        is_beside = self.right <= other.left or other.right <= self.left
        return not (is_beside or self.bottom <= other.top or other.bottom <= self.top)


def lay_out(spots: Sequence[Spot]) -> list[LaidOut]:
    """Return the points of a picture, drawn to one measure both ways, and the names with room.

    Where some have an arrow, the others have no name.
    """
    if not spots:
        return []
    ends = [spot.to for spot in spots if spot.to is not None]
    xs = [*(spot.x for spot in spots), *(x for x, _ in ends)]
    ys = [*(spot.y for spot in spots), *(y for _, y in ends)]
    width, height = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    scale = min((AREA_WIDTH - 3 * EDGE) / width, (AREA_HEIGHT - 2 * EDGE) / height)
    middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2

    def move(x: float, y: float) -> tuple[float, float]:
        return (
            AREA_WIDTH / 2 + (x - middle_x) * scale,
            AREA_HEIGHT / 2 - (y - middle_y) * scale,
        )

    points = [move(spot.x, spot.y) for spot in spots]
    # Where some have an arrow, names may cover the others, which are pale.
    marked = [at for spot, at in zip(spots, points, strict=True) if spot.to is not None or not ends]
    taken = [
        _Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
        for x, y in (*marked, *(move(*end) for end in ends))
    ]
    found = []
    for spot, (x, y) in zip(spots, points, strict=True):
        anchor, at_x, at_y = "", x, y
        if spot.to is not None or not ends:
            anchor, at_x, at_y = _find_room(spot.name, x, y, taken)
        shaft = None if spot.to is None else _point(x, y, *move(*spot.to))
        found.append(LaidOut(spot.name, spot.region, x, y, anchor, at_x, at_y, shaft))
    return found


def _point(x: float, y: float, to_x: float, to_y: float) -> Shaft:
    """Return the arrow between two points, which ends at their edges."""
    length = dist((x, y), (to_x, to_y))
    if length <= 2 * RADIUS + 1.0:
        return Shaft(to_x, to_y, None, "")
    # One pixel along the arrow.
    ahead_x, ahead_y = (to_x - x) / length, (to_y - y) / length
    start = (x + ahead_x * RADIUS, y + ahead_y * RADIUS)
    tip_x, tip_y = to_x - ahead_x * (RADIUS + 0.5), to_y - ahead_y * (RADIUS + 0.5)
    deep = min(HEAD_LENGTH, dist(start, (tip_x, tip_y)))
    foot_x, foot_y = tip_x - ahead_x * deep, tip_y - ahead_y * deep
    side_x, side_y = -ahead_y * HEAD_WIDTH / 2, ahead_x * HEAD_WIDTH / 2
    corners = (
        (tip_x, tip_y),
        (foot_x + side_x, foot_y + side_y),
        (foot_x - side_x, foot_y - side_y),
    )
    head = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"
    return Shaft(to_x, to_y, (*start, foot_x, foot_y), head)


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
    *,
    notes: Sequence[str] = (),
) -> str:
    """Return the picture as a file of its own; `notes` say below it what the arrows are."""
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
    has_arrows = any(spot.shaft for spot in spots)
    for spot in sorted(spots, key=lambda spot: spot.shaft is not None):
        colour = COLOURS[f"n{regions.index(spot.region)}"] if spot.region in regions else SOFT
        pieces.append(_draw_spot(spot, colour, is_aside=has_arrows and spot.shaft is None))
    for spot in filter(lambda spot: spot.anchor, spots):
        pieces.append(label(spot.name, spot.label_x, spot.label_y, size=SIZE, anchor=spot.anchor))
    if axes[0]:
        pieces.append(label(axes[0], AREA_WIDTH - 8, AREA_HEIGHT - 8, anchor="end", fill=INK))
        pieces.append(label(f"\u2191 {axes[1]}", 8, 18, fill=INK))
    moved = f"translate({MARGIN:g} {sheet.y:g}) scale({factor:.4f})"
    sheet.add(tag("g", *pieces, transform=moved))
    sheet.skip(AREA_HEIGHT * factor + 6.0)
    for line in notes:
        sheet.write(line, size=11.0, soft=True)
    for line in cite([manifest])[: 1 if manifest else 0]:
        sheet.write(line, size=11.0, soft=True)
    return sheet.finish()


def _draw_spot(spot: LaidOut, colour: str, *, is_aside: bool) -> Markup:
    """Return a people's point, with its arrow where it has one; pale where others have."""
    opacity = "0.35" if is_aside else None
    point = tag("circle", cx=spot.x, cy=spot.y, r=RADIUS, fill=colour, opacity=opacity)
    if spot.shaft is None:
        return point
    to_x, to_y, line, head = spot.shaft
    drawn = [point]
    if line is not None:
        x1, y1, x2, y2 = line
        drawn.append(tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=1.2))
        drawn.append(tag("path", d=head, fill=colour))
    hollow = tag(
        "circle", cx=to_x, cy=to_y, r=RADIUS - 0.5, fill=PAPER, stroke=colour, stroke_width=1.6
    )
    drawn.append(hollow)
    return tag("g", *drawn)
