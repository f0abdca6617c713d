"""The stacked bars of many peoples as a picture to take along."""

from __future__ import annotations

from collections.abc import Sequence

from app.web.drawing import MARGIN, WIDTH, Sheet, label, rule
from app.web.figures import Figure
from app.web.pages import percent
from app.web.scales import Segment, Stack, name_colours
from app.web.share_tables import cite
from reports.markup import tag
from reports.style import PAPER, SOFT
from survey_data.model import PackManifest, Question

# Those of the style sheet, on white.
COLOURS = {
    "d0": "#7f3b08", "d1": "#a8570b", "d2": "#cf7a24", "d3": "#eda85a", "d4": "#f8d3a3",
    "d5": "#dfe3e8", "d6": "#bcd7ea", "d7": "#85b8da", "d8": "#4a93c3", "d9": "#1f6ea6",
    "d10": "#0a4470", "n0": "#0072b2", "n1": "#e69f00", "n2": "#009e73", "n3": "#cc79a7",
    "n4": "#56b4e9", "n5": "#d55e00", "n6": "#9a8c00", "n7": "#6b7280",
}  # fmt: skip
NAME_WIDTH, ROW_HEIGHT = 190.0, 19.0
# From this share on, in [0, 1] of the width, a number has room in its part.
ROOM = 0.055


def draw_compared(
    question: Question,
    groups: Sequence[tuple[str, Sequence[Figure]]],
    stack: Stack,
    *,
    manifest: PackManifest,
) -> str:
    """Return the picture; what is estimated is called so beside its name."""
    sheet = Sheet()
    sheet.write(question.text, size=20.0, bold=True, serif=True)
    sheet.skip(8.0)
    _draw_legend(sheet, question)
    bars = iter(stack.bars)
    start, full = MARGIN + NAME_WIDTH, WIDTH - 2 * MARGIN - NAME_WIDTH
    top = sheet.y
    for name, group in groups:
        if name:
            sheet.skip(10.0)
            sheet.write(name, size=12.0, bold=True, soft=True)
            sheet.skip(4.0)
        for figure in group:
            if figure.shares:
                _draw_row(sheet, figure, next(bars), start, full)
    if stack.is_diverging:
        x = start + stack.middle * full
        sheet.add(tag("line", x1=x, x2=x, y1=top, y2=sheet.y, stroke=SOFT, stroke_width=1))
    sheet.skip(8.0)
    sheet.add(rule(sheet.y))
    for line in cite([manifest]):
        sheet.write(line, size=11.0, soft=True)
    return sheet.finish()


def _draw_legend(sheet: Sheet, question: Question) -> None:
    for colour, option in zip(name_colours(question), question.options, strict=True):
        y = sheet.y
        sheet.add(tag("rect", x=MARGIN, y=y + 3, width=14, height=11, fill=COLOURS[colour]))
        sheet.add(label(option, MARGIN + 22, y + 13, size=12.0))
        sheet.skip(17.0)
    sheet.skip(8.0)


def _draw_row(
    sheet: Sheet, figure: Figure, segments: Sequence[Segment], start: float, full: float
) -> None:
    y = sheet.y
    name = f"{figure.culture.name} (estimate)" if figure.is_estimate else figure.culture.name
    sheet.add(label(name, start - 8, y + 13, size=12.0, anchor="end"))
    for each in segments:
        x, width = start + each.start * full, each.width * full
        sheet.add(
            tag("rect", x=x, y=y + 2, width=width, height=ROW_HEIGHT - 4, fill=COLOURS[each.colour])
        )
        if each.width >= ROOM:
            fill = PAPER if each.colour in DARK else "#1f2933"
            middle = x + width / 2
            written = percent(each.share)
            sheet.add(label(written, middle, y + 13.5, size=10.0, anchor="middle", fill=fill))
    sheet.skip(ROW_HEIGHT)


DARK = frozenset({"d0", "d1", "d8", "d9", "d10", "n0", "n7", "n5"})
