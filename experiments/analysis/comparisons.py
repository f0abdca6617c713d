"""The arms of an experiment against its control, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from experiments.analysis.cultures import estimate_culture_effects
from experiments.analysis.differences import Difference, Pair, compare_means, compare_quantiles
from experiments.analysis.reading import Events
from experiments.analysis.result import (
    Cultures,
    Effect,
    GuardrailEffect,
    Look,
    Measured,
    OfflineAlignment,
    Span,
    finite_or_none,
)
from experiments.analysis.samples import Sample, model_differences
from experiments.analysis.strata import Strata, choose_block_shape
from experiments.metrics import Direction, Metric
from experiments.statistics.decision import ArmEvidence, GuardrailEvidence, split_alpha
from experiments.statistics.means import Bounded, ValueModel
from experiments.statistics.planning import SamplePlan
from survey_data.arrays import Floats


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What an analysis is told beside the events.

    Attributes:
        cultures: alpha-3 code → name, of all cultures that may come; without any, all there are.
        plan: of `plan_sample`, made before the start; None for none.
        offline: arm → alignment with people's answers, measured offline.
    """

    cultures: Mapping[str, str] = field(default_factory=dict)
    plan: SamplePlan | None = None
    offline: Mapping[str, OfflineAlignment] = field(default_factory=dict)


class ArmComparison(NamedTuple):
    """One arm against control: as it is shown, and as it is weighed."""

    effect: Effect
    guardrails: tuple[GuardrailEffect, ...]
    evidence: ArmEvidence


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares the arms of one experiment with its control."""

    events: Events
    options: AnalysisOptions
    strata: Strata
    samples: Mapping[str, Sample]

    @property
    def alpha(self) -> float:
        """The error rate of each arm's primary metric."""
        experiment = self.events.experiment
        return split_alpha(experiment.alpha, len(experiment.arms) - 1)

    def compare(self, arm: str) -> ArmComparison:
        """Return the primary metric at the arm's part of alpha, and every guardrail at alpha."""
        experiment = self.events.experiment
        primary = experiment.primary
        difference = self._difference(
            arm, primary.metric, self._expect_primary(arm), alpha=self.alpha
        )
        measured = Measured.of(primary.metric, primary.smallest_effect)
        effect = Effect(**self._collect_fields(arm, measured, difference), alpha=self.alpha)
        shown, weighed = [], []
        for guardrail in experiment.guardrails:
            metric, margin = guardrail.metric, guardrail.margin
            values = model_differences(metric, margin, experiment.unit_value)
            found = self._difference(arm, metric, values, alpha=experiment.alpha)
            is_higher = metric.direction is Direction.HIGHER
            judged = GuardrailEvidence(metric.name, found.now, margin, is_higher)
            fields = self._collect_fields(arm, Measured.of(metric, margin), found)
            shown.append(GuardrailEffect(**fields, alpha=experiment.alpha, state=judged.state))
            weighed.append(judged)
        return ArmComparison(effect, tuple(shown), ArmEvidence(arm, difference.now, tuple(weighed)))

    def cultures(self, arm: str) -> Cultures:
        """Return the primary metric per culture."""
        metric = self.events.experiment.primary.metric
        pair, units = self._pair_units(arm, metric)
        return estimate_culture_effects(
            pair,
            self.events.units.culture[units],
            metric,
            self._expect_primary(arm),
            alpha=self.alpha,
            shape=choose_block_shape(self.events, arm),
            possible=self.events.experiment.cultures or tuple(self.options.cultures),
            names=self.options.cultures,
        )

    def _expect_primary(self, arm: str) -> ValueModel:
        """Return what the plan says of the primary metric's differences, else the definition.

        A plan of other blocks or another range is one of another experiment.
        """
        plan, experiment = self.options.plan, self.events.experiment
        primary = experiment.primary
        known = model_differences(primary.metric, primary.smallest_effect, experiment.unit_value)
        if plan is None or plan.shape != choose_block_shape(self.events, arm):
            return known
        return plan.values if _range(plan.values) == _range(known) else known

    def _pair_units(self, arm: str, metric: Metric) -> tuple[Pair, Floats]:
        """Return the settled units of the arm and of control, and which they are."""
        names, sample = self.events.experiment.arm_names, self.samples[metric.name]
        treatment, control = names.index(arm), names.index(self.events.experiment.control)
        arms = self.events.units.arm[sample.units]
        rows = (arms == treatment) | (arms == control)
        units = sample.units[rows]
        pair = Pair(
            treated=arms[rows] == treatment,
            values=sample.values[rows],
            at_s=sample.at_s[rows],
            strata=self.strata.of_unit[units],
        )
        return pair, units

    def _difference(
        self, arm: str, metric: Metric, values: ValueModel, *, alpha: float
    ) -> Difference:
        pair, _ = self._pair_units(arm, metric)
        if metric.quantile is not None:
            return compare_quantiles(pair, metric.quantile, alpha=alpha)
        return compare_means(pair, values, alpha=alpha, shape=choose_block_shape(self.events, arm))

    def _collect_fields(self, arm: str, measured: Measured, found: Difference) -> dict[str, object]:
        """Return the fields of an effect."""
        names, sample = self.events.experiment.arm_names, self.samples[measured.name]
        arms = self.events.units.arm[sample.units]
        treatment = sample.values[arms == names.index(arm)]
        control = sample.values[arms == names.index(self.events.experiment.control)]
        return {
            "metric": measured,
            "span": Span.of(found.now),
            "p_value": found.p_value,
            "treatment": _level(treatment, measured.quantile),
            "control": _level(control, measured.quantile),
            "n_treatment": treatment.size,
            "n_control": control.size,
            "n_compared": int(found.sequence.n[-1]) if found.sequence.n.size else 0,
            "history": _history(found),
        }


def _level(values: Floats, quantile: float | None) -> float | None:
    """Return the mean, or the quantile, of one arm; None without values."""
    if not values.size:
        return None
    if quantile is None:
        return float(values.mean())
    return float(np.quantile(values, quantile, method="inverted_cdf"))


def _range(values: ValueModel) -> tuple[float, float] | None:
    return (values.low, values.high) if isinstance(values, Bounded) else None


def _history(found: Difference) -> tuple[Look, ...]:
    sequence = found.sequence
    columns = (found.at_s, sequence.n, sequence.estimate, sequence.low, sequence.high)
    return tuple(
        Look(
            at_ms=round(at_s * 1000.0),
            n=n,
            estimate=finite_or_none(middle),
            low=finite_or_none(low),
            high=finite_or_none(high),
        )
        for at_s, n, middle, low, high in zip(*(column.tolist() for column in columns), strict=True)
    )
