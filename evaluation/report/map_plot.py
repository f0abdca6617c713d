"""The cultural map: where people stand, and where answers given as them would stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from evaluation.figures import CulturalMap, CulturePlace, Figures
from evaluation.report.kinds import KINDS
from reports.document import Plot
from reports.matplotlib_svg import add_panels, draw_plot, lay_out_grid, replace_unknown, wrap
from reports.numbers import decimal
from reports.style import INK, SOFT

_MARGIN = 0.45
_POINT_SIDE = 3.0  # half a marker and its edge, in points

_CAPTION = (
    "Dark: where people stand, as published. Coloured: where the answers given as them would "
    "stand, joined to the people they stand for. The places of answers are estimates: a country's "
    "own people, left out of the fit, are placed {error} from where they stand (root mean square, "
    "in units of the map)."
)


def draw_map(figures: Figures, *, name: str) -> Plot | None:
    """Return the cultural map with a panel per condition; None if there is no map."""
    chart = figures.cultural_map
    if chart is None or not chart.people:
        return None
    kinds = {c.name: c.kind for section in figures.sections for c in section.conditions}
    panels: Sequence[str | None] = tuple(chart.conditions) or (None,)
    n_rows, n_columns = lay_out_grid(len(panels), 2)

    def draw(figure: Figure) -> None:
        panes = add_panels(figure, len(panels), n_columns, share=True)
        _limit(panes[0], chart)
        for axes, title in zip(panes, panels, strict=True):
            points = chart.conditions[title] if title else ()
            _panel(axes, chart, points, colour=KINDS[kinds.get(title or "", "method")].colour)
            axes.set_title(wrap(replace_unknown(title or "People", ""), 50))
        figure.supxlabel("survival  →  self-expression", fontsize=9)
        figure.supylabel("traditional  →  secular", fontsize=9)
        # Labels go where there is room, which is known once the panels have their places.
        figure.draw_without_rendering()
        for axes, title in zip(panes, panels, strict=True):
            answers = chart.conditions[title] if title else ()
            _label_people(axes, chart, answers, figures.culture_names)

    return draw_plot(
        draw,
        name=name,
        title="Where people stand, and where answers given as them would stand",
        alt="The Inglehart-Welzel cultural map, from survival to self-expression values and from "
        "traditional to secular ones: the places of "
        f"{len(chart.people)} peoples, and the estimated places of the answers of "
        f"{', '.join(chart.conditions) or 'nobody'}.",
        caption=_CAPTION.format(error=decimal(chart.error, 2)),
        width=0.4 + 5.0 * n_columns,
        height=0.4 + 4.1 * n_rows,
    )


def _panel(axes: Axes, chart: CulturalMap, points: Sequence[CulturePlace], *, colour: str) -> None:
    people = {point.culture: point for point in chart.people}
    axes.grid(visible=True)
    for point in points:
        if there := people.get(point.culture):
            axes.plot((there.x, point.x), (there.y, point.y), color=colour, lw=0.7, alpha=0.55)
    axes.plot([p.x for p in points], [p.y for p in points], "o", color=colour, ms=4.5, mec="white")
    axes.plot([p.x for p in chart.people], [p.y for p in chart.people], "o", color=SOFT, ms=4)
    axes.tick_params(labelbottom=True, labelleft=True)


def _limit(axes: Axes, chart: CulturalMap) -> None:
    points = [*chart.people, *(p for points in chart.conditions.values() for p in points)]
    axes.set_xlim(min(p.x for p in points) - _MARGIN, max(p.x for p in points) + _MARGIN)
    axes.set_ylim(min(p.y for p in points) - _MARGIN, max(p.y for p in points) + _MARGIN)


def _label_people(
    axes: Axes, chart: CulturalMap, answers: Sequence[CulturePlace], names: Mapping[str, str]
) -> None:
    """Write each people's name beside its point, where it covers least."""
    marks = [_box_around(axes, point) for point in (*chart.people, *answers)]
    taken: list[Bbox] = []
    for point in sorted(chart.people, key=lambda p: (-p.y, p.x)):
        label = axes.annotate(
            replace_unknown(names.get(point.culture, point.culture), point.culture),
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )
        label.set_in_layout(False)
        size = label.get_window_extent()
        own = _box_around(axes, point)
        best = min(_places(own, size), key=lambda b: _measure_cover(b, taken, marks, axes.bbox))
        taken.append(best)
        scale = axes.figure.dpi / 72
        x, y = axes.transData.transform((point.x, point.y))
        label.set_position(((best.x0 - x) / scale, (best.y0 - y) / scale))


def _box_around(axes: Axes, point: CulturePlace) -> Bbox:
    x, y = axes.transData.transform((point.x, point.y))
    side = _POINT_SIDE * axes.figure.dpi / 72
    return Bbox.from_extents(x - side, y - side, x + side, y + side)


def _places(own: Bbox, size: Bbox) -> Iterator[Bbox]:
    """Yield where a label may stand around its point, the best first, near before far."""
    width, height = size.width, size.height
    middle_x, middle_y = (own.x0 + own.x1 - width) / 2, (own.y0 + own.y1 - height) / 2
    for gap in (1.0, 6.0, 12.0):
        right, left = own.x1 + gap, own.x0 - gap - width
        above, below = own.y1 + gap, own.y0 - gap - height
        beside = [(x, middle_y) for x in (right, left)] + [(middle_x, y) for y in (above, below)]
        corners = [(x, y) for y in (above - 2, below + 2) for x in (right, left)]
        for x, y in (*beside, *corners):
            yield Bbox.from_bounds(x, y, width, height)


def _measure_cover(box: Bbox, taken: Sequence[Bbox], marks: Sequence[Bbox], frame: Bbox) -> float:
    """Return how much a label at `box` would cover; other labels count most, and the edge."""
    outside = box.width * box.height - _overlap(box, frame)
    labels = sum(_overlap(box, other) for other in taken)
    return 10.0 * outside + 4.0 * labels + 2.0 * sum(_overlap(box, mark) for mark in marks)


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width * height if width > 0 and height > 0 else 0.0
