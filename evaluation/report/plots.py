"""Plots of the conditions: their intervals, each culture, culture against culture, and spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from evaluation.figures import BootstrapInterval, ConditionFigures, Section, SteeringFigures
from evaluation.report.kinds import KINDS, PLAIN, sort_by_kind
from reports.document import Plot
from reports.matplotlib_svg import add_panels, draw_plot, lay_out_grid, replace_unknown, wrap
from reports.numbers import decimal
from reports.style import FAINT, SOFT
from survey_data.arrays import Floats

# In a page the colours of `reports.style` follow light and dark mode; those on shades stay.
_ON_PALE, _ON_DARK = "#111827", "#f5f8fb"
_SHADES = ["#f5f8fb", "#c3d9ea", "#7fb0d3", "#3480b5", "#0f4c81"]
_PALE_TO_DARK = LinearSegmentedColormap.from_list("pale-to-dark", _SHADES)
_STEERING_CAPTION = (
    "Rows: answers given as the culture. Columns: its people. The own culture is outlined; a dot "
    "marks the people who are nearest. Where answers follow the culture, dots lie on the diagonal; "
    "a column that is dark throughout is a people all answers resemble."
)
# Dark numbers stand out on every shade of it.
_PALE = LinearSegmentedColormap.from_list("pale", _SHADES[:3])


_Value = Callable[[ConditionFigures], float | None]


def draw_conditions(section: Section, *, name: str) -> Plot | None:
    """Return the dot plot of similarity and alignment; None without conditions."""
    conditions = sort_by_kind(section.conditions)
    if not conditions:
        return None
    panels: dict[str, dict[str, BootstrapInterval]] = {
        "Distribution similarity": {c.name: c.similarity for c in conditions},
        "Alignment score": {c.name: c.alignment for c in conditions if c.alignment},
    }
    panels = {title: values for title, values in panels.items() if values}

    def draw(figure: Figure) -> None:
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, values) in zip(row, panels.items(), strict=True):
            _dots(axes, conditions, values)
            axes.set_title(title)
        _kind_legend(figure, conditions)

    return draw_plot(
        draw,
        name=name,
        title="Conditions compared",
        alt="Dot plot of every condition's " + " and ".join(panels).lower() + " with 95 % "
        "intervals. The same numbers stand in the table of results.",
        caption="Right is nearer to people. Lines are 95 % intervals; the dashed line "
        "is plain. In the alignment score central answers are rewarded, and ten- and "
        "eleven-point items weigh most.",
        width=8.8,
        height=1.2 + 0.27 * len(conditions),
    )


def draw_cultures(section: Section, names: Mapping[str, str], *, name: str) -> Plot | None:
    """Return the heat map of similarity, cultures by conditions; None if there is none."""
    conditions = [c for c in sort_by_kind(section.conditions) if c.by_culture]
    present = {culture for c in conditions for culture in c.by_culture}
    cultures = sorted(present, key=lambda code: names.get(code, code))
    if not cultures:
        return None
    found = [[c.by_culture.get(code) for c in conditions] for code in cultures]
    values = np.array(
        [[np.nan if of is None else of.similarity.value for of in row] for row in found]
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _heat(axes, values, _norm(values), colours=_PALE)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                text = decimal(value, 2)
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=_ON_PALE)
        axes.set_yticks(range(len(cultures)), [_name_culture(names, code) for code in cultures])
        labels = _label_conditions(conditions, 30)
        places = range(len(conditions))
        axes.set_xticks(places, labels, rotation=40, ha="left", rotation_mode="anchor")
        axes.xaxis.tick_top()
        for tick, condition in zip(axes.get_xticklabels(), conditions, strict=True):
            tick.set_color(KINDS[condition.kind].colour)

    return draw_plot(
        draw,
        name=name,
        title="Distribution similarity by culture",
        alt=f"Heat map of distribution similarity for {len(cultures)} cultures and "
        f"{len(conditions)} conditions. The same numbers stand in the table by culture.",
        caption="Distribution similarity of each condition to the people of each culture.",
        width=3.0 + 0.5 * len(conditions),
        height=2.4 + 0.25 * len(cultures),
    )


def draw_steering(section: Section, *, name: str) -> Plot | None:
    """Return a matrix per method: answers given as, against people of; None without any."""
    measured = [
        (c.name, c.steering)
        for c in sort_by_kind(section.conditions)
        if c.kind != "control" and c.steering and c.steering.cultures
    ]
    if not measured:
        return None
    n_rows, n_columns = lay_out_grid(len(measured), 3)
    norm = _norm(np.concatenate([np.ravel(steering.matrix) for _, steering in measured]))

    def draw(figure: Figure) -> None:
        panels = add_panels(figure, len(measured), n_columns)
        for axes, (title, steering) in zip(panels, measured, strict=True):
            _matrix(axes, steering, norm)
            axes.set_title(wrap(replace_unknown(title, ""), 34), fontsize=8.5)
        mesh = panels[0].collections[0]
        bar = figure.colorbar(mesh, ax=figure.axes, location="bottom", aspect=50, shrink=0.6)
        bar.set_label("Distribution similarity")
        bar.outline.set_visible(False)

    side = 0.14 * max(8, *(len(steering.cultures) for _, steering in measured))
    return draw_plot(
        draw,
        name=name,
        title="Answers given as a culture, against the people of every culture",
        alt="Matrices of distribution similarity, one for each of "
        + ", ".join(title for title, _ in measured)
        + ": rows are answers given as a culture, columns the people of a culture. How often a "
        "culture's own people are nearest stands in the table below.",
        caption=_STEERING_CAPTION,
        width=n_columns * max(side + 0.85, 2.6),
        height=n_rows * (side + 1.0) + 0.7,
    )


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
            _draw_spread_dots(axes, measured, value, people)
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


def _lay_out_rows(axes: Axes, conditions: Sequence[ConditionFigures]) -> None:
    """Give each condition a row that is named at the left."""
    axes.set_yticks(range(len(conditions)), _label_conditions(conditions, 46))
    axes.set_ylim(len(conditions) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)


def _label_conditions(conditions: Sequence[ConditionFigures], width: int) -> list[str]:
    """Return the names of conditions in lines of about `width` characters."""
    return [
        wrap(replace_unknown(c.name, f"condition {i}"), width) for i, c in enumerate(conditions, 1)
    ]


def _dots(
    axes: Axes, conditions: Sequence[ConditionFigures], values: Mapping[str, BootstrapInterval]
) -> None:
    if PLAIN in values:
        axes.axvline(values[PLAIN].value, color=KINDS["method"].colour, ls=(0, (4, 3)), lw=0.9)
    for place, condition in enumerate(conditions):
        if condition.name not in values:
            continue
        value, low, high = values[condition.name]
        _, colour, marker = KINDS[condition.kind]
        axes.plot((low, high), (place, place), color=colour, lw=1.8, solid_capstyle="butt")
        axes.plot(value, place, marker, color=colour, ms=6, mec="white")
    _lay_out_rows(axes, conditions)


def _draw_spread_dots(
    axes: Axes, measured: list[ConditionFigures], value: _Value, people: _Value
) -> None:
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
    _lay_out_rows(axes, measured)
    axes.set_xlim(left=0.0)


def _kind_legend(figure: Figure, conditions: Sequence[ConditionFigures]) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=6, ls="", label=title)
        for kind, (title, colour, marker) in KINDS.items()
        if any(c.kind == kind for c in conditions)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _matrix(axes: Axes, steering: SteeringFigures, norm: Normalize) -> None:
    values = np.array(steering.matrix, dtype=np.float64)
    _heat(axes, values, norm, colours=_PALE_TO_DARK)
    places = range(len(steering.cultures))
    for place in places:
        axes.add_patch(
            Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, ec="#d55e00", lw=1.3)
        )
        if np.isfinite(values[place]).any():
            nearest = int(np.nanargmax(values[place]))
            ink = _ON_DARK if norm(values[place, nearest]) > 0.72 else _ON_PALE
            axes.plot(nearest, place, "o", color=ink, ms=2.2)
    axes.set_xticks(places, steering.cultures, rotation=90, fontsize=6.5)
    axes.set_yticks(places, steering.cultures, fontsize=6.5)
    axes.set_xlabel("people of", fontsize=8)
    axes.set_ylabel("answers given as", fontsize=8)
    axes.set_aspect("equal")


def _heat(axes: Axes, values: Floats, norm: Normalize, *, colours: Colormap) -> None:
    n_rows, n_columns = values.shape
    axes.pcolormesh(
        np.arange(n_columns + 1) - 0.5,
        np.arange(n_rows + 1) - 0.5,
        values,
        cmap=colours,
        norm=norm,
        edgecolors="white",
        linewidth=0.6,
    )
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_facecolor(FAINT)
    axes.spines[:].set_visible(False)


def _norm(values: Floats) -> Normalize:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    # One value alone would have no scale.
    return Normalize(low, high) if high > low else Normalize(low - 0.5, high + 0.5)


def _name_culture(names: Mapping[str, str], code: str) -> str:
    return wrap(replace_unknown(names.get(code, code), code), 24, n_lines=1)
