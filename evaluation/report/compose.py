"""From the figures of a run to the parts of its report."""

from __future__ import annotations

from evaluation.figures import Figures, Section
from evaluation.report import tables
from evaluation.report.ability_part import ability_part
from evaluation.report.map_plot import map_plot
from evaluation.report.plots import conditions_plot, cultures_plot, steering_plot
from evaluation.report.sample_plots import sample_plots
from evaluation.report.spread_plot import spread_plot
from evaluation.report.summary import summary
from reports.document import Block, Document, Part, Text
from reports.numbers import quantity


def compose(figures: Figures) -> Document:
    """Return the report of `figures`, its plots drawn."""
    parts = [Part("Summary", summary(figures))]
    parts += [
        _section_part(section, figures.culture_names, name=f"section-{number}")
        for number, section in enumerate(figures.sections, start=1)
    ]
    if figures.ability is not None:
        parts.append(ability_part(figures.ability))
    if samples := sample_plots(figures):
        parts.append(Part("Sample questions", (Text(_SAMPLES), *samples)))
    if chart := map_plot(figures, name="cultural-map"):
        parts.append(Part("Cultural map", (chart,)))
    facts = (
        ("Answers", figures.respondent),
        ("Survey", f"{figures.pack_title} ({figures.pack})"),
        ("Made", figures.created),
        *figures.settings.items(),
    )
    title = f"{figures.respondent} on {figures.pack_title}"
    return Document(title=title, facts=facts, parts=tuple(parts), has_contents=True)


_SAMPLES = (
    "The share of people who chose each option, beside the share that the answers give to it. A "
    "few questions of the run; they show what the figures stand for and prove nothing."
)


def _section_part(section: Section, names: dict[str, str], *, name: str) -> Part:
    lengths = (
        quantity(section.n_questions, "question"),
        quantity(len(section.cultures), "culture"),
        quantity(section.n_cells, "pair") + " of the two",
    )
    told = f"{', '.join(lengths)}. {section.note}".strip()
    blocks: list[Block | None] = [
        Text(told),
        conditions_plot(section, name=f"{name}-conditions"),
        tables.results(section),
        tables.over_plain(section),
        tables.gains(section),
        tables.before_and_after(section),
        tables.over_methods(section),
        cultures_plot(section, names, name=f"{name}-cultures"),
        spread_plot(section, name=f"{name}-spread"),
        steering_plot(section, name=f"{name}-steering"),
        tables.steerability(section),
        tables.reading(section),
        tables.cost(section),
        *tables.breakdowns(section, names),
    ]
    return Part(section.title, tuple(block for block in blocks if block is not None))
