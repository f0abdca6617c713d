"""What the report of a replay says in words, in the terminal as on the page."""

from __future__ import annotations

from experiments.analysis.result import Span
from experiments.metrics import RECORDED_METRICS
from experiments.replay.result import Replay, ReplayReason
from experiments.report.words import name_recorded
from reports.document import Pairs
from reports.numbers import (
    ABSENT,
    count,
    join_names,
    moment,
    number,
    percent,
    quantity,
    with_sign,
)

NAMES = {name: name_recorded(name) for name in RECORDED_METRICS} | {"latency_ms": "Latency in ms"}
MOST_REASONS = 5


def write_headline(replay: Replay) -> str:
    """Return which arms are nearer to people than control, in one sentence."""
    if not replay.has_answers:
        return "No request was answered."
    compared = [
        arm
        for arm in replay.arms
        if "alignment" in arm.differences and arm.differences["alignment"].n
    ]
    if not compared:
        is_measured = any("alignment" in arm.levels for arm in replay.arms)
        why = (
            "has an alignment by control and another"
            if is_measured
            else "is of a survey's question"
        )
        return f"How near the arms are to people is not known: no request {why}."
    sides: dict[str, list[str]] = {
        "nearer to people than": [],
        "farther from people than": [],
        "not told apart from": [],
    }
    for arm in compared:
        span = arm.differences["alignment"].span
        sides[_side(span)].append(f"{arm.name} ({with_sign(span.estimate)})")
    said = [f"{side} {replay.control}: {join_names(own)}" for side, own in sides.items() if own]
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def list_facts(replay: Replay) -> Pairs:
    """Return label and value of what was asked."""
    asked = f"{quantity(replay.n_requests, 'request')} to every arm"
    if replay.n_requests < replay.n_planned:
        planned = quantity(replay.n_planned, "request")
        asked = f"{count(replay.n_requests)} of {planned}: ended before"
    fell_back = _list_fallen_back(replay)
    optional = {
        "Failed": ", ".join(
            f"{each.name} {count(each.n_failed)}" for each in replay.arms if each.n_failed
        ),
        "Fell back": fell_back
        and f"{fell_back} of the answers, given in another way than the arm's",
        "Same exemplars": ""
        if replay.same_shown is None
        else f"{percent(replay.same_shown)} of "
        f"{quantity(replay.n_shown, 'request')} that several arms show exemplars to",
    }
    return (
        ("Source", replay.source),
        ("Asked", f"{asked}, {quantity(replay.n_questions, 'different question')}"),
        *((label, value) for label, value in optional.items() if value),
        ("Control", replay.control),
        ("Model", replay.model),
        ("Seed", str(replay.seed)),
        ("Definition", replay.definition_id),
        ("Made", moment(replay.made_ms)),
    )


def list_causes(replay: Replay, found: tuple[ReplayReason, ...]) -> tuple[str, ...]:
    """Return reasons in words, of each arm the most frequent ones."""
    said = []
    for arm in replay.arms:
        of_arm = [each for each in found if each.arm == arm.name]
        said += [
            f"{arm.name}, {quantity(each.n, 'request')}: {each.reason}"
            for each in of_arm[:MOST_REASONS]
        ]
        if len(of_arm) > MOST_REASONS:
            n_more = len(of_arm) - MOST_REASONS
            said.append(f"{arm.name}: {quantity(n_more, 'other reason')}")
    return tuple(said)


def list_notes(replay: Replay) -> tuple[str, ...]:
    """Return how to read the report."""
    said = [
        *replay.notes,
        "A pair is one request, answered by an arm and by control. All arms get the same requests "
        "and seeds, and look for exemplars in the same place.",
        "Intervals are 95 %, by Student's t over questions: the answers to one question for "
        "several cultures are alike, so a question counts once, with their mean. They are of what "
        "was asked and of questions like it.",
        "Each interval is by itself, for one look: with many arms, metrics and cultures some miss. "
        "What is decided is decided by the experiment.",
        "Latency is what it was in this run, under its own load; arms take turns in going first.",
    ]
    if any("alignment" in arm.levels for arm in replay.arms):
        said.append(
            "Alignment is 1 less the Jensen-Shannon distance between the model's probabilities of "
            "the options and people's shares; 1 is the same. An answer that cannot be read has "
            "none, and is counted as unreadable.",
        )
    if any(arm.n_failed for arm in replay.arms):
        said.append("Answers that failed are in no mean and no pair.")
    return tuple(said)


def show_mean(found: Span) -> str:
    """Return a mean and its interval."""
    if found.estimate is None or found.low is None or found.high is None:
        return number(found.estimate, 3)
    return f"{number(found.estimate, 3)} [{number(found.low, 3)}, {number(found.high, 3)}]"


def show_difference(found: Span) -> str:
    """Return a difference and its interval."""
    if found.estimate is None:
        return ABSENT
    if found.low is None or found.high is None:
        return f"{with_sign(found.estimate)} [one question]"
    return f"{with_sign(found.estimate)} [{with_sign(found.low)}, {with_sign(found.high)}]"


def _list_fallen_back(replay: Replay) -> str:
    return ", ".join(
        f"{arm.name} {percent(found.span.estimate)}"
        for arm in replay.arms
        if (found := arm.levels.get("fell_back")) and found.span.estimate
    )


def _side(span: Span) -> str:
    if span.low is not None and span.low > 0.0:
        return "nearer to people than"
    is_farther = span.high is not None and span.high < 0.0
    return "farther from people than" if is_farther else "not told apart from"
