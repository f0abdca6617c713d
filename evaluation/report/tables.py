"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from evaluation.figures import BootstrapInterval, ConditionFigures, Section
from evaluation.report.kinds import KINDS, PLAIN, sort_by_kind
from reports.document import Folded, RowGroup, Table
from reports.numbers import ABSENT, count, decimal, interval, percent

Column: TypeAlias = tuple[str, Callable[[ConditionFigures], str]]

_INTERVALS = "Intervals are 95 %, by bootstrap over questions."
_ALIGNMENT = (
    "Alignment score: 73 % of it rests on 51 ten- and eleven-point items in the CultureSPA set, "
    "central answers are rewarded and unreadable ones drop out."
)


def tabulate_results(section: Section) -> Table | None:
    """Return how near every condition came to people, by every metric."""
    return _compare(
        "How near answers came to people's",
        section.conditions,
        ("Distribution similarity", lambda c: interval(c.similarity)),
        ("Alignment score", lambda c: interval(c.alignment)),
        ("Exact match", lambda c: interval(c.exact)),
        ("Soft accuracy", lambda c: interval(c.soft)),
        ("Wasserstein-1", lambda c: interval(c.wasserstein)),
        ("Unreadable", lambda c: percent(c.unreadable)),
        note=f"Higher is better, except for Wasserstein-1 and unreadable answers. {_ALIGNMENT} "
        "Exact match: share of answers that are the option most people chose. Soft accuracy: the "
        "same, with part of the credit for a near option. Wasserstein-1: how far shares would have "
        "to move along the scale, as a part of its length, on questions whose options have an "
        f"order. {_INTERVALS}",
    )


def tabulate_over_plain(section: Section) -> Table | None:
    """Return the gains over `plain` in three metrics; None if nothing was compared with it."""
    return _compare(
        f"Gain over {PLAIN}",
        [c for c in section.conditions if c.over_plain],
        ("Distribution similarity", lambda c: interval(c.over_plain)),
        ("Alignment score", lambda c: interval(c.alignment_over_plain)),
        ("Soft accuracy", lambda c: interval(c.soft_over_plain)),
        note="Paired by question; above zero the condition is nearer to people than the model "
        "without any word of the culture. The gain in alignment score is over the answers that "
        "could be read in both, and both scores are made anew from every draw of questions. "
        f"{_INTERVALS}",
    )


def tabulate_over_references(section: Section) -> Table | None:
    """Return the gain of all others over each reference; None if nothing was compared."""
    compared = [c for c in section.conditions if c.over_reference and c.kind != "reference"]
    names = dict.fromkeys(name for c in compared for name in c.over_reference)
    return _compare(
        "Gain in distribution similarity over each reference",
        compared,
        *(
            (f"over {name}", lambda c, of=name: interval(c.over_reference.get(of)))
            for name in names
        ),
        note=f"Paired by question; above zero the condition is nearer to people. {_INTERVALS}",
    )


def tabulate_intervals(section: Section) -> Table | None:
    """Return how well intervals of estimates hold; None without estimates or with few questions."""
    rows = tuple(
        (
            of.source,
            percent(of.coverage),
            percent(min(of.by_culture.values())),
            decimal(of.width),
        )
        for of in section.intervals
    )
    columns = ("Estimate", "Covered", "Worst culture", "Mean width")
    note = (
        "90 % intervals, learned on one half of the questions and tried on the other. Covered: "
        "the part of people's shares that lie in theirs; nearest to 90 % is best. With few "
        "questions the figure of one culture is uncertain."
    )
    caption = "Intervals of estimates"
    return Table.of_rows(caption, columns, rows, note=note) if rows else None


def tabulate_steering(section: Section) -> Table | None:
    """Return whether answers given as a culture fit it best, and how much cultures differ."""
    columns: tuple[Column, ...] = (
        (
            "Own culture fits best",
            lambda c: percent(c.steering.own_best_share if c.steering else None),
        ),
        ("Mean rank of own culture", _describe_rank),
        ("Diversity", lambda c: decimal(c.diversity)),
        ("of people", lambda c: decimal(c.people_diversity)),
        ("Entropy", lambda c: decimal(c.entropy)),
        ("of people", lambda c: decimal(c.people_entropy)),
    )
    people = ("People", ABSENT, ABSENT, decimal(section.people_diversity), ABSENT,
              decimal(section.people_entropy), ABSENT)  # fmt: skip
    return _compare(
        "Do answers change with the culture?",
        [c for c in section.conditions if c.steering or c.diversity is not None],
        *columns,
        first=(RowGroup("", (people,)),),
        note="Own culture fits best: share of cultures whose people are the ones nearest to the "
        "answers given as that culture. Mean rank: 1 is best. Diversity: mean distance between "
        "what two cultures chose, as a part of the scale. Entropy: how far the shares of an answer "
        "are spread over its options, 0 all on one, 1 even. For both, nearest to people's is best; "
        "of people: those of the cultures that the condition answered as.",
    )


def tabulate_changes(section: Section) -> Table | None:
    """Return what tuning changed at the same prompt; None without adapters and such a prompt."""
    rows = tuple(
        (
            c.name,
            before.condition,
            interval(before.gain),
            _show_change(before.diversity, c.diversity),
            decimal(c.people_diversity),
            _show_change(before.entropy, c.entropy),
            decimal(c.people_entropy),
        )
        for c in section.conditions
        if (before := c.before) is not None
    )
    columns = ("Adapters", "Before", "Gain in distribution similarity", "Diversity", "of people",
               "Entropy", "of people")  # fmt: skip
    note = (
        "Over the cultures that the adapters serve. Tuning tends to make cultures more alike "
        "(less diversity) and answers more certain (less entropy) than people are, which a gain in "
        f"similarity does not show. {_INTERVALS}"
    )
    caption = "Before and after tuning, with the same prompt"
    return Table.of_rows(caption, columns, rows, note=note) if rows else None


def tabulate_over_methods(section: Section) -> Table | None:
    """Return the gains of adapters over what they are best compared with; None without any."""
    rows = tuple(
        (c.name, name, interval(gain))
        for c in section.conditions
        for name, gain in c.over_method.items()
    )
    columns = ("Adapters", "Compared with", "Gain in distribution similarity")
    note = (
        "Paired by question, over the cultures that both answered as; above zero the first is "
        f"nearer to people. {_INTERVALS}"
    )
    caption = "Adapters compared, pair by pair"
    return Table.of_rows(caption, columns, rows, note=note) if rows else None


def tabulate_readability(section: Section) -> Table | None:
    """Return what was unreadable, not steered or changed with the order; None without a model."""
    return _compare(
        "Readable and steady answers",
        [c for c in section.conditions if c.kind != "reference"],
        ("Answers", lambda c: count(c.n_cells)),
        ("Unreadable", lambda c: percent(c.unreadable)),
        ("Refused", lambda c: percent(c.refused)),
        ("Not steered", lambda c: percent(c.not_steered)),
        ("Shift with option order", lambda c: decimal(c.order_shift)),
        ("Choice depends on order", lambda c: percent(c.order_flips)),
        note="Refused: refusals among the unreadable answers, as a share of all answers. Not "
        "steered: no exemplar had room in the prompt. Shift: mean total variation distance "
        "between the shares read in different orders of the options, 0 to 1.",
    )


def tabulate_cost(section: Section) -> Table | None:
    """Return what each condition's answers took; None if no model was asked."""
    return _compare(
        "What it took",
        [c for c in section.conditions if c.prompt_tokens or c.completion_tokens],
        ("Answers", lambda c: count(c.n_cells)),
        ("Requests", lambda c: count(c.n_requests)),
        ("Prompt tokens", lambda c: count(c.prompt_tokens)),
        ("Completion tokens", lambda c: count(c.completion_tokens)),
        ("Tokens per answer", _describe_tokens),
        note="An answer is one culture and question. Equal requests are sent once, so a condition "
        "that knows no culture takes few.",
    )


def fold_breakdowns(section: Section, names: dict[str, str]) -> list[Folded]:
    """Return the folded tables: by culture, by topic and by number of options.

    `names` gives the name of each culture.
    """
    conditions = sort_by_kind(section.conditions)
    similarity = {c.name: {k: f.similarity for k, f in c.by_culture.items()} for c in conditions}
    alignment = {
        c.name: {k: f.alignment for k, f in c.by_culture.items() if f.alignment} for c in conditions
    }
    topics = {c.name: c.by_topic for c in conditions}
    lengths = sorted({n for c in conditions for n in c.by_n_options})
    n_options = {
        c.name: {str(n): c.by_n_options[n] for n in lengths if n in c.by_n_options}
        for c in conditions
    }
    tables = [
        _break_down("Distribution similarity by culture", "Culture", similarity, names),
        _break_down("Alignment score by culture", "Culture", alignment, names, note=_ALIGNMENT),
        _break_down("Distribution similarity by topic", "Topic", topics, {}),
        _break_down("Distribution similarity by number of options", "Options", n_options, {}),
    ]
    return [Folded(table.label, (table,)) for table in tables if table.rows]


def _break_down(
    caption: str,
    row_title: str,
    values: dict[str, dict[str, BootstrapInterval]],
    names: dict[str, str],
    *,
    note: str = "",
) -> Table:
    keys = dict.fromkeys(key for of_condition in values.values() for key in of_condition)
    shown = [name for name, of_condition in values.items() if of_condition]
    rows = tuple(
        (names.get(key, key), *(interval(values[name].get(key)) for name in shown)) for key in keys
    )
    note = f"{note} {_INTERVALS}".strip()
    return Table.of_rows("", (row_title, *shown), rows, note=note, label=caption)


def _compare(
    caption: str,
    conditions: Iterable[ConditionFigures],
    *columns: Column,
    note: str,
    first: tuple[RowGroup, ...] = (),
) -> Table | None:
    """Return a table with a row per condition, by kind; None without conditions."""
    ordered = sort_by_kind(conditions)
    if not ordered:
        return None
    groups = (
        RowGroup(
            kind.title,
            tuple((c.name, *(show(c) for _, show in columns)) for c in ordered if c.kind == name),
        )
        for name, kind in KINDS.items()
    )
    headings = ("Condition", *(heading for heading, _ in columns))
    return Table(caption, headings, (*first, *(g for g in groups if g.rows)), note=note)


def _describe_rank(condition: ConditionFigures) -> str:
    steering = condition.steering
    if steering is None or not steering.ranks:
        return ABSENT
    ranks = steering.ranks.values()
    return f"{sum(ranks) / len(ranks):.1f} of {len(steering.cultures)}"


def _describe_tokens(condition: ConditionFigures) -> str:
    if not condition.n_cells:
        return ABSENT
    tokens = condition.prompt_tokens + condition.completion_tokens
    return f"{tokens / condition.n_cells:.1f}"


def _show_change(before: float | None, after: float | None) -> str:
    return f"{decimal(before)} \N{RIGHTWARDS ARROW} {decimal(after)}"
