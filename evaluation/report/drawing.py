"""How plots look and how they become text: one style, the same bytes from the same figures."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from evaluation.asking import ConditionKind

# Okabe and Ito's colours, told apart by colour-blind people too; each kind also has its marker.
KIND_COLOURS: dict[ConditionKind, str] = {
    "reference": "#6b7280",
    "method": "#0072b2",
    "control": "#d55e00",
    "recorded": "#009e73",
}
KIND_MARKERS: dict[ConditionKind, str] = {
    "reference": "s",
    "method": "o",
    "control": "^",
    "recorded": "D",
}
INK, FAINT, PEOPLE = "#1f2933", "#d5dae1", "#374151"
PIXELS_PER_INCH = 96
# Any: the keys are literals to the type checker, and the values of all kinds.
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": "#9aa5b1",
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


def drawn(draw: Callable[[Figure], None], *, name: str, width: float, height: float) -> str:
    """Return what `draw` draws on a figure of that size, in inches, as a whole SVG file.

    Its ids begin with `name`, so that several may stand in one page. matplotlib's settings are
    those of the house while it draws, and are put back.
    """
    with style.context("default"), mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=72, facecolor="white", layout="constrained")
        draw(figure)
        file = io.StringIO()
        FigureCanvasSVG(figure)
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    svg = file.getvalue().replace("xlink:href=", "href=")
    return _ID.sub(rf"\g<1>{name}-", svg)


def inline(svg: str) -> str:
    """Return the SVG of `drawn` to stand in an HTML page: no prologue, no namespace, no size."""
    start = svg.index("<svg")
    opening, rest = svg[start:].split(">", 1)
    box = re.search(r'viewBox="[^"]*"', opening)
    assert box is not None
    return f'<svg {box[0]} aria-hidden="true">{rest}'


def legible(text: str, otherwise: str) -> str:
    """Return `text`, or `otherwise` where the plots' font lacks one of its characters."""
    return text if all(ord(character) in _known() for character in text) else otherwise


def wrapped(text: str, width: int, *, n_lines: int = 2) -> str:
    """Return `text` in at most `n_lines` lines of about `width` characters, the rest cut."""
    return "\n".join(
        textwrap.wrap(text, width, max_lines=n_lines, placeholder=" …", break_long_words=True)
    )


@cache
def _known() -> frozenset[int]:
    return frozenset(FT2Font(findfont("DejaVu Sans")).get_charmap())
