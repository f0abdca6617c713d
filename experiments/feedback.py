"""Take an outcome: check it against the experiment that it is of, keep it, say where it counts."""

from __future__ import annotations

from typing import NamedTuple

from experiments.definition import Experiment
from experiments.errors import OutcomeInvalid
from experiments.events import Outcome, OutcomeKind, OutcomeReceipt, check_outcome
from experiments.metrics import RECORDED_METRICS
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from experiments.stores.scripts import AnsweredIn


class KeptOutcome(NamedTuple):
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


async def take_outcome(
    store: EventStore, registry: ExperimentRegistry, outcome: Outcome
) -> KeptOutcome:
    """Keep an outcome; when this returns, it is durable.

    One of an answer may have any metric: what the answer's experiment has no metric for is kept and
    not counted, since the sender does not choose the experiment. One of a unit names its
    experiment, and has one of its metrics.

    Raises:
        OutcomeInvalid: the value does not fit the metric, or Milieu records that itself.
        MetricUnknown: the named experiment has no such metric.
        ExperimentUnknown, AnswerUnknown, UnitUnknown: what it is an outcome of does not exist.
        OutcomeConflict, OutcomeTaken, OutcomeLate, StoreUnavailable: see `EventStore`.
    """

    async def read(name: str) -> Experiment:
        running = (each for each in registry.running if each.name == name)
        # Outcomes come for a while after the stop.
        return next(running, None) or await store.read_latest(name)

    if outcome.metric in RECORDED_METRICS:
        expected = "a name other than those that Milieu records itself"
        raise OutcomeInvalid("metric", found=f"'{outcome.metric}'", expected=expected)
    await store.await_exposures(outcome)
    if outcome.experiment:
        check_outcome(await read(outcome.experiment), outcome)
        return KeptOutcome(await store.add_outcome(outcome), outcome.experiment, counts=True)
    # An answer is in one experiment, or outside of all under the empty name.
    places = await store.find_experiments(outcome.answer_id)
    place = next((place for place in places if place.experiment), None)
    name, why_not = "", "the answer was given outside of experiments"
    if place is not None:
        name, why_not = place.experiment, _why_not(await read(place.experiment), outcome, place)
    receipt = await store.add_outcome(outcome)
    notes = (f"kept, and counted in no result: {why_not}",) if why_not else ()
    return KeptOutcome(receipt, name, not why_not, notes)


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
