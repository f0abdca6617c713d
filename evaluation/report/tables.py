"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from evaluation.figures import BootstrapInterval, ConditionFigures, Section
from evaluation.report.kinds import KIND_TITLES, PLAIN, sort_by_kind
from reports.document import Folded, Row, RowGroup, Table
from reports.numbers import ABSENT, count, decimal, interval, percent

_INTERVALS = "Intervals are 95 %, by bootstrap over questions."
_ALIGNMENT = (
    "Alignment score: 73 % of it rests on 51 ten- and eleven-point items in the CultureSPA set, "
    "central answers are rewarded and unreadable ones drop out."
)


def results(section: Section) -> Table:
    """Return how near every condition came to people, by every metric."""
    return Table(
        "How near answers came to people's",
        (
            "Condition",
            "Distribution similarity",
            "Alignment score",
            "Exact match",
            "Soft accuracy",
            "Wasserstein-1",
            "Unreadable",
        ),
        _by_kind(
            section.conditions,
            lambda c: (
                interval(c.similarity),
                interval(c.alignment),
                interval(c.exact),
                interval(c.soft),
                interval(c.wasserstein),
                percent(c.unreadable),
            ),
        ),
        note=f"Higher is better, but for Wasserstein-1 and unreadable answers. {_ALIGNMENT} "
        "Exact match: share of answers that are the option most people chose. Soft accuracy: the "
        "same, with part of the credit for a near option. Wasserstein-1: how far shares would have "
        "to move along the scale, as a part of its length, on questions whose options have an "
        f"order. {_INTERVALS}",
    )


def over_plain(section: Section) -> Table | None:
    """Return the gains over `plain` in three metrics; None where nothing was compared with it."""
    compared = [c for c in section.conditions if c.over_plain]
    if not compared:
        return None
    return Table(
        f"Gain over {PLAIN}",
        ("Condition", "Distribution similarity", "Alignment score", "Soft accuracy"),
        _by_kind(
            compared,
            lambda c: (
                interval(c.over_plain),
                interval(c.alignment_over_plain),
                interval(c.soft_over_plain),
            ),
        ),
        note="Paired by question; above zero the condition is nearer to people than the model "
        "without any word of the culture. The gain in alignment score is over the answers that "
        "could be read of both, and both scores are made anew from every draw of questions. "
        f"{_INTERVALS}",
    )


def gains(section: Section) -> Table | None:
    """Return the gain over each reference of all others; None where nothing was compared."""
    compared = [c for c in section.conditions if c.over_reference and c.kind != "reference"]
    names = _distinct(name for c in compared for name in c.over_reference)
    if not names:
        return None
    return Table(
        "Gain in distribution similarity over each reference",
        ("Condition", *(f"over {name}" for name in names)),
        _by_kind(compared, lambda c: tuple(interval(c.over_reference.get(name)) for name in names)),
        note=f"Paired by question; above zero the condition is nearer to people. {_INTERVALS}",
    )


def steerability(section: Section) -> Table | None:
    """Return whether answers given as a culture fit it best, and how much cultures differ."""
    told = [c for c in section.conditions if c.steering or c.diversity is not None]
    if not told:
        return None
    people = ("People", ABSENT, ABSENT, decimal(section.people_diversity), ABSENT,
              decimal(section.people_entropy), ABSENT)  # fmt: skip
    return Table(
        "Do answers change with the culture?",
        (
            "Condition",
            "Own culture fits best",
            "Mean rank of own culture",
            "Diversity",
            "of people",
            "Entropy",
            "of people",
        ),
        (RowGroup("", (people,)), *_by_kind(told, _steerability_cells)),
        note="Own culture fits best: share of cultures whose people are the ones nearest to the "
        "answers given as that culture. Mean rank: 1 is best. Diversity: mean distance between "
        "what two cultures chose, as a part of the scale. Entropy: how far the shares of an answer "
        "are spread over its options, 0 all on one, 1 even. Of both, nearest to people's is best; "
        "of people: those of the cultures that the condition answered as.",
    )


def before_and_after(section: Section) -> Table | None:
    """Return what tuning changed at the same prompt; None without adapters and such a prompt."""
    rows = [
        (
            c.name,
            of.condition,
            interval(of.gain),
            _change(of.diversity, c.diversity),
            decimal(c.people_diversity),
            _change(of.entropy, c.entropy),
            decimal(c.people_entropy),
        )
        for c in section.conditions
        if (of := c.before) is not None
    ]
    if not rows:
        return None
    return Table(
        "Before and after tuning, with the same prompt",
        (
            "Adapters",
            "Before",
            "Gain in distribution similarity",
            "Diversity",
            "of people",
            "Entropy",
            "of people",
        ),
        (RowGroup("", tuple(rows)),),
        note="Over the cultures that the adapters serve. Tuning tends to make cultures more alike "
        "(less diversity) and answers more certain (less entropy) than people are, which a gain in "
        f"similarity does not show. {_INTERVALS}",
    )


def over_methods(section: Section) -> Table | None:
    """Return the gains of adapters over what they are best compared with; None without any."""
    rows = [
        (c.name, name, interval(gain))
        for c in section.conditions
        for name, gain in c.over_method.items()
    ]
    if not rows:
        return None
    return Table(
        "Adapters compared, pair by pair",
        ("Adapters", "Compared with", "Gain in distribution similarity"),
        (RowGroup("", tuple(rows)),),
        note="Paired by question, over the cultures that both answered as; above zero the first is "
        f"nearer to people. {_INTERVALS}",
    )


def reading(section: Section) -> Table | None:
    """Return what was unreadable, not steered or changed with the order; None without a model."""
    asked = [c for c in section.conditions if c.kind != "reference"]
    if not asked:
        return None
    return Table(
        "Readable and steady answers",
        (
            "Condition",
            "Answers",
            "Unreadable",
            "Refused",
            "Not steered",
            "Shift with option order",
            "Choice depends on order",
        ),
        _by_kind(
            asked,
            lambda c: (
                count(c.n_cells),
                percent(c.unreadable),
                percent(c.refused),
                percent(c.not_steered),
                decimal(c.order_shift),
                percent(c.order_flips),
            ),
        ),
        note="Refused: refusals among the unreadable answers, as a share of all answers. Not "
        "steered: no exemplar had room in the prompt. Shift: mean total variation distance "
        "between the shares read in different orders of the options, 0 to 1.",
    )


def cost(section: Section) -> Table | None:
    """Return what each condition's answers took; None where no model was asked."""
    asked = [c for c in section.conditions if c.prompt_tokens or c.completion_tokens]
    if not asked:
        return None
    return Table(
        "What it took",
        (
            "Condition",
            "Answers",
            "Requests",
            "Prompt tokens",
            "Completion tokens",
            "Tokens per answer",
        ),
        _by_kind(
            asked,
            lambda c: (
                count(c.n_cells),
                count(c.n_requests),
                count(c.prompt_tokens),
                count(c.completion_tokens),
                _per_answer(c),
            ),
        ),
        note="An answer is one culture and question. Equal requests are sent once, so a condition "
        "that knows no culture takes few.",
    )


def breakdowns(section: Section, names: dict[str, str]) -> list[Folded]:
    """Return the folded tables: by culture, by topic and by number of options.

    `names` gives the name of each culture.
    """
    conditions = sort_by_kind(section.conditions)
    similarity = {c.name: {k: f.similarity for k, f in c.by_culture.items()} for c in conditions}
    alignment = {
        c.name: {k: f.alignment for k, f in c.by_culture.items() if f.alignment} for c in conditions
    }
    topics = {c.name: c.by_topic for c in conditions}
    n_options = {
        c.name: {str(n): c.by_n_options[n] for n in sorted(c.by_n_options)} for c in conditions
    }
    lengths = _distinct(key for values in n_options.values() for key in values)
    tables = [
        _breakdown("Distribution similarity by culture", "Culture", similarity, names),
        _breakdown("Alignment score by culture", "Culture", alignment, names, note=_ALIGNMENT),
        _breakdown("Distribution similarity by topic", "Topic", topics, {}),
        _breakdown(
            "Distribution similarity by number of options",
            "Options",
            {
                name: {key: v[key] for key in sorted(lengths, key=int) if key in v}
                for name, v in n_options.items()
            },
            {},
        ),
    ]
    return [Folded(table.label, (table,)) for table in tables if table.rows]


def _breakdown(
    caption: str,
    row_title: str,
    values: dict[str, dict[str, BootstrapInterval]],
    names: dict[str, str],
    *,
    note: str = "",
) -> Table:
    keys = _distinct(key for of_condition in values.values() for key in of_condition)
    told = [name for name, of_condition in values.items() if of_condition]
    rows = tuple(
        (names.get(key, key), *(interval(values[name].get(key)) for name in told)) for key in keys
    )
    return Table(
        "",
        (row_title, *told),
        (RowGroup("", rows),),
        note=f"{note} {_INTERVALS}".strip(),
        label=caption,
    )


def _by_kind(
    conditions: Iterable[ConditionFigures], cells: Callable[[ConditionFigures], Row]
) -> tuple[RowGroup, ...]:
    ordered = sort_by_kind(conditions)
    groups = (
        RowGroup(title, tuple((c.name, *cells(c)) for c in ordered if c.kind == kind))
        for kind, title in KIND_TITLES.items()
    )
    return tuple(group for group in groups if group.rows)


def _steerability_cells(condition: ConditionFigures) -> tuple[str, ...]:
    steering = condition.steering
    if steering is None:
        return (ABSENT, ABSENT, *_spread_cells(condition))
    ranks = steering.ranks.values()
    mean_rank = f"{sum(ranks) / len(ranks):.1f} of {len(steering.cultures)}" if ranks else ABSENT
    return (percent(steering.own_best_share), mean_rank, *_spread_cells(condition))


def _spread_cells(condition: ConditionFigures) -> tuple[str, ...]:
    return (
        decimal(condition.diversity),
        decimal(condition.people_diversity),
        decimal(condition.entropy),
        decimal(condition.people_entropy),
    )


def _change(before: float | None, after: float | None) -> str:
    return f"{decimal(before)} \N{RIGHTWARDS ARROW} {decimal(after)}"


def _per_answer(condition: ConditionFigures) -> str:
    if not condition.n_cells:
        return ABSENT
    tokens = condition.prompt_tokens + condition.completion_tokens
    return f"{tokens / condition.n_cells:.1f}"


def _distinct(names: Iterable[str]) -> Sequence[str]:
    return tuple(dict.fromkeys(names))
