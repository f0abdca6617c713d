"""From the figures of a run to its report, and to the report's files."""

from __future__ import annotations

from pathlib import Path

from evaluation.figures import Figures, Section
from evaluation.report import tables
from evaluation.report.ability_part import compose_ability
from evaluation.report.map_plot import draw_map
from evaluation.report.plots import draw_conditions, draw_cultures, draw_spread, draw_steering
from evaluation.report.sample_plots import draw_samples
from evaluation.report.summary import compose_summary
from reports.document import Block, Document, Facts, Part, Text
from reports.html import to_html
from reports.markdown import PLOT_FOLDER, to_markdown
from reports.numbers import quantity


def compose(figures: Figures) -> Document:
    """Return the report of `figures`, its plots drawn."""
    parts = [Part("Summary", compose_summary(figures))]
    parts += [
        _compose_section(section, figures.culture_names, name=f"section-{number}")
        for number, section in enumerate(figures.sections, start=1)
    ]
    if figures.ability is not None:
        parts.append(compose_ability(figures.ability))
    if samples := draw_samples(figures):
        parts.append(Part("Sample questions", (Text(_SAMPLES), *samples)))
    if chart := draw_map(figures, name="cultural-map"):
        parts.append(Part("Cultural map", (chart,)))
    facts = (
        ("Answers", figures.respondent),
        ("Survey", f"{figures.pack_title} ({figures.pack})"),
        ("Made", figures.created),
        *figures.settings.items(),
    )
    parts.append(Part("Where this comes from", (Facts(facts),)))
    title = f"{figures.respondent} on {figures.pack_title}"
    return Document(title=title, facts=(), parts=tuple(parts), has_contents=True)


def write_report(figures: Figures, folder: Path) -> None:
    """Write report.html, report.md and plots/*.svg into `folder`, which is made if missing.

    The same figures give the same bytes. Files of those names are replaced; plots that only an
    earlier report had are removed.
    """
    document = compose(figures)
    plots = folder / PLOT_FOLDER
    plots.mkdir(parents=True, exist_ok=True)
    for stale in plots.glob("*.svg"):
        stale.unlink()
    for plot in document.plots():
        (plots / f"{plot.name}.svg").write_text(plot.svg, encoding="utf-8")
    (folder / "report.md").write_text(to_markdown(document), encoding="utf-8")
    (folder / "report.html").write_text(to_html(document), encoding="utf-8")


_SAMPLES = (
    "The share of people who chose each option, beside the share that the answers give to it. A "
    "few questions of the run; they show what the figures stand for and prove nothing."
)


def _compose_section(section: Section, names: dict[str, str], *, name: str) -> Part:
    lengths = (
        quantity(section.n_questions, "question"),
        quantity(len(section.cultures), "culture"),
        quantity(section.n_cells, "pair") + " of the two",
    )
    blocks: list[Block | None] = [
        Text(f"{', '.join(lengths)}. {section.note}".strip()),
        draw_conditions(section, name=f"{name}-conditions"),
        tables.tabulate_results(section),
        tables.tabulate_over_plain(section),
        tables.tabulate_over_references(section),
        tables.tabulate_changes(section),
        tables.tabulate_over_methods(section),
        tables.tabulate_intervals(section),
        draw_cultures(section, names, name=f"{name}-cultures"),
        draw_spread(section, name=f"{name}-spread"),
        draw_steering(section, name=f"{name}-steering"),
        tables.tabulate_steering(section),
        tables.tabulate_readability(section),
        tables.tabulate_cost(section),
        *tables.fold_breakdowns(section, names),
    ]
    return Part(section.title, tuple(block for block in blocks if block is not None))
