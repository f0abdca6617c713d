"""An analysis as one HTML page that needs nothing but itself."""

from __future__ import annotations

from experiments.analysis.result import Analysis, Comparison
from experiments.report import plots, tables, words
from experiments.report.markup import Markup, Part, tag, together
from experiments.report.numbers import number, span
from experiments.report.style import STYLE
from experiments.statistics.decision import Verdict

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_EFFECT_CAPTION = (
    "The line is the estimate, the band its confidence sequence, which holds at every look at "
    "once. Where it is all on one side of the solid line there is a difference; the dashed line is "
    "the smallest effect of interest. What is wider at the beginning is cut."
)
_CULTURE_CAPTION = (
    "Thin lines and circles: each culture by its own units, with intervals that hold for all "
    "cultures and looks together. Thick lines and squares: drawn towards the mean of all cultures, "
    "95 % at this look only, description and no ground for a decision."
)
_RATIO_CAPTION = (
    "Above the dashed line the split is not that of the weights. Where they are kept, the line "
    "stays about zero or falls."
)


def to_html(analysis: Analysis) -> str:
    """Return the page. All text is escaped; plots stand in it as SVG."""
    parts = [
        ("Effect", _effects(analysis)),
        ("Guardrails", _guardrails(analysis)),
        ("By culture", together(*(_cultures(each) for each in analysis.comparisons))),
        ("Sample ratio", _ratio(analysis)),
        ("Arms", _table(tables.arms(analysis), is_captioned=False)),
        ("Revisions", _table(tables.revisions(analysis), is_captioned=False)),
        ("How to read this, and what is left out", _notes(analysis)),
    ]
    title = f"{analysis.experiment}: {words.headline(analysis)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    sections = (
        tag("section", tag("h2", heading, id=f"part-{at}"), body, aria_labelledby=f"part-{at}")
        for at, (heading, body) in enumerate(parts, 1)
        if body
    )
    body = tag("body", _top(analysis), tag("main", *sections))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _top(analysis: Analysis) -> Markup:
    """Return the name, what to do and why, and what is compared."""
    verdict = analysis.decision.verdict
    kind = "alarm" if analysis.sample_ratio.alarm else str(verdict)
    decision = tag(
        "div",
        tag("p", words.headline(analysis), class_="headline"),
        tag("p", words.reason(analysis)),
        tag("p", _next_step(analysis), class_="soft-text"),
        class_=f"decision {kind}",
        role="region",
        aria_label="What to do",
    )
    facts = [together(tag("dt", label), tag("dd", value)) for label, value in words.facts(analysis)]
    return tag("header", tag("h1", analysis.experiment), decision, tag("dl", *facts))


def _next_step(analysis: Analysis) -> str:
    if analysis.sample_ratio.alarm:
        return "Effects are shown below, but cannot be relied on."
    if analysis.decision.verdict is Verdict.CONTINUE:
        return "Looking again costs nothing: what is said here holds however often one looks."
    return "This verdict holds however often one has looked before."


def _effects(analysis: Analysis) -> Markup:
    figures = []
    for comparison in analysis.comparisons:
        effect, plot = comparison.effect, plots.effect_plot(comparison, analysis.control)
        caption = _EFFECT_CAPTION if plot else ""
        figures.append(_figure(comparison.arm, words.effect_line(effect), plot, caption))
    return together(_table(tables.effects(analysis)), *figures)


def _guardrails(analysis: Analysis) -> Markup | None:
    rows = []
    for comparison in analysis.comparisons:
        for each in comparison.guardrails:
            state = tag("span", words.STATE_NAMES[each.state], class_=f"state {each.state}")
            cells = (comparison.arm, state, span(each.span), number(each.metric.worth))
            rows.append(
                tag(
                    "tr",
                    tag("th", words.measured(each.metric), scope="row"),
                    *(tag("td", cell) for cell in cells),
                    tag("td", plots.guardrail_plot(each), class_="picture"),
                )
            )
    if not rows:
        return None
    columns = ("Guardrail", "Arm", "State", "Difference [interval]", "Margin", "Against it")
    note = (
        "Safe: not worse by the margin. Violated: worse by more than it; the arm is out. The "
        "shaded side of a picture is worse than the margin."
    )
    table = tag(
        "table",
        _head(columns),
        tag("tbody", *rows),
    )
    return together(_scrolled(table, "Guardrails"), tag("p", note, class_="note"))


def _cultures(comparison: Comparison) -> Markup:
    table = tables.cultures(comparison)
    plot = plots.culture_plot(comparison)
    numbers = (
        None
        if table is None
        else tag("details", tag("summary", "Numbers"), _table(table, is_captioned=False))
    )
    line = words.cultures_line(comparison)
    return together(_figure(comparison.arm, line, plot, _CULTURE_CAPTION if plot else ""), numbers)


def _ratio(analysis: Analysis) -> Markup:
    plot = plots.ratio_plot(analysis.sample_ratio)
    table = tables.ratio(analysis)
    return together(
        tag("p", words.ratio_line(analysis.sample_ratio)),
        None if plot is None else _figure("", "", plot, _RATIO_CAPTION),
        None if table is None else _table(table),
    )


def _notes(analysis: Analysis) -> Markup:
    return tag("ul", *(tag("li", note) for note in words.notes(analysis)), class_="points")


def _figure(title: str, said: str, plot: Markup | None, caption: str) -> Markup:
    return tag(
        "figure",
        tag("h3", title) if title else None,
        tag("p", said) if said else None,
        None if plot is None else tag("div", plot, class_="scroll", tabindex="0"),
        tag("figcaption", caption) if caption else None,
    )


def _table(table: tables.Table, *, is_captioned: bool = True) -> Markup:
    rows = (
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in table.rows
    )
    caption = tag("caption", table.caption) if is_captioned else None
    found = tag("table", caption, _head(table.columns), tag("tbody", *rows))
    return _scrolled(found, table.caption)


def _head(columns: tuple[str, ...]) -> Markup:
    return tag("thead", tag("tr", *(tag("th", column, scope="col") for column in columns)))


def _scrolled(part: Part, label: str) -> Markup:
    return tag("div", part, class_="scroll", role="region", tabindex="0", aria_label=label)
