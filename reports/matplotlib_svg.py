"""Plots drawn with matplotlib, in one style: the same figures give the same bytes.

No part of the service imports it.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from reports.document import Plot
from reports.style import AXIS, FAINT, INK, PAPER

PIXELS_PER_INCH = 96
# Any: the keys are literals to the type checker, and the values of all kinds.
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": AXIS,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "milieu",
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')


def draw_plot(
    draw: Callable[[Figure], None],
    *,
    name: str,
    title: str,
    alt: str,
    caption: str,
    width: float,
    height: float,
) -> Plot:
    """Return what `draw` draws on a figure of that size, in inches, as a plot of that name.

    The ids in it begin with `name`, so that several may stand in one page. matplotlib's settings
    are those of `_STYLE` while it draws, and are put back.
    """
    with style.context("default"), mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=72, facecolor=PAPER, layout="constrained")
        draw(figure)
        file = io.StringIO()
        FigureCanvasSVG(figure)
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    svg = _ID.sub(rf"\g<1>{name}-", file.getvalue().replace("xlink:href=", "href="))
    return Plot(name, title, svg, alt, caption, round(width * PIXELS_PER_INCH))


def lay_out_grid(n_panels: int, n_columns: int) -> tuple[int, int]:
    """Return the rows and columns, at most `n_columns`, of a grid that holds `n_panels`."""
    n_columns = min(n_columns, n_panels)
    return math.ceil(n_panels / n_columns), n_columns


def add_panels(figure: Figure, n_panels: int, n_columns: int, *, share: bool = False) -> list[Axes]:
    """Return panels in rows of at most `n_columns`, with `share` on the same axes."""
    shape = lay_out_grid(n_panels, n_columns)
    grid = figure.subplots(*shape, sharex=share, sharey=share, squeeze=False).ravel()
    for axes in grid[n_panels:]:
        axes.set_visible(False)
    return list(grid[:n_panels])


def replace_unknown(text: str, otherwise: str) -> str:
    """Return `text`, or `otherwise` if the plots' font lacks one of its characters."""
    return text if all(ord(character) in _find_known() for character in text) else otherwise


def wrap(text: str, width: int, *, n_lines: int = 2) -> str:
    """Return `text` in at most `n_lines` lines of about `width` characters, the rest cut."""
    return "\n".join(
        textwrap.wrap(text, width, max_lines=n_lines, placeholder=" …", break_long_words=True)
    )


@cache
def _find_known() -> frozenset[int]:
    return frozenset(FT2Font(findfont("DejaVu Sans")).get_charmap())
