"""Plots of sample questions: what people said, and beside it what the model said."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.asking import ConditionKind
from evaluation.figures import Figures, SampleQuestion
from evaluation.report.kinds import KINDS
from reports.document import Plot
from reports.matplotlib_svg import add_panels, draw_plot, lay_out_grid, replace_unknown, wrap
from reports.style import SOFT

MAX_PANELS = 8
_COLUMNS = 4


def draw_samples(figures: Figures) -> list[Plot]:
    """Return a plot per sample question that a condition answered with shares."""
    kinds = {c.name: c.kind for section in figures.sections for c in section.conditions}
    plots = []
    for number, sample in enumerate(figures.samples, start=1):
        shown = _select_conditions(sample, kinds)
        if shown and 0 < len(sample.options) == len(sample.people):
            culture = figures.culture_names.get(sample.culture, sample.culture)
            plots.append(_draw_sample(sample, shown, culture=culture, name=f"sample-{number}"))
    return plots


def _select_conditions(
    sample: SampleQuestion, kinds: dict[str, ConditionKind]
) -> list[tuple[str, ConditionKind]]:
    order = ("method", "estimate", "recorded", "control", "reference")
    found = [
        (name, kinds.get(name, "method"))
        for name, shares in sample.answers.items()
        if len(shares) == len(sample.options)
    ]
    return sorted(found, key=lambda pair: order.index(pair[1]))[:MAX_PANELS]


def _draw_sample(
    sample: SampleQuestion,
    shown: list[tuple[str, ConditionKind]],
    *,
    culture: str,
    name: str,
) -> Plot:
    n_rows, n_columns = lay_out_grid(len(shown), _COLUMNS)
    longest = max([*sample.people, *(max(sample.answers[title]) for title, _ in shown)])

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.09)
        panels = add_panels(figure, len(shown), n_columns, share=True)
        for axes, (title, kind) in zip(panels, shown, strict=True):
            _bars(axes, sample, title, colour=KINDS[kind].colour)
            axes.set_xlim(0.0, max(longest * 1.18, 0.05))
        figure.legend(
            handles=list(panels[0].containers),
            labels=[f"people of {replace_unknown(culture, sample.culture)}", "answers"],
            loc="outside lower center",
            ncols=2,
            frameon=False,
        )

    return draw_plot(
        draw,
        name=name,
        title=f"{culture}: {sample.text}",
        alt=f"Bars of the share of each option among the people of {culture} and in the answers "
        f"of {', '.join(title for title, _ in shown)}, to the question: {sample.text}",
        caption="",
        width=2.4 + 1.75 * n_columns,
        height=0.6 + n_rows * (0.45 + 0.36 * len(sample.options)),
    )


def _bars(axes: Axes, sample: SampleQuestion, title: str, *, colour: str) -> None:
    places = np.arange(len(sample.options))
    for shares, offset, fill in (
        (sample.people, -0.19, "#b6bec9"),
        (sample.answers[title], 0.19, colour),
    ):
        bars = axes.barh(places + offset, shares, height=0.36, color=fill)
        axes.bar_label(
            bars, [f"{100 * share:.0f} %" for share in shares], padding=2, fontsize=7, color=SOFT
        )
    labels = [
        wrap(replace_unknown(text, f"option {number}"), 26)
        for number, text in enumerate(sample.options, start=1)
    ]
    axes.set_yticks(places, labels)
    axes.set_ylim(len(places) - 0.45, -0.55)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(wrap(replace_unknown(title, "answers"), 24))
