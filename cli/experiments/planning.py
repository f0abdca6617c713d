"""How long an experiment will take, given the traffic that it may expect."""

from __future__ import annotations

from typing import NamedTuple

from app.errors import OptionInvalid
from cli.experiments.options import Traffic
from experiments.analysis.samples import find_value_range
from experiments.definition import DAY_S, N_BUCKETS, Experiment
from experiments.metrics import Direction, MetricKind
from experiments.statistics.decision import split_alpha
from experiments.statistics.planning import Baseline, SamplePlan, plan_sample
from reports.numbers import duration

# More than there are people on earth.
MAX_UNITS_PER_DAY = 1e10


class DurationPlan(NamedTuple):
    """A plan, and what it was made from.

    Attributes:
        arm: the smallest arm besides control, which takes longest.
        share: of all units that come, in (0, 1]: those that take part.
        alpha: the error rate of each comparison.
    """

    experiment: Experiment
    plan: SamplePlan
    arm: str
    effect: float
    share: float
    alpha: float
    power: float
    units_per_day: float

    @property
    def wait_s(self) -> float:
        """What to add to the plan's days until the last unit counts."""
        # The first value of a unit counts as soon as it comes.
        is_first = self.experiment.unit_value == "first"
        return 0.0 if is_first else self.experiment.outcome_window_s

    def show_days(self, n_units: int) -> str:
        """Return the time in which `n_units` units of the two arms come, in words."""
        return duration(n_units / self.plan.n_units * self.plan.days * DAY_S)


def plan_duration(experiment: Experiment, traffic: Traffic, *, power: float) -> DurationPlan:
    """Return how long `experiment` will take to see its smallest effect, by simulation."""
    if not 0.0 < power < 1.0:
        raise OptionInvalid("--power", f"{power:g}", "between 0 and 1")
    if not 0.0 < traffic.units_per_day <= MAX_UNITS_PER_DAY:
        expected = f"above 0, at most {MAX_UNITS_PER_DAY:g}"
        raise OptionInvalid("--units-per-day", f"{traffic.units_per_day:g}", expected)
    primary = experiment.primary
    is_up = primary.metric.direction is Direction.HIGHER
    effect = primary.smallest_effect if is_up else -primary.smallest_effect
    others = [arm for arm in experiment.arms if arm.name != experiment.control]
    arm = min(others, key=lambda other: other.weight)
    layer = experiment.layer
    share = experiment.traffic_share * (1.0 - experiment.hold_out.share)
    share *= (layer.last - layer.first + 1) / N_BUCKETS
    alpha = split_alpha(experiment.alpha, len(others))
    baseline = _make_baseline(experiment, traffic)
    try:
        plan = plan_sample(
            baseline,
            effect,
            units_per_day=traffic.units_per_day * share,
            weights=(arm.weight, experiment.arm(experiment.control).weight),
            alpha=alpha,
            power=power,
        )
    except ValueError as exc:
        raise _make_refusal("--mean" if traffic.rate is None else "--baseline", exc) from exc
    per_day = traffic.units_per_day
    return DurationPlan(experiment, plan, arm.name, effect, share, alpha, power, per_day)


def _make_baseline(experiment: Experiment, traffic: Traffic) -> Baseline:
    metric, counts = experiment.primary.metric, experiment.unit_value
    if metric.kind is MetricKind.QUANTILE:
        found = f"the primary metric '{metric.name}', a quantile"
        raise OptionInvalid("plan", found, "a proportion, a mean or a rating")
    is_rate = metric.kind is MetricKind.PROPORTION and counts != "sum"
    if is_rate and (traffic.mean is not None or traffic.sd is not None):
        raise OptionInvalid("--mean", f"it for '{metric.name}', a proportion", "--baseline")
    if is_rate and traffic.rate is None:
        expected = f"the share of users with '{metric.name}' under control, such as 0.3"
        raise OptionInvalid("--baseline", "nothing", expected)
    if not is_rate and traffic.rate is not None:
        raise OptionInvalid("--baseline", f"it for '{metric.name}', a mean", "--mean and --sd")
    try:
        if traffic.rate is not None:
            return Baseline.rate(traffic.rate)
        if traffic.mean is None or traffic.sd is None:
            found = "nothing" if traffic.mean is None and traffic.sd is None else "one of them"
            expected = f"both: what is known of a user's '{metric.name}' under control"
            raise OptionInvalid("--mean, --sd", found, expected)
        low, high = find_value_range(metric, counts) or (None, None)
        return Baseline(traffic.mean, traffic.sd, low, high)
    except ValueError as exc:
        raise _make_refusal("--sd" if traffic.rate is None else "--baseline", exc) from exc


def _make_refusal(option: str, exc: ValueError) -> OptionInvalid:
    found, _, expected = str(exc).partition("; expected ")
    return OptionInvalid(option, found, expected or "another value")
