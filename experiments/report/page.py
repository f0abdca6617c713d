"""An analysis as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from experiments.analysis.result import Analysis, ArmFigures
from experiments.definition import State
from experiments.metrics import Direction
from experiments.replay.result import ArmReplay
from experiments.report import plots, sources, tables, words
from experiments.statistics.decision import Verdict
from reports.document import (
    Block,
    Callout,
    Document,
    Facts,
    Folded,
    Gallery,
    Part,
    Plot,
    Points,
    Text,
)
from reports.html import to_html
from reports.markup import Markup
from reports.numbers import with_sign

_CULTURE_CAPTION = (
    "Thin lines and circles: each culture by its own units, with intervals that hold for all "
    "cultures and looks together. Thick lines and squares: drawn towards the mean of all cultures, "
    "95 % at this look only, description and no ground for a decision. Bold: a difference is found."
)
_RATIO_CAPTION = (
    "Evidence against the split, in powers of ten. Above the dashed line it is not that of the "
    "weights; if they are kept, the line stays about zero or falls."
)
_GUARDRAIL_NOTE = "Safe: not worse by the margin. Violated: worse by more than it; the arm is out."


def render_report(analysis: Analysis) -> str:
    """Return the page. All text is escaped; plots are inline SVG."""
    return to_html(compose_report(analysis))


def compose_report(analysis: Analysis) -> Document:
    """Return the report of an analysis, its plots drawn."""
    ratio: tuple[str, Iterable[Block]] = ("Sample ratio", _compose_ratio(analysis))
    effects: list[tuple[str, Iterable[Block]]] = [
        (words.head_effect(analysis.primary), _compose_effects(analysis)),
        ("Guardrails", _compose_guardrails(analysis)),
        ("By culture", _compose_cultures(analysis)),
    ]
    # An alarm warns of all that follows.
    parts = [ratio, *effects] if analysis.sample_ratio.alarm else [*effects, ratio]
    parts += [
        ("Arms", _compose_arms(analysis)),
        ("Revisions", filter(None, [tables.tabulate_revisions(analysis)])),
        ("Left out", _list_points(words.list_left_out(analysis))),
        ("How to read this", _list_points(words.list_notes(analysis))),
    ]
    composed = [Part(heading, tuple(blocks)) for heading, blocks in parts]
    return Document(
        title=f"{words.name_experiment(analysis)}: {words.write_headline(analysis)}",
        heading=words.name_experiment(analysis),
        facts=words.list_facts(analysis),
        parts=tuple(part for part in composed if part.blocks),
        callout=_compose_decision(analysis),
    )


def _compose_decision(analysis: Analysis) -> Callout:
    """Return what to do and why."""
    why, step = words.give_reason(analysis), _next_step(analysis)
    blocks: list[Text | Points] = [Text(why)] if why else []
    blocks += _list_points(words.list_reasons(analysis))
    blocks += [Text(step, is_note=True)] if step else []
    kind = "alarm" if analysis.sample_ratio.alarm else str(analysis.decision.verdict)
    return Callout(words.write_headline(analysis), tuple(blocks), label="What to do", kind=kind)


def _next_step(analysis: Analysis) -> str | None:
    if analysis.state is State.DRAFT:
        return None
    if analysis.sample_ratio.alarm:
        return "Effects are shown below, but cannot be relied on."
    if analysis.decision.verdict is Verdict.CONTINUE:
        return "Looking again costs nothing: what is said here holds however often one looks."
    return "This verdict holds however often one has looked before."


def _compose_effects(analysis: Analysis) -> Iterator[Block]:
    if (table := tables.tabulate_effects(analysis)) is None:
        return
    effects = [each.effect for each in analysis.comparisons]
    strips = [plots.draw_strip(each, effects) for each in effects]
    is_lower = analysis.primary.direction is Direction.LOWER
    yield replace(
        table,
        caption="",
        pictures=(None, *strips),
        picture_heading="← better · worse →" if is_lower else "← worse · better →",
    )
    if drawn := plots.draw_effects(analysis.comparisons, analysis.control):
        yield Gallery(drawn)
        yield Text(
            f"Difference to {analysis.control} over time. The line is the estimate, the band its "
            "confidence sequence, which holds at every look at once: when it is all on one side "
            "of the solid line there is a difference. Dashed: the smallest effect of interest, "
            f"{with_sign(words.orient_worth(analysis.primary))}. What is wider at the beginning "
            "is cut.",
            is_note=True,
        )


def _compose_guardrails(analysis: Analysis) -> Iterator[Block]:
    if (table := tables.tabulate_guardrails(analysis)) is None:
        return
    pictures: list[Markup | None] = []
    for group in tables.group_by_guardrail(analysis):
        drawn = [plots.draw_guardrail(found) for _, found in group]
        pictures += drawn if len(drawn) == 1 else [None, *drawn]
    yield replace(
        table,
        columns=("Metric", *table.columns[1:]),
        pictures=tuple(pictures),
        picture_heading="Shaded: worse than the margin",
    )
    yield Text(_GUARDRAIL_NOTE, is_note=True)


def _compose_cultures(analysis: Analysis) -> Iterator[Block]:
    if not words.is_compared(analysis):
        return
    yield Text(words.describe_cultures(analysis))
    if drawn := plots.draw_culture_effects(analysis.comparisons):
        yield Gallery(drawn, is_broad=True)
        yield Text(_CULTURE_CAPTION, is_note=True)
    found = (tables.tabulate_cultures(each, analysis.control) for each in analysis.comparisons)
    if numbers := tuple(filter(None, found)):
        yield Folded("Numbers", numbers)


def _compose_ratio(analysis: Analysis) -> Iterator[Block]:
    if (table := tables.tabulate_ratio(analysis)) is None:
        return
    yield Text(words.describe_ratio(analysis.sample_ratio))
    yield table
    if plot := plots.draw_ratio(analysis.sample_ratio):
        yield Gallery((Plot("", "", plot),))
        yield Text(_RATIO_CAPTION, is_note=True)


def _compose_arms(analysis: Analysis) -> Iterator[Block]:
    yield Facts(words.list_ways(analysis.arms))
    table = tables.tabulate_arms(analysis)
    yield replace(table, columns=("", *table.columns[1:]), label="Figures of the arms")
    if offline := words.describe_offline(analysis):
        yield Text(offline, is_note=True)
    yield from compose_sources(analysis.arms)


def compose_sources(arms: Sequence[ArmFigures | ArmReplay]) -> Iterator[Block]:
    """Yield the table of what answers stand on, and which of them are counted apart."""
    if (table := sources.tabulate_sources(arms)) is None:
        return
    yield table
    if own := sources.describe_own_figures(arms):
        yield Text(own, is_note=True)


def _list_points(points: tuple[str, ...]) -> list[Points]:
    return [Points(points)] if points else []
