"""Take an outcome: check it against the experiment that it is of, keep it, say where it counts."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.definition import Experiment
from experiments.errors import OutcomeInvalid
from experiments.events import Outcome, OutcomeKind, OutcomeReceipt, check_outcome
from experiments.metrics import RECORDED_METRICS
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from experiments.stores.scripts import AnsweredIn


@dataclass(frozen=True, slots=True)
class KeptOutcome:
    """An outcome that is kept.

    Attributes:
        experiment: the one that its answer or unit is in, empty for none.
        counts: whether it is of one of that experiment's metrics.
        notes: what its sender should know.
    """

    receipt: OutcomeReceipt
    experiment: str
    counts: bool
    notes: tuple[str, ...] = ()


class Feedback:
    """Takes outcomes."""

    def __init__(self, store: EventStore, registry: ExperimentRegistry) -> None:
        """Take where outcomes are kept, and which experiments run."""
        self._store, self._registry = store, registry

    async def take(self, outcome: Outcome) -> KeptOutcome:
        """Keep an outcome; when this returns, it is durable.

        One of an answer may have any metric: what the answer's experiment has no metric for is kept
        and not counted, since the sender does not choose the experiment. One of a unit names its
        experiment, and has one of its metrics.

        Raises:
            OutcomeInvalid: the value does not fit the metric, or Milieu records that itself.
            MetricUnknown: the named experiment has no such metric.
            ExperimentUnknown, AnswerUnknown, UnitUnknown: what it is an outcome of does not exist.
            OutcomeConflict, OutcomeTaken, OutcomeLate, StoreUnavailable: see `EventStore`.
        """
        if outcome.metric in RECORDED_METRICS:
            expected = "a name other than those that Milieu records itself"
            raise OutcomeInvalid("metric", found=f"'{outcome.metric}'", expected=expected)
        if outcome.experiment:
            check_outcome(await self._definition(outcome.experiment), outcome)
            receipt = await self._store.add_outcome(outcome)
            return KeptOutcome(receipt, outcome.experiment, counts=True)
        # An answer is in one experiment, or outside of all under the empty name.
        places = await self._store.find_experiments(outcome.answer_id)
        place = next((place for place in places if place.experiment), None)
        why_not = "the answer was given outside of experiments"
        if place is not None:
            experiment = await self._definition(place.experiment)
            why_not = _why_not(experiment, outcome, place)
        receipt = await self._store.add_outcome(outcome)
        notes = (f"kept, and counted in no result: {why_not}",) if why_not else ()
        name = "" if place is None else place.experiment
        return KeptOutcome(receipt, name, not why_not, notes)

    async def _definition(self, name: str) -> Experiment:
        for experiment in self._registry.running:
            if experiment.name == name:
                return experiment
        # Outcomes come for a while after the stop.
        return await self._store.read_latest(name)


def _why_not(experiment: Experiment, outcome: Outcome, place: AnsweredIn) -> str:
    """Return why an outcome counts in no result of its answer's experiment, empty if it does.

    Raises:
        OutcomeInvalid: the value does not fit the metric.
    """
    carried = [metric.name for metric in experiment.sent_metrics]
    if outcome.metric not in carried:
        if outcome.kind is OutcomeKind.COMMENT:
            return "a comment is for reading"
        there = ", ".join(carried) or "only what Milieu records itself"
        return f"experiment '{experiment.name}' has no metric '{outcome.metric}'; it has {there}"
    check_outcome(experiment, outcome)
    if place.overridden:
        return "a tester chose the arm of the answer"
    if outcome.time_ms > place.unit_since_ms + experiment.outcome_window_s * 1000.0:
        return "the user's window, from the first answer in the experiment on, is over"
    return ""
