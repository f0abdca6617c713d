"""What the figures say, in plain words and only as far as their intervals carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.figures import BootstrapInterval, ConditionFigures, Figures, Section
from evaluation.report.kinds import PLAIN, sort_by_kind
from reports.document import Block, Points, Text
from reports.numbers import decimal, interval, join_names, percent, quantity

SIMILARITY_MEANING = (
    "It is 1 less the Jensen-Shannon distance between the shares of people who chose each option "
    "and the shares the answers give to each: 1 where they are the same, 0 where they have nothing "
    "in common."
)
ALIGNMENT_CAVEAT = (
    "The alignment score is shown because the literature reports it; read it with care. In the "
    "CultureSPA set 51 ten- and eleven-point items carry 73 % of it, answers near the middle of a "
    "scale are rewarded whatever they say, and unreadable answers drop out. There, for 18 "
    "countries, random answers score 0.465, always the lower middle option 0.581, and the rounded "
    "mean of the other countries' most frequent answers 0.711. With 50 questions its intervals "
    "hold the truth about 92 times in 100, with 250 about 95."
)
FEW_QUESTIONS = 30
_FEW = (
    " These are few questions: intervals over them are too short, and what they show may be chance."
)
_TUNING = (
    "What adapters changed, compared with the model as it is at the same prompt, and with their "
    "other rivals. Tuning may bring answers nearer to people and yet make cultures more alike than "
    "they are."
)
_HOW_COMPARED = (
    "Gains are in distribution similarity, over the same questions, with 95 % intervals. “Beats” "
    "and “is worse than” mean that the interval lies wholly on one side of zero; “does not differ "
    "from” means that it contains zero, so that this run shows no difference."
)
_COUNTED = {
    "beats": "beat it",
    "does not differ from": "do not differ from it",
    "is worse than": "are worse",
}
# Equal answers gain nothing, but float arithmetic may leave a little more or less than zero.
_ROUNDING = 1e-9


def compose_summary(figures: Figures) -> tuple[Block, ...]:
    """Return what `figures` say: their first section in full, the result alone of the others."""
    if not figures.sections:
        return (Text("The run has no figures."),)
    first, *others = figures.sections
    blocks: list[Block] = [
        Text(_describe_run(figures, first)),
        Text(_best(first), lead="The result."),
    ]
    if statements := state_comparisons(first):
        blocks += [Text(_HOW_COMPARED, lead="Compared one by one."), Points(statements)]
    if tuned := state_changes(first):
        blocks += [Text(_TUNING, lead="Before and after tuning."), Points(tuned)]
    if figures.notes:
        blocks.append(Points(figures.notes))
    for section in others:
        blocks.append(Text(_best(section), lead=f"{section.title}."))
    blocks.append(Text(SIMILARITY_MEANING, lead="Distribution similarity."))
    if any(c.alignment for section in figures.sections for c in section.conditions):
        blocks.append(Text(ALIGNMENT_CAVEAT, lead="Alignment score."))
    for lead, text in (
        ("Unreadable answers.", _unreadable(first)),
        ("Not steered.", _not_steered(first)),
        ("Order of the options.", _order(first)),
        ("Differences between cultures.", _diversity(first)),
        ("Own culture.", _steering(first)),
    ):
        if text:
            blocks.append(Text(text, lead=lead))
    return tuple(blocks)


def state_verdict(gain: BootstrapInterval) -> str:
    """Return 'beats', 'is worse than', or 'does not differ from' if the interval contains 0.

    An interval that ends at 0 contains it.
    """
    if gain.low > _ROUNDING:
        return "beats"
    return "is worse than" if gain.high < -_ROUNDING else "does not differ from"


def state_comparisons(section: Section) -> tuple[str, ...]:
    """Return how each condition but references compares with `plain` and with each reference.

    A control is compared with `plain` only. A condition compared with nothing has no statement.
    """
    statements = []
    for condition in sort_by_kind(section.conditions):
        gains = {PLAIN: condition.over_plain} if condition.over_plain else {}
        # A control is there to be worse than a method, not to be a rival of the references.
        if condition.kind != "control":
            gains |= condition.over_reference
        if gains and condition.kind != "reference":
            kind = "The control " if condition.kind == "control" else ""
            clauses = _group_by_verdict(gains, _quote(gains))
            statements.append(f"{kind}“{condition.name}” {'; '.join(clauses)}.")
    return tuple(statements)


def state_changes(section: Section) -> tuple[str, ...]:
    """Return for each condition of adapters how it compares, and what tuning changed."""
    statements = []
    for c in section.conditions:
        clauses = _group_by_verdict(c.over_method, _quote(c.over_method))
        if c.before is not None and None not in (c.before.diversity, c.diversity):
            clauses.append(
                f"the diversity of cultures went from {percent(c.before.diversity)} to "
                f"{percent(c.diversity)} of the scale (people {percent(c.people_diversity)})"
            )
        if c.before is not None and None not in (c.before.entropy, c.entropy):
            clauses.append(
                f"entropy from {decimal(c.before.entropy)} to {decimal(c.entropy)} "
                f"(people {decimal(c.people_entropy)})"
            )
        if clauses:
            statements.append(f"“{c.name}” {'; '.join(clauses)}.")
    return tuple(statements)


def _quote(gains: Mapping[str, BootstrapInterval]) -> dict[str, str]:
    return {name: f"“{name}” ({interval(gain)})" for name, gain in gains.items()}


def _group_by_verdict(
    gains: Mapping[str, BootstrapInterval], labels: Mapping[str, str]
) -> list[str]:
    """Return 'beats a and b', 'is worse than c', with the label of each name."""
    names = {
        word: [labels[n] for n, g in gains.items() if state_verdict(g) == word] for word in _COUNTED
    }
    return [f"{word} {join_names(listed)}" for word, listed in names.items() if listed]


def _describe_run(figures: Figures, section: Section) -> str:
    questions = quantity(section.n_questions, "question")
    cultures = quantity(len(section.cultures), "culture")
    cells = quantity(section.n_cells, "pair")
    return (
        f"{figures.respondent} answered {questions} of “{figures.pack_title}” for the people of "
        f"{cultures}: {cells} of question and culture. Its answers are compared with what those "
        "people said." + (_FEW if section.n_questions < FEW_QUESTIONS else "")
    )


def _best(section: Section) -> str:
    methods = _methods(section)
    if not methods:
        return "No method was asked."
    # One that answered as fewer cultures had other questions, maybe easier ones.
    most = max(len(c.by_culture) for c in methods)
    methods = [c for c in methods if len(c.by_culture) == most]
    best = max(methods, key=lambda c: c.similarity.value)
    similarity = f"a distribution similarity of {interval(best.similarity)}"
    first = (
        f"Of {len(methods)} methods “{best.name}” comes nearest to people, with {similarity}."
        if len(methods) > 1
        else f"“{best.name}”, the only method, has {similarity}."
    )
    return " ".join([first, *_best_compared(section, best)])


def _best_compared(section: Section, best: ConditionFigures) -> list[str]:
    if best.over_plain:
        first = f"It {state_verdict(best.over_plain)} “{PLAIN}” ({interval(best.over_plain)})."
    elif best.name != PLAIN:
        first = "It was not compared with “plain”."
    else:
        first = _count_verdicts(section)
    if not best.over_reference:
        return [first, "It was not compared with any reference."]
    names = {name: f"“{name}”" for name in best.over_reference}
    clauses = _group_by_verdict(best.over_reference, names)
    return [first, f"Of the references, which need no model, it {join_names(clauses)}."]


def _count_verdicts(section: Section) -> str:
    """Return what the best method is if that is `plain`, and how the others compare with it."""
    about = "That is the model without any word of the culture."
    verdicts = [state_verdict(c.over_plain) for c in _methods(section) if c.over_plain]
    if not verdicts:
        return about
    counts = [f"{verdicts.count(word)} {clause}" for word, clause in _COUNTED.items()]
    return f"{about} Of {quantity(len(verdicts), 'other method')} {join_names(counts)}."


def _unreadable(section: Section) -> str:
    asked = [c for c in sort_by_kind(section.conditions) if c.kind != "reference"]
    unreadable = [c for c in asked if c.unreadable > 0.0]
    if not asked:
        return ""
    if not unreadable:
        return "Every answer could be read."
    parts = [
        f"“{c.name}” {percent(c.unreadable)}"
        + (f" ({percent(c.refused)} refused)" if c.refused > 0.0 else "")
        for c in unreadable
    ]
    return (
        f"Some answers named no option: {join_names(parts)} of its answers. They count as the "
        "worst answer by every measure but the alignment score, which leaves them out."
    )


def _not_steered(section: Section) -> str:
    parts = [f"“{c.name}” {percent(c.not_steered)}" for c in section.conditions if c.not_steered]
    if not parts:
        return ""
    return (
        "In some prompts there was no room for any exemplar, so that they do not speak for the "
        f"culture, or only by the adapter: {join_names(parts)}."
    )


def _order(section: Section) -> str:
    methods = _methods(section)
    shifts = sorted(c.order_shift for c in methods if c.order_shift is not None)
    flips = sorted(c.order_flips for c in methods if c.order_flips is not None)
    clauses = []
    if shifts:
        span = _describe_range(decimal(shifts[0]), decimal(shifts[-1]))
        clauses.append(f"moves a method's shares by {span} (total variation distance, 0 to 1)")
    if flips:
        span = _describe_range(percent(flips[0]), percent(flips[-1]))
        clauses.append(f"changes the option it chooses in {span} of questions")
    if not clauses:
        return ""
    return f"Showing the same options in another order {join_names(clauses)}."


def _diversity(section: Section) -> str:
    diverse = [c for c in _methods(section) if c.diversity is not None]
    people = section.people_diversity
    sentences = []
    if people is not None:
        sentences.append(
            f"What the people of two cultures chose lies {percent(people)} of the scale apart."
        )
    if diverse:
        parts = [f"{percent(c.diversity)} with “{c.name}”" for c in diverse]
        sentences.append(f"Answers given as two cultures lie apart {join_names(parts)}.")
    if people is not None and diverse:
        sentences.append(
            "Less than people's means that cultures are made more alike than they are."
        )
    return " ".join(sentences)


def _steering(section: Section) -> str:
    parts = [
        f"“{c.name}” {round(of.own_best_share * len(of.cultures))} of {len(of.cultures)}"
        for c in _methods(section)
        if (of := c.steering) is not None and of.cultures
    ]
    if not parts:
        return ""
    return (
        "For how many cultures are the answers given as that culture nearest to its own people, "
        f"rather than to another's? By chance one: {join_names(parts)}."
    )


def _describe_range(low: str, high: str) -> str:
    """Return 'low to high', or one of them if they read the same."""
    return low if low == high else f"{low} to {high}"


def _methods(section: Section) -> Sequence[ConditionFigures]:
    return [c for c in section.conditions if c.kind == "method"]
