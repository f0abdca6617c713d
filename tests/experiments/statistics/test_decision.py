"""What to do with an experiment."""

import math

import pytest

from experiments.metrics import Direction, Guardrail, Metric, MetricKind, PrimaryMetric
from experiments.statistics.decision import (
    ArmEvidence,
    Decision,
    GuardrailEvidence,
    GuardrailState,
    Verdict,
    decide,
    split_alpha,
)
from experiments.statistics.means import EffectInterval


def primary(name: str, direction: Direction) -> PrimaryMetric:
    return PrimaryMetric(Metric(name, MetricKind.MEAN, direction), smallest_effect=0.1)


GOAL = primary("rating", Direction.HIGHER)
BETTER, WORSE = EffectInterval(0.3, 0.1, 0.5), EffectInterval(-0.3, -0.5, -0.1)
UNSURE, SMALL = EffectInterval(0.1, -0.1, 0.3), EffectInterval(0.0, -0.05, 0.05)
ENDLESS = EffectInterval(math.nan, -math.inf, math.inf)


def refusals(effect: EffectInterval) -> GuardrailEvidence:
    metric = Metric("refusals", MetricKind.PROPORTION, Direction.LOWER)
    return GuardrailEvidence(Guardrail(metric, margin=0.02), effect)


SAFE = refusals(EffectInterval(0.0, -0.01, 0.01))
VIOLATED = refusals(EffectInterval(0.05, 0.03, 0.07))
UNDECIDED = refusals(EffectInterval(0.01, -0.02, 0.04))


def decided(
    *arms: ArmEvidence, over: bool = False, log_e: float = 0.0, goal: PrimaryMetric = GOAL
) -> Decision:
    return decide(arms, goal, sample_ratio_log_e=log_e, duration_over=over)


def test_guardrails_where_lower_is_better() -> None:
    assert SAFE.state is GuardrailState.SAFE
    assert VIOLATED.state is GuardrailState.VIOLATED
    assert UNDECIDED.state is GuardrailState.UNDECIDED
    speed = Metric("speed", MetricKind.MEAN, Direction.HIGHER)
    endless = GuardrailEvidence(Guardrail(speed, margin=0.0), ENDLESS)
    assert endless.state is GuardrailState.UNDECIDED


def test_an_arm_that_is_better_and_safe_is_shipped() -> None:
    found = decided(ArmEvidence("icl", BETTER, [SAFE]))
    assert (found.verdict, found.arm) == (Verdict.SHIP, "icl")
    assert found.reason == (
        "Ship icl: rating is better than control (+0.3, from +0.1 to +0.5) and every guardrail is "
        "safe."
    )


def test_a_lower_metric_may_be_the_better_one() -> None:
    goal = primary("latency", Direction.LOWER)
    assert decided(ArmEvidence("icl", WORSE), goal=goal).verdict is Verdict.SHIP
    assert decided(ArmEvidence("icl", BETTER), goal=goal).verdict is Verdict.STOP


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (UNSURE, "not yet told apart from control (+0.1, from \N{MINUS SIGN}0.1 to +0.3)"),
        (ENDLESS, "too few units to say"),
    ],
)
def test_an_open_question_goes_on(effect: EffectInterval, words: str) -> None:
    found = decided(ArmEvidence("icl", effect))
    assert found.verdict is Verdict.CONTINUE
    assert words in found.reason


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (ArmEvidence("icl", WORSE), "worse than control"),
        (ArmEvidence("icl", SMALL), "gains less than the smallest effect of interest, 0.1"),
        (
            ArmEvidence("icl", EffectInterval(0.05, 0.01, 0.09)),
            "better than control, but by less than",
        ),
        (
            ArmEvidence("icl", BETTER, [VIOLATED]),
            "guardrail refusals is worse than control by more",
        ),
    ],
)
def test_a_lost_arm_stops_the_experiment(evidence: ArmEvidence, words: str) -> None:
    found = decided(evidence)
    assert (found.verdict, found.arm) == (Verdict.STOP, None)
    assert words in found.reason


def test_an_undecided_guardrail_is_waited_for() -> None:
    found = decided(ArmEvidence("icl", BETTER, [SAFE, UNDECIDED]))
    assert found.verdict is Verdict.CONTINUE
    assert "refusals may still be worse" in found.reason


def test_the_end_of_the_duration_stops() -> None:
    found = decided(ArmEvidence("icl", UNSURE), over=True)
    assert found.verdict is Verdict.STOP
    assert "duration is over without a winner" in found.reason


def test_a_broken_sample_ratio_comes_before_everything() -> None:
    found = decided(ArmEvidence("icl", BETTER), log_e=math.log(1000.0))
    assert found.verdict is Verdict.STOP
    assert "units are not split between the arms according to their weights" in found.reason
    assert decided(ArmEvidence("icl", BETTER), log_e=math.log(999.0)).verdict is Verdict.SHIP


def test_of_several_arms_the_highest_is_shipped() -> None:
    found = decided(
        ArmEvidence("icl", BETTER),
        ArmEvidence("adapter", EffectInterval(0.4, 0.2, 0.6)),
        ArmEvidence("plain", WORSE),
    )
    assert found.arm == "adapter"
    assert found.reason.endswith(
        "icl is better than control and safe too; adapter is not shown to beat it."
    )
    assert [arm for arm, _ in found.by_arm] == ["icl", "adapter", "plain"]


def test_an_open_arm_that_looks_better_is_waited_for_until_the_end() -> None:
    arms = ArmEvidence("icl", BETTER), ArmEvidence("adapter", EffectInterval(0.4, -0.1, 0.9))
    assert decided(*arms).verdict is Verdict.CONTINUE
    assert decided(*arms, over=True).arm == "icl"


def test_arms_share_the_error_rate() -> None:
    assert split_alpha(0.06, 3) == pytest.approx(0.02)
    with pytest.raises(ValueError, match="1 or more"):
        split_alpha(0.05, 0)


def test_what_cannot_be_decided_is_refused() -> None:
    with pytest.raises(ValueError, match="no arm besides control"):
        decided()
