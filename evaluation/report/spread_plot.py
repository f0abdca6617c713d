"""Plot of how far answers differ: between cultures, and within one culture's answer."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluation.figures import ConditionFigures, Section
from evaluation.report.kinds import KINDS, sort_by_kind
from evaluation.report.plots import lay_out_rows
from reports.document import Plot
from reports.matplotlib_svg import draw_plot
from reports.style import SOFT

_Value = Callable[[ConditionFigures], float | None]


def draw_spread(section: Section, *, name: str) -> Plot | None:
    """Return the dot plot of diversity and entropy, people's included; None without either."""
    measured = [
        c
        for c in sort_by_kind(section.conditions)
        if c.kind in ("method", "recorded") and (c.diversity is not None or c.entropy is not None)
    ]
    panels: dict[str, tuple[_Value, _Value]] = {
        "Diversity between cultures": (lambda c: c.diversity, lambda c: c.people_diversity),
        "Entropy of an answer": (lambda c: c.entropy, lambda c: c.people_entropy),
    }
    panels = {t: of for t, of in panels.items() if any(of[0](c) is not None for c in measured)}
    if not panels:
        return None

    def draw(figure: Figure) -> None:
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, (value, people)) in zip(row, panels.items(), strict=True):
            _dots(axes, measured, value, people)
            axes.set_title(title)
        _, colour, marker = KINDS["method"]
        answers = Line2D([], [], color=colour, marker=marker, ms=6, ls="", label="answers")
        line = Line2D([], [], color=SOFT, lw=1.6, label="people of the same cultures")
        figure.legend(handles=[answers, line], loc="outside lower center", ncols=2, frameon=False)

    return draw_plot(
        draw,
        name=name,
        title="How far answers differ, beside how far people's do",
        alt="Dot plot of every method's " + " and ".join(panels).lower() + ", with that of people "
        "as a line. The same numbers stand in the table below.",
        caption="Diversity: mean distance between what two cultures chose, as a part of the scale. "
        "Entropy: 0 if an answer is all on one option, 1 if it is even. Left of people's "
        "line, cultures are made more alike, or answers more certain, than people are.",
        width=8.8,
        height=1.2 + 0.27 * len(measured),
    )


def _dots(axes: Axes, measured: list[ConditionFigures], value: _Value, people: _Value) -> None:
    for place, condition in enumerate(measured):
        found, wanted = value(condition), people(condition)
        if wanted is not None:
            axes.plot((wanted, wanted), (place - 0.4, place + 0.4), color=SOFT, lw=1.6)
        if found is None:
            continue
        if wanted is not None:
            axes.plot((found, wanted), (place, place), color="#b6bec9", lw=1.0, zorder=1)
        _, colour, marker = KINDS[condition.kind]
        axes.plot(found, place, marker, color=colour, ms=6, mec="white", clip_on=False)
    lay_out_rows(axes, measured)
    axes.set_xlim(left=0.0)
