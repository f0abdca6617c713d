"""What the report of a replay says in words, in the terminal as on the page."""

from __future__ import annotations

from experiments.analysis.result import Span
from experiments.replay.result import ArmReplay, Replay, ReplayReason
from experiments.report.words import METRIC_NAMES
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

NAMES = {**METRIC_NAMES, "latency_ms": "Latency in ms"}
MOST_REASONS = 5


def headline(replay: Replay) -> str:
    """Return which arms are nearer to people than control, in one sentence."""
    if not replay.has_answers:
        return "No request was answered."
    compared = [arm for arm in replay.arms if "alignment" in arm.differences]
    if not compared:
        return "How near the arms are to people is not known: no request is of a survey's question."
    sides: dict[str, list[str]] = {"nearer": [], "farther": [], "open": []}
    for arm in compared:
        span = arm.differences["alignment"].span
        sides[_side(span)].append(f"{arm.name} ({with_sign(span.estimate)})")
    leads = (
        ("nearer", f"nearer to people than {replay.control}"),
        ("farther", f"farther from people than {replay.control}"),
        ("open", f"not told apart from {replay.control}"),
    )
    said = [f"{lead}: {join_names(sides[side])}" for side, lead in leads if sides[side]]
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def facts(replay: Replay) -> tuple[tuple[str, str], ...]:
    """Return label and value of what was asked."""
    asked = f"{quantity(replay.n_requests, 'request')} to every arm"
    if replay.n_requests < replay.n_planned:
        asked = (
            f"{count(replay.n_requests)} of {quantity(replay.n_planned, 'request')}: ended before"
        )
    failed = [f"{arm.name} {count(arm.n_failed)}" for arm in replay.arms if arm.n_failed]
    said = [
        ("Source", replay.source),
        ("Asked", f"{asked}, {quantity(replay.n_questions, 'different question')}"),
        ("Control", replay.control),
        ("Model", replay.model),
        ("Seed", str(replay.seed)),
        ("Definition", replay.definition_id),
        ("Made", moment(replay.made_ms)),
    ]
    if replay.same_shown is not None:
        several = f"of {quantity(replay.n_shown, 'request')} that several arms show exemplars to"
        same = f"{percent(replay.same_shown)} {several}"
        said.insert(2, ("Same exemplars", same))
    if fallen := _list_fallen_back(replay):
        said.insert(
            2, ("Fell back", f"{fallen} of the answers, given in another way than the arm's")
        )
    if failed:
        said.insert(2, ("Failed", ", ".join(failed)))
    return tuple(said)


def ways(replay: Replay) -> tuple[tuple[str, str], ...]:
    """Return the arms, and how each of them answers."""
    return tuple((title_of(arm), arm.about) for arm in replay.arms)


def reasons(replay: Replay, found: tuple[ReplayReason, ...]) -> tuple[str, ...]:
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


def notes(replay: Replay) -> tuple[str, ...]:
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
    shares = {arm.name: arm.levels.get("fell_back") for arm in replay.arms}
    return ", ".join(
        f"{name} {percent(found.span.estimate)}"
        for name, found in shares.items()
        if found is not None and found.span.estimate
    )


def _side(span: Span) -> str:
    if span.low is None or span.high is None:
        return "open"
    return "nearer" if span.low > 0.0 else "farther" if span.high < 0.0 else "open"


def title_of(arm: ArmReplay) -> str:
    """Return the name of an arm, and whether it is control."""
    return arm.name + (" (control)" if arm.is_control else "")
