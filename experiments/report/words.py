"""What a report says in words, in the terminal as on the page."""

from __future__ import annotations

from experiments.analysis.result import Analysis, Comparison, Effect, Measured, SampleRatio
from experiments.definition import Direction, MetricKind, State
from experiments.report.numbers import (
    count,
    counted,
    duration,
    joined,
    moment,
    number,
    p_value,
    percent,
    span,
)
from experiments.statistics.decision import GuardrailState, Verdict

METRIC_NAMES = {
    "steered": "Steered",
    "fell_back": "Fell back",
    "refused": "Refused",
    "unreadable": "Unreadable",
    "n_prompt_tokens": "Prompt tokens",
    "n_reply_tokens": "Reply tokens",
    "label_mass": "Label mass",
    "alignment": "Alignment",
}
STATE_NAMES = {
    GuardrailState.SAFE: "safe",
    GuardrailState.VIOLATED: "violated",
    GuardrailState.UNDECIDED: "undecided",
}
UNIT_VALUES = {
    "first": "its first value",
    "mean": "the mean of its values",
    "sum": "the sum of its values",
}


def headline(analysis: Analysis) -> str:
    """Return what to do, in a few words."""
    decision = analysis.decision
    if decision.verdict is Verdict.SHIP:
        return f"Ship {decision.arm}"
    if analysis.state is State.DRAFT:
        return "Start the experiment"
    return "Continue" if decision.verdict is Verdict.CONTINUE else "Stop"


def reason(analysis: Analysis) -> str:
    """Return why, without the verdict that the headline has said."""
    said = analysis.decision.reason
    for verdict in ("Continue: ", "Stop: ", "Ship "):
        if said.startswith(verdict):
            rest = said.removeprefix(verdict)
            # The name of an arm keeps its letters.
            is_arm = any(rest.startswith(f"{arm.name}:") for arm in analysis.arms)
            return rest if is_arm else rest[:1].upper() + rest[1:]
    return said


def progress(analysis: Analysis) -> str:
    """Return how far along it is."""
    found = analysis.progress
    if found.started_ms is None:
        return "Not started."
    ran = "Ran for" if found.ended_ms is not None else "Runs since"
    since = duration(found.elapsed_s)
    if found.ended_ms is None:
        since = f"{moment(found.started_ms)}: {since}"
    share = min(found.elapsed_s / found.max_duration_s, 9.99)
    parts = [
        f"{ran} {since} of at most {duration(found.max_duration_s)} ({percent(share, 0)}), "
        f"with {counted(found.n_units, 'unit')} and {counted(found.n_answers, 'answer')}"
    ]
    if found.units_per_day is not None:
        parts.append(f"about {number(found.units_per_day, 3)} units a day")
    if found.planned_units is not None:
        parts.append(f"the plan asks for {count(found.planned_units)} units of two arms")
    return "; ".join(parts) + "."


def measured(metric: Measured) -> str:
    """Return what of a metric is compared."""
    if metric.quantile is not None:
        return f"{metric.name}, {100.0 * metric.quantile:g} % quantile"
    kinds = {MetricKind.PROPORTION: "share", MetricKind.RATING: "mean rating"}
    return f"{metric.name}, {kinds.get(metric.kind, 'mean')}"


def better(metric: Measured) -> str:
    """Return which way is better."""
    return "higher is better" if metric.direction is Direction.HIGHER else "lower is better"


def effect_line(effect: Effect) -> str:
    """Return the difference, levels and evidence of an effect."""
    if effect.span.estimate is None:
        return "Too few units have a value to compare anything yet."
    return (
        f"{span(effect.span)} at {percent(1.0 - effect.alpha)}: "
        f"{number(effect.treatment)} in {counted(effect.n_treatment, 'unit')} against "
        f"{number(effect.control)} in {count(effect.n_control)}; always-valid p "
        f"{p_value(effect.p_value)}."
    )


def cultures_line(comparison: Comparison) -> str:
    """Return in which cultures there is a difference."""
    cultures = comparison.cultures
    if not cultures.effects:
        return "No unit with a culture has settled yet."
    found = [each.name for each in cultures.effects if each.found]
    among = f"{counted(len(cultures.effects), 'culture')} with units"
    bound = (
        f"that any finding is ever false has a probability of {percent(cultures.alpha)} at most, "
        f"over {count(cultures.n_possible)} possible cultures"
    )
    if not found:
        return f"A difference is found in none of {among} so far ({bound})."
    return f"A difference is found in {joined(found)}, of {among} ({bound})."


def ratio_line(ratio: SampleRatio) -> str:
    """Return whether units fall on arms by their weights."""
    if not ratio.strata:
        return "No unit yet."
    if ratio.alarm:
        return (
            f"Alarm: units do not fall on the arms by their weights (p {p_value(ratio.p_value)}). "
            "No comparison of them can be relied on before the fault is found: in assignment, in "
            "recording, or in an arm that fails to answer."
        )
    return (
        "Units fall on the arms by their weights, as far as can be told "
        f"(p {p_value(ratio.p_value)}; the alarm is raised below {number(ratio.alpha)})."
    )


def notes(analysis: Analysis) -> tuple[str, ...]:
    """Return how to read the report, and what is left out of it."""
    left, ratio_alpha = analysis.left_out, percent(analysis.sample_ratio.alpha)
    n_requests = sum(arm.n_requests for arm in analysis.arms)
    n_crossed = sum(arm.n_crossed for arm in analysis.arms)
    window = duration(analysis.outcome_window_s)
    said = [
        "By intention to treat: units count in the arm they were assigned, also where an answer "
        "fell back to another way or another arm answered "
        f"({counted(n_crossed, 'such answer')} of another arm).",
        f"A unit counts once, with {UNIT_VALUES[analysis.unit_value]} in the {window} after its "
        "first answer. Units whose window is open may still count; silent ones gave no value.",
        "Intervals and p-values hold over all looks together, however often one looks. The "
        f"probability of ever shipping an arm that is not better is {percent(analysis.alpha)} at "
        f"most; a false alarm of the sample ratio, {ratio_alpha}.",
        "A p-value is the least of all looks so far and never rises; the interval is that of this "
        "look, and decides.",
        "The estimate is the mean difference of blocks of units of both arms, so it may differ a "
        "little from the difference of the two arms' levels.",
        "Latency, tokens and shares by arm are over answers, and description only.",
    ]
    counts = (
        (left.n_overridden, "answer", "left out, because a tester chose the arm"),
        (n_requests, "unit", "a single request: it tells of no user, and counts with its answer"),
        (left.n_request_outcomes, "outcome", "left out: of a unit that is a single request"),
        (left.n_late, "value", "left out: after the window of the unit"),
        (left.n_clipped, "value", "outside the range of its metric, set to its end"),
        (left.n_without_culture, "unit", "without a culture, left out of the effects by culture"),
        (left.n_other_arm, "unit", "left out: of an arm that the experiment does not have"),
    )
    said += [f"{counted(n, noun)}: {what}." for n, noun, what in counts if n]
    return tuple(said)


def facts(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    """Return label and value of what the experiment is."""
    primary = analysis.primary
    worth = f"smallest effect of interest {number(primary.worth)}"
    said = [
        ("Hypothesis", analysis.hypothesis),
        ("Primary metric", f"{measured(primary)}; {better(primary)}; {worth}"),
        ("Control", analysis.control),
        ("State", f"{analysis.state}, revision {analysis.revision}"),
        ("Progress", progress(analysis)),
        ("Error rate", f"{percent(analysis.alpha)} over all looks and arms"),
        ("As of", moment(analysis.at_ms)),
    ]
    if analysis.recorded_decision:
        said.append(("Decided", analysis.recorded_decision))
    return tuple(said)
