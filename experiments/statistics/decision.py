"""What to do with an experiment, continue, ship an arm or stop, and why, in words.

Every arm is compared with the control. With more than one such arm each gets an equal part of the
error rate (`split_alpha`), so that the probability of ever shipping an arm that is no better than
control, at whichever look, is at most alpha. Guardrails are not split: each is a reason against an
arm only, and each is wrongly called safe with probability at most alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from experiments.metrics import Direction, Guardrail, Metric, PrimaryMetric
from experiments.statistics.means import EffectInterval, check_alpha
from experiments.statistics.sample_ratio import SRM_ALPHA
from reports.numbers import join_names


class Verdict(StrEnum):
    """What to do."""

    CONTINUE = "continue"
    SHIP = "ship"
    STOP = "stop"


class GuardrailState(StrEnum):
    """Whether a guardrail metric is worse than control by more than its margin."""

    SAFE = "safe"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class GuardrailEvidence:
    """A metric that an arm must not worsen, and its difference to control at this look.

    Attributes:
        effect: confidence sequence of the difference, at alpha.
    """

    guardrail: Guardrail
    effect: EffectInterval

    @property
    def state(self) -> GuardrailState:
        """Safe or violated if the whole interval is on one side of the margin."""
        gain = _gain(self.effect, self.guardrail.metric)
        if gain.low > -self.guardrail.margin:
            return GuardrailState.SAFE
        is_worse = gain.high < -self.guardrail.margin
        return GuardrailState.VIOLATED if is_worse else GuardrailState.UNDECIDED


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """What is known about one arm against control, at this look.

    Attributes:
        effect: confidence sequence of the primary metric's difference, at `split_alpha`.
    """

    arm: str
    effect: EffectInterval
    guardrails: Sequence[GuardrailEvidence] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why.

    Attributes:
        arm: the arm to ship; None unless the verdict is `ship`.
        reason: one sentence or two, with the numbers.
        by_arm: a sentence on each arm, by its name, in the order given.
    """

    verdict: Verdict
    arm: str | None
    reason: str
    by_arm: tuple[tuple[str, str], ...] = ()


_RATIO_ALARM = (
    "Stop: units are not split between the arms according to their weights (false alarm in at most "
    f"{SRM_ALPHA * 100.0:.3g} % of experiments), so the arms are not comparable. Find the fault in "
    "assignment or recording, and start again."
)


class _Fate(StrEnum):
    READY = "ready"
    OPEN = "open"
    OUT = "out"


def split_alpha(alpha: float, n_arms: int) -> float:
    """Return the error rate of each comparison with control, of `n_arms` arms besides control.

    Raises:
        ValueError: `alpha` is not between 0 and 1, or there is no arm.
    """
    check_alpha(alpha)
    if n_arms < 1:
        raise ValueError(f"{n_arms} arms besides control; expected 1 or more")
    return alpha / n_arms


def decide(
    arms: Sequence[ArmEvidence],
    primary: PrimaryMetric,
    *,
    sample_ratio_log_e: float,
    duration_over: bool,
) -> Decision:
    """Return what to do.

    In this order: stop if units are not split according to the weights. Ship the arm with the
    highest estimate among those that are better than control, may be better by the smallest effect,
    and have every guardrail safe, as soon as no arm that may yet become one of them looks better.
    Stop if no arm can become one of them: it is worse, its gain is below the smallest effect, or a
    guardrail is violated. Stop if the planned duration is over. Otherwise continue.

    `arms` are the evidence of every arm but control, and `sample_ratio_log_e` that of
    `sample_ratio_log_e` at this look.

    Raises:
        ValueError: there is no arm.
    """
    if not arms:
        raise ValueError("no arm besides control; expected at least one")
    judged = [(evidence, *_judge(evidence, primary)) for evidence in arms]
    by_arm = tuple((evidence.arm, text) for evidence, _, text in judged)
    if sample_ratio_log_e >= -math.log(SRM_ALPHA):
        return Decision(Verdict.STOP, None, _RATIO_ALARM, by_arm)
    return Decision(*_choose(judged, primary, is_over=duration_over), by_arm)


def _choose(
    judged: Sequence[tuple[ArmEvidence, _Fate, str]], primary: PrimaryMetric, *, is_over: bool
) -> tuple[Verdict, str | None, str]:
    ready = [(evidence, text) for evidence, fate, text in judged if fate is _Fate.READY]
    waiting = [evidence for evidence, fate, _ in judged if fate is _Fate.OPEN]
    if ready:
        best, text = max(ready, key=lambda pair: _estimate(pair[0], primary))
        ahead = [e.arm for e in waiting if _estimate(e, primary) > _estimate(best, primary)]
        if not ahead or is_over:
            return Verdict.SHIP, best.arm, f"Ship {text}{_others(ready, best)}"
        better = f"But {join_names(ahead)} may turn out better still."
        return Verdict.CONTINUE, None, f"Continue: {text} {better}"
    texts = " ".join(text for *_, text in judged)
    if not waiting:
        return Verdict.STOP, None, f"Stop: no arm is left. {texts}"
    if is_over:
        return Verdict.STOP, None, f"Stop: the planned duration is over without a winner. {texts}"
    return Verdict.CONTINUE, None, f"Continue: {texts}"


def _judge(evidence: ArmEvidence, primary: PrimaryMetric) -> tuple[_Fate, str]:
    """Return what may become of an arm, and a sentence on it."""
    gain, shown = _gain(evidence.effect, primary.metric), _show(evidence.effect)
    name, smallest = f"{evidence.arm}: {primary.metric.name}", f"{primary.smallest_effect:.4g}"
    for each in evidence.guardrails:
        if each.state is GuardrailState.VIOLATED:
            return _Fate.OUT, (
                f"{evidence.arm}: guardrail {each.guardrail.metric.name} is worse than control by "
                f"more than its margin of {each.guardrail.margin:.4g} ({_show(each.effect)})."
            )
    if gain.high < 0.0:
        return _Fate.OUT, f"{name} is worse than control ({shown})."
    if gain.high < primary.smallest_effect:
        kind = "is better than control, but by less than" if gain.low > 0.0 else "gains less than"
        return _Fate.OUT, f"{name} {kind} the smallest effect of interest, {smallest} ({shown})."
    if not gain.low > 0.0:
        return _Fate.OPEN, f"{name} is not yet told apart from control ({shown})."
    unsure = [
        each.guardrail.metric.name
        for each in evidence.guardrails
        if each.state is GuardrailState.UNDECIDED
    ]
    if unsure:
        return _Fate.OPEN, (
            f"{name} is better than control ({shown}), but guardrail {join_names(unsure)} may "
            "still be worse by more than its margin."
        )
    safe = " and every guardrail is safe" if evidence.guardrails else ""
    return _Fate.READY, f"{name} is better than control ({shown}){safe}."


def _gain(effect: EffectInterval, metric: Metric) -> EffectInterval:
    """Return the effect with the better direction up."""
    if metric.direction is Direction.HIGHER:
        return effect
    return EffectInterval(-effect.estimate, -effect.high, -effect.low)


def _estimate(evidence: ArmEvidence, primary: PrimaryMetric) -> float:
    estimate = _gain(evidence.effect, primary.metric).estimate
    return -math.inf if math.isnan(estimate) else estimate


def _show(effect: EffectInterval) -> str:
    if math.isinf(effect.low) or math.isinf(effect.high) or math.isnan(effect.estimate):
        return "too few units to say"
    text = f"{effect.estimate:+.3g}, from {effect.low:+.3g} to {effect.high:+.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _others(ready: Sequence[tuple[ArmEvidence, str]], best: ArmEvidence) -> str:
    others = [e.arm for e, _ in ready if e.arm != best.arm]
    if not others:
        return ""
    verb, pronoun = ("is", "it") if len(others) == 1 else ("are", "them")
    return (
        f" {join_names(others)} {verb} better than control and safe too; {best.arm} is not shown "
        f"to beat {pronoun}."
    )
