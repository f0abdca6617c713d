"""What a report says in words, in the terminal as on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable

from experiments.analysis.result import Analysis, ArmFigures, Measured, SampleRatio
from experiments.definition import State
from experiments.metrics import Direction, MetricKind
from experiments.replay.result import ArmReplay
from experiments.report.spans import is_known
from experiments.statistics.decision import Verdict
from reports.document import Pairs
from reports.numbers import (
    count,
    duration,
    join_names,
    moment,
    number,
    p_value,
    percent,
    quantity,
    rate,
)

UNIT_VALUES = {
    "first": "its first value",
    "mean": "the mean of its values",
    "sum": "the sum of its values",
}

TOO_FEW = "Too few units have a value to compare anything yet."
HOUR_S = 3600.0
# From here on an arm is largely another one.
OFTEN = 0.3


def write_headline(analysis: Analysis) -> str:
    """Return what to do, in a few words."""
    decision = analysis.decision
    if decision.verdict is Verdict.SHIP:
        return f"Ship {decision.arm}"
    if analysis.state is State.DRAFT:
        return "Start the experiment"
    return "Continue" if decision.verdict is Verdict.CONTINUE else "Stop"


def name_experiment(analysis: Analysis) -> str:
    """Return the name of the experiment, and of the model that answered; of several, all."""
    models = tuple(analysis.n_by_model)
    return f"{analysis.experiment} with {join_names(models)}" if models else analysis.experiment


def give_reason(analysis: Analysis) -> str:
    """Return why, without the verdict that the headline has said; may be empty.

    With several arms, `list_reasons` says what there is to say of each.
    """
    said, each = _drop_verdict(analysis), _each_arm(analysis)
    if not said.endswith(each):
        return said
    if not is_compared(analysis):
        return f"{said.removesuffix(each)}{TOO_FEW}"
    return said if len(analysis.comparisons) == 1 else said.removesuffix(each).strip()


def list_reasons(analysis: Analysis) -> tuple[str, ...]:
    """Return a sentence per arm, if several of them are the reason."""
    is_reason = _drop_verdict(analysis).endswith(_each_arm(analysis)) and is_compared(analysis)
    if not is_reason or len(analysis.comparisons) == 1:
        return ()
    return tuple(comparison.said for comparison in analysis.comparisons)


def _drop_verdict(analysis: Analysis) -> str:
    rest = re.sub(r"^(Continue: |Stop: |Ship )", "", analysis.decision.reason)
    # The name of an arm keeps its letters.
    is_arm = any(rest.startswith(f"{arm.name}:") for arm in analysis.arms)
    return rest if is_arm else rest[:1].upper() + rest[1:]


def _each_arm(analysis: Analysis) -> str:
    return " ".join(comparison.said for comparison in analysis.comparisons)


def is_compared(analysis: Analysis) -> bool:
    """Return whether the primary metric of any arm can be compared yet."""
    return any(is_known(each.effect.span) for each in analysis.comparisons)


def has_guardrails(analysis: Analysis) -> bool:
    """Return whether any guardrail can be compared yet."""
    return any(is_known(each.span) for arm in analysis.comparisons for each in arm.guardrails)


def name_recorded(metric: str) -> str:
    """Return the name of something recorded of answers, as a row has it: 'Prompt tokens'."""
    return metric.removeprefix("n_").replace("_", " ").capitalize()


def name_metric(metric: Measured) -> str:
    """Return what of a metric is compared."""
    if metric.quantile is not None:
        return f"{metric.name}, {100.0 * metric.quantile:g} % quantile"
    kinds = {MetricKind.PROPORTION: "share", MetricKind.RATING: "mean rating"}
    return f"{metric.name}, {kinds.get(metric.kind, 'mean')}"


def say_direction(metric: Measured) -> str:
    """Return which way is better."""
    return "higher is better" if metric.direction is Direction.HIGHER else "lower is better"


def head_effect(metric: Measured) -> str:
    """Return the heading of the effects."""
    return f"Effect on {name_metric(metric)}; {say_direction(metric)}"


def orient_worth(metric: Measured) -> float:
    """Return the effect of interest, or the margin, on the side of what is better."""
    return -metric.worth if metric.direction is Direction.LOWER else metric.worth


def describe_cultures(analysis: Analysis) -> str:
    """Return with which arms and in which cultures there is a difference, and what that means."""
    cultures = [comparison.cultures for comparison in analysis.comparisons]
    n_cultures = len({each.culture for found in cultures for each in found.effects})
    if not n_cultures:
        return "No unit with a culture has settled yet."
    found = [
        f"{join_names([e.name for e in cultures.effects if e.found])} with {comparison.arm}"
        for comparison, cultures in zip(analysis.comparisons, cultures, strict=True)
        if any(each.found for each in cultures.effects)
    ]
    among = quantity(n_cultures, "culture")
    if not found:
        return f"No difference is found in any of {among} so far."
    alpha = rate(sum(each.alpha for each in cultures))
    over = "over all arms and looks and" if len(cultures) > 1 else "over all looks and"
    n_possible = quantity(max(each.n_possible for each in cultures), "possible culture")
    return (
        f"A difference is found in {'; in '.join(found)}; of {among}. That any finding is ever "
        f"false has a probability of {alpha} at most, {over} {n_possible}."
    )


def describe_pooling(analysis: Analysis) -> str:
    """Return what estimates of several arms by culture are, with a space after it; may be empty."""
    effects = [each for arm in analysis.comparisons for each in arm.cultures.effects]
    if len(analysis.comparisons) == 1 or all(each.pooled.estimate is None for each in effects):
        return ""
    star = " * is a difference." if any(each.found for each in effects) else ""
    return f"Estimates are drawn towards the mean of all cultures.{star} "


def describe_ratio(ratio: SampleRatio) -> str:
    """Return whether units are split according to the weights."""
    if not ratio.strata:
        return "No unit yet."
    if ratio.alarm:
        return (
            "Alarm: units are not split between the arms according to their weights "
            f"(p {p_value(ratio.p_value)}). "
            "No comparison of them can be relied on before the fault is found: in assignment, in "
            "recording, or in an arm that fails to answer."
        )
    return (
        "Units are split between the arms according to their weights, as far as can be told "
        f"(p {p_value(ratio.p_value)}; the alarm is raised below {number(ratio.alpha)})."
    )


def name_arm(arm: ArmFigures | ArmReplay) -> str:
    """Return the name of an arm, and whether it is control."""
    return f"{arm.name} (control)" if arm.is_control else arm.name


def list_ways(arms: Iterable[ArmFigures | ArmReplay]) -> Pairs:
    """Return the arms, and how each of them answers."""
    return tuple((name_arm(arm), arm.about) for arm in arms)


def describe_offline(analysis: Analysis) -> str | None:
    """Return where the alignment of arms offline is from; None if there is none."""
    sources = {arm.offline.source: None for arm in analysis.arms if arm.offline is not None}
    return f"Alignment offline, with its 95 % interval: {'; '.join(sources)}." if sources else None


def explain_in_short(analysis: Analysis) -> str:
    """Return what one has to know to read the numbers."""
    return (
        f"Intervals and p hold over all looks together; an arm that is not better is ever shipped "
        f"with a probability of {rate(analysis.alpha)} at most. {_counting(analysis)} It counts "
        "in the arm it was assigned."
    )


def _counting(analysis: Analysis) -> str:
    window = duration(analysis.outcome_window_s)
    value = UNIT_VALUES[analysis.unit_value]
    return f"A unit counts once, with {value} in the {window} after its first answer."


def list_notes(analysis: Analysis) -> tuple[str, ...]:
    """Return how to read the report."""
    ratio_alpha = rate(analysis.sample_ratio.alpha)
    return (
        "By intention to treat: units count in the arm they were assigned, even if an answer "
        "fell back to another way or another arm answered.",
        f"{_counting(analysis)} Units whose window is open may still count; silent ones gave no "
        "value.",
        "Intervals and p-values hold over all looks together, however often one looks. The "
        f"probability of ever shipping an arm that is not better is {rate(analysis.alpha)} at "
        f"most; a false alarm of the sample ratio, {ratio_alpha}.",
        "A p-value is the least of all looks so far and never rises; the interval is that of this "
        "look, and decides.",
        "A difference is the mean over blocks of units of both arms, so it may differ a little "
        "from the difference of the two arms' levels.",
        "Latency, tokens and shares by arm are over answers, and description only.",
    )


def list_left_out(analysis: Analysis) -> tuple[str, ...]:
    """Return what is left out or counts otherwise; nothing if nothing is."""
    left = analysis.left_out
    n_requests = sum(arm.n_requests for arm in analysis.arms)
    n_crossed = sum(arm.n_crossed for arm in analysis.arms)
    counts = (
        (left.n_overridden, "answer", "left out, because a tester chose the arm"),
        (n_crossed, "answer", "given by another arm than the unit's, in which it counts"),
        (
            n_requests,
            "unit",
            "a single request: it says nothing about a user, and counts with its answer",
        ),
        (left.n_request_outcomes, "outcome", "left out: of a unit that is a single request"),
        (left.n_late, "value", "left out: after the window of the unit"),
        (left.n_clipped, "value", "outside the range of its metric, set to its end"),
        (left.n_without_culture, "unit", "without a culture, left out of the effects by culture"),
        (left.n_other_arm, "unit", "left out: of an arm that the experiment does not have"),
    )
    return tuple(f"{quantity(n, noun)}: {what}." for n, noun, what in counts if n)


def _models(analysis: Analysis) -> str:
    """Return how many answers each of several models had a hand in, and what that means."""
    each = (f"{name} ({quantity(n, 'answer')})" for name, n in analysis.n_by_model.items())
    return (
        f"{join_names(tuple(each))}. The model was changed while the experiment ran, or gateways "
        "or arms have others: a difference between arms may be one between models."
    )


def list_facts(analysis: Analysis) -> Pairs:
    """Return label and value of what the experiment is."""
    primary = analysis.primary
    interest = f"smallest effect of interest {number(primary.worth)}"
    said = [
        ("Hypothesis", analysis.hypothesis),
        ("Metric", f"{name_metric(primary)}; {say_direction(primary)}; {interest}"),
    ]
    guardrails = analysis.comparisons[0].guardrails if analysis.comparisons else ()
    if guardrails and not has_guardrails(analysis):
        margins = (f"{name_metric(g.metric)} (margin {number(g.metric.worth)})" for g in guardrails)
        said.append(("Guardrails", "; ".join(margins)))
    if len(analysis.n_by_model) > 1:
        said.append(("Models", _models(analysis)))
    said.append(("State", _state(analysis)))
    if analysis.progress.started_ms is not None or analysis.progress.n_units:
        said.append(("Units", _units(analysis)))
    if often := _fell_back(analysis):
        said.append(("Fell back", often))
    said.append(("As of", moment(analysis.at_ms)))
    if analysis.recorded_decision:
        said.append(("Decided", analysis.recorded_decision))
    return tuple(said)


def _fell_back(analysis: Analysis) -> str:
    """Return which arms were often answered in another way than theirs, empty for none."""
    shares = ((arm.name, arm.shares.get("fell_back")) for arm in analysis.arms)
    often = [f"{name} {percent(share, 0)}" for name, share in shares if share and share > OFTEN]
    said = f"{', '.join(often)} of the answers were given in another way than the arm's"
    return said if often else ""


def _state(analysis: Analysis) -> str:
    found = analysis.progress
    named = f"{analysis.state}, revision {analysis.revision}"
    if found.started_ms is None:
        return f"{named}, not started"
    share = percent(min(found.elapsed_s / found.max_duration_s, 9.99), 0)
    ran = f"{duration(found.elapsed_s)} of at most {duration(found.max_duration_s)} ({share})"
    verb = "ran for" if found.ended_ms is not None else "for"
    return f"{named}; since {moment(found.started_ms)}, {verb} {ran}"


def _units(analysis: Analysis) -> str:
    found = analysis.progress
    parts = [f"{count(found.n_units)}, with {quantity(found.n_answers, 'answer')}"]
    # Before an hour is over a rate per day is guessing.
    if found.units_per_day is not None and found.elapsed_s >= HOUR_S:
        parts.append(f"about {number(found.units_per_day, 2)} a day")
    if found.planned_units is not None:
        parts.append(f"the plan asks for {count(found.planned_units)} of two arms")
    return "; ".join(parts)
