"""An analysis as one HTML page that needs nothing but itself."""

from __future__ import annotations

from dataclasses import replace

from experiments.analysis.result import Analysis
from experiments.definition import State
from experiments.metrics import Direction
from experiments.report import plots, tables, words
from experiments.report.frame import framed
from experiments.report.markup import Markup, Part, tag, together
from experiments.report.numbers import signed, span
from experiments.statistics.decision import Verdict

_CULTURE_CAPTION = (
    "Thin lines and circles: each culture by its own units, with intervals that hold for all "
    "cultures and looks together. Thick lines and squares: drawn towards the mean of all cultures, "
    "95 % at this look only, description and no ground for a decision. Bold: a difference is found."
)
_RATIO_CAPTION = (
    "Evidence against the split, in powers of ten. Above the dashed line it is not that of the "
    "weights; where they are kept, the line stays about zero or falls."
)
_GUARDRAIL_NOTE = "Safe: not worse by the margin. Violated: worse by more than it; the arm is out."
_Cells = tuple[Part, ...]


def to_html(analysis: Analysis) -> str:
    """Return the page. All text is escaped; plots stand in it as SVG."""
    ratio = ("Sample ratio", _ratio(analysis))
    effects = [
        (words.effect_on(analysis.primary), _effects(analysis)),
        ("Guardrails", _guardrails(analysis)),
        ("By culture", _cultures(analysis)),
    ]
    # An alarm warns of all that follows.
    parts = [ratio, *effects] if analysis.sample_ratio.alarm else [*effects, ratio]
    revisions = tables.revisions(analysis)
    parts += [
        ("Arms", _arms(analysis)),
        ("Revisions", None if revisions is None else _table(revisions)),
        ("Left out", _points(words.left_out(analysis))),
        ("How to read this", _points(words.notes(analysis))),
    ]
    title = f"{analysis.experiment}: {words.headline(analysis)}"
    return framed(title, _top(analysis), parts)


def _top(analysis: Analysis) -> Markup:
    """Return the name, what to do and why, and what is compared."""
    verdict = analysis.decision.verdict
    kind = "alarm" if analysis.sample_ratio.alarm else str(verdict)
    decision = tag(
        "div",
        tag("p", words.headline(analysis), class_="headline"),
        tag("p", why) if (why := words.reason(analysis)) else None,
        _points(words.by_arm(analysis)),
        tag("p", step, class_="soft-text") if (step := _next_step(analysis)) else None,
        class_=f"decision {kind}",
        role="region",
        aria_label="What to do",
    )
    facts = [together(tag("dt", label), tag("dd", value)) for label, value in words.facts(analysis)]
    return tag("header", tag("h1", analysis.experiment), decision, tag("dl", *facts))


def _next_step(analysis: Analysis) -> str | None:
    if analysis.state is State.DRAFT:
        return None
    if analysis.sample_ratio.alarm:
        return "Effects are shown below, but cannot be relied on."
    if analysis.decision.verdict is Verdict.CONTINUE:
        return "Looking again costs nothing: what is said here holds however often one looks."
    return "This verdict holds however often one has looked before."


def _effects(analysis: Analysis) -> Markup | None:
    table = tables.effects(analysis)
    if table is None:
        return None
    effects = [each.effect for each in analysis.comparisons]
    strips = [plots.effect_strip(each, effects) for each in effects]
    pictures: list[Part] = [None, *strips]
    is_lower = analysis.primary.direction is Direction.LOWER
    heading = "← better · worse →" if is_lower else "← worse · better →"
    figures = [
        _figure(comparison.arm, span(comparison.effect.span), plot)
        for comparison, plot in zip(
            analysis.comparisons,
            plots.effect_plots(analysis.comparisons, analysis.control),
            strict=True,
        )
        if plot is not None
    ]
    caption = (
        f"Difference to {analysis.control} over time. The line is the estimate, the band its "
        "confidence sequence, which holds at every look at once: where it is all on one side of "
        "the solid line there is a difference. Dashed: the smallest effect of interest, "
        f"{signed(words.worth(analysis.primary))}. What is wider at the beginning is cut."
    )
    return together(
        _pictured(replace(table, caption=""), heading, pictures),
        tag("div", *figures, class_="plots") if figures else None,
        tag("p", caption, class_="note") if figures else None,
    )


def _guardrails(analysis: Analysis) -> Markup | None:
    table = tables.guardrails(analysis)
    if table is None:
        return None
    pictures: list[Part] = []
    for group in tables.by_guardrail(analysis):
        drawn = [plots.guardrail_plot(found) for _, found in group]
        pictures += drawn if len(drawn) == 1 else [None, *drawn]
    table = replace(table, columns=("Metric", *table.columns[1:]))
    heading = "Shaded: worse than the margin"
    return together(_pictured(table, heading, pictures), tag("p", _GUARDRAIL_NOTE, class_="note"))


def _cultures(analysis: Analysis) -> Markup | None:
    if not words.is_compared(analysis):
        return None
    figures = [
        _figure(comparison.arm, "", plot)
        for comparison, plot in zip(
            analysis.comparisons, plots.culture_plots(analysis.comparisons), strict=True
        )
        if plot is not None
    ]
    found = [tables.cultures(each, analysis.control) for each in analysis.comparisons]
    numbers = [_table(table) for table in found if table is not None]
    return together(
        tag("p", words.cultures_line(analysis)),
        tag("div", *figures, class_="plots broad") if figures else None,
        tag("p", _CULTURE_CAPTION, class_="note") if figures else None,
        tag("details", tag("summary", "Numbers"), *numbers) if numbers else None,
    )


def _ratio(analysis: Analysis) -> Markup | None:
    table = tables.ratio(analysis)
    if table is None:
        return None
    plot = plots.ratio_plot(analysis.sample_ratio)
    return together(
        tag("p", words.ratio_line(analysis.sample_ratio)),
        _table(table),
        None if plot is None else tag("div", _figure("", "", plot), class_="plots"),
        None if plot is None else tag("p", _RATIO_CAPTION, class_="note"),
    )


def _arms(analysis: Analysis) -> Markup:
    ways = [together(tag("dt", name), tag("dd", way)) for name, way in words.ways(analysis)]
    table, offline = tables.arms(analysis), words.offline_line(analysis)
    return together(
        tag("dl", *ways),
        _table(replace(table, columns=("", *table.columns[1:]))),
        tag("p", offline, class_="note") if offline else None,
    )


def _points(points: tuple[str, ...]) -> Markup | None:
    return tag("ul", *(tag("li", point) for point in points), class_="points") if points else None


def _figure(title: str, said: str, plot: Markup | None) -> Markup:
    heading = tag("h3", title, tag("span", said, class_="said") if said else None)
    return tag("figure", heading if title else None, plot)


def _pictured(table: tables.Table, heading: str, pictures: list[Part]) -> Markup:
    """Return a table with a picture at the end of every row."""
    columns = (*table.columns, heading)
    rows: list[_Cells] = [
        (*row, picture) for row, picture in zip(table.rows, pictures, strict=True)
    ]
    return _grid(table, columns, rows, picture=len(table.columns))


def _table(table: tables.Table) -> Markup:
    return _grid(table, table.columns, list(table.rows))


def _grid(
    table: tables.Table, columns: tuple[str, ...], rows: list[_Cells], *, picture: int = -1
) -> Markup:
    classes = ["words" if at in table.texts else None for at in range(len(columns))]
    if picture >= 0:
        classes[picture] = "picture"
    headings = (
        tag("th", column, scope="col", class_=kind)
        for column, kind in zip(columns, classes, strict=True)
    )
    body = (
        tag(
            "tr",
            _row_name(str(row[0])),
            *(
                tag("td", _state(cell), class_=kind)
                for cell, kind in zip(row[1:], classes[1:], strict=True)
            ),
        )
        for row in rows
    )
    found = tag(
        "table",
        tag("caption", table.caption) if table.caption else None,
        tag("thead", tag("tr", *headings)),
        tag("tbody", *body),
        class_="figures",
    )
    label = table.caption or table.columns[0] or "Figures of the arms"
    return tag("div", found, class_="scroll", role="region", tabindex="0", aria_label=label)


def _row_name(text: str) -> Markup:
    name = text.lstrip(" ")
    return tag("th", name, scope="row", class_="within" if name != text else None)


def _state(cell: Part) -> Part:
    """Return the cell, coloured where it is the state of a guardrail."""
    if isinstance(cell, Markup) or cell not in words.STATE_NAMES.values():
        return cell
    return tag("span", cell, class_=f"state {cell}")
