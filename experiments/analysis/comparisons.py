"""An arm of an experiment against its control, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.analysis import result
from experiments.analysis.cultures import estimate_culture_effects
from experiments.analysis.differences import Difference, Pair, compare_pair
from experiments.analysis.reading import Events
from experiments.analysis.samples import UnitSample, measure_level, model_differences
from experiments.analysis.strata import Strata, choose_block_shape
from experiments.metrics import Metric
from experiments.statistics.decision import ArmEvidence, GuardrailEvidence, split_alpha
from experiments.statistics.differences import BlockShape
from experiments.statistics.means import Bounded, ValueModel
from experiments.statistics.planning import SamplePlan
from survey_data.arrays import Ints


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares `arm` with the control of its experiment."""

    arm: str
    events: Events
    strata: Strata
    samples: Mapping[str, UnitSample]
    culture_names: Mapping[str, str]
    plan: SamplePlan | None

    def compare(self) -> tuple[dict[str, object], ArmEvidence]:
        """Return the fields of a `Comparison` but `said`, and the evidence for the decision.

        The primary metric is at the arm's part of alpha, every guardrail at alpha.
        """
        experiment = self.events.experiment
        primary, alpha = experiment.primary, split_alpha(experiment.alpha, len(experiment.arms) - 1)
        known = self._expect_primary()
        found, fields = self._compare_metric(
            primary.metric, primary.smallest_effect, known, alpha=alpha
        )
        shown, weighed = [], []
        for guardrail in experiment.guardrails:
            metric, margin = guardrail.metric, guardrail.margin
            values = model_differences(metric, margin, experiment.unit_value)
            own, own_fields = self._compare_metric(metric, margin, values, alpha=experiment.alpha)
            weighed.append(GuardrailEvidence(guardrail, own.now))
            shown.append(result.GuardrailEffect(**own_fields, state=weighed[-1].state))
        comparison = {
            "arm": self.arm,
            "effect": result.Effect(**fields),
            "guardrails": tuple(shown),
            "cultures": self._compare_cultures(known, alpha),
        }
        return comparison, ArmEvidence(self.arm, found.now, tuple(weighed))

    def _compare_cultures(self, known: ValueModel, alpha: float) -> result.Cultures:
        """Return the primary metric per culture."""
        metric, names = self.events.experiment.primary.metric, self.culture_names
        pair, units = self._pair_units(metric)

        def compare(own: Pair, alpha: float) -> Difference:
            return compare_pair(own, metric, known, alpha=alpha, shape=self._shape, n_looks=1)

        return estimate_culture_effects(
            pair,
            self.events.units.culture[units],
            compare,
            alpha=alpha,
            possible=self.events.experiment.cultures or tuple(names),
            names=names,
        )

    @property
    def _shape(self) -> BlockShape:
        return choose_block_shape(self.events, self.arm)

    def _expect_primary(self) -> ValueModel:
        """Return what the plan says of the primary metric's differences, else the definition.

        A plan of other blocks or another range is one of another experiment.
        """
        plan, experiment = self.plan, self.events.experiment
        primary = experiment.primary
        known = model_differences(primary.metric, primary.smallest_effect, experiment.unit_value)
        if plan is None or plan.shape != self._shape or _range(plan.values) != _range(known):
            return known
        return plan.values

    def _pair_units(self, metric: Metric) -> tuple[Pair, Ints]:
        """Return the settled units of the arm and of control, and which they are."""
        names, sample = self.events.experiment.arm_names, self.samples[metric.name]
        treatment, control = names.index(self.arm), names.index(self.events.experiment.control)
        arms = self.events.units.arm[sample.units]
        rows = (arms == treatment) | (arms == control)
        units = sample.units[rows]
        strata = self.strata.of_unit[units]
        pair = Pair(arms[rows] == treatment, sample.values[rows], sample.at_s[rows], strata)
        return pair, units

    def _compare_metric(
        self, metric: Metric, worth: float, known: ValueModel, *, alpha: float
    ) -> tuple[Difference, dict[str, object]]:
        """Return the difference in a metric, and the fields of its effect."""
        pair, _ = self._pair_units(metric)
        found = compare_pair(pair, metric, known, alpha=alpha, shape=self._shape)
        treatment, control = pair.values[pair.treated], pair.values[~pair.treated]
        return found, {
            "metric": result.Measured.of(metric, worth),
            "alpha": alpha,
            "span": result.Span.of(found.now),
            "p_value": found.p_value,
            "treatment": measure_level(treatment, metric.quantile),
            "control": measure_level(control, metric.quantile),
            "n_treatment": treatment.size,
            "n_control": control.size,
            "n_compared": int(found.sequence.n[-1]) if found.sequence.n.size else 0,
            "history": _list_looks(found),
        }


def _range(values: ValueModel) -> tuple[float, float] | None:
    return (values.low, values.high) if isinstance(values, Bounded) else None


def _list_looks(found: Difference) -> tuple[result.Look, ...]:
    sequence = found.sequence
    columns = (found.at_s, sequence.n, sequence.estimate, sequence.low, sequence.high)
    return tuple(
        result.Look(at_ms=round(at_s * 1000.0), n=n, estimate=estimate, low=low, high=high)
        for at_s, n, estimate, low, high in zip(*(each.tolist() for each in columns), strict=True)
    )
