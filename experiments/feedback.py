"""Take an outcome: check it against the experiment that it is of, keep it, say where it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from experiments.definition import RECORDED_METRICS, Experiment
from experiments.errors import OutcomeInvalid
from experiments.events import Outcome, OutcomeKind, OutcomeReceipt, check_outcome
from experiments.stores.event_store import EventStore


@dataclass(frozen=True, slots=True)
class Taken:
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


class Definitions(Protocol):
    """Where definitions are looked up; `experiments.book.ExperimentBook` is one."""

    @property
    def running(self) -> tuple[Experiment, ...]:
        """The running experiments, without asking the store."""
        ...


class Feedback:
    """Takes outcomes."""

    def __init__(self, store: EventStore, definitions: Definitions) -> None:
        """Take where outcomes are kept, and which experiments run."""
        self._store, self._definitions = store, definitions

    async def take(self, outcome: Outcome) -> Taken:
        """Keep an outcome; when this returns, it is durable.

        One of an answer may have any metric: what the answer's experiment has no metric for is kept
        and not counted, since the sender does not choose the experiment. One of a unit names its
        experiment, and has one of its metrics.

        Raises:
            OutcomeInvalid: the value does not fit the metric, or Milieu records that itself.
            MetricUnknown: the named experiment has no such metric.
            ExperimentUnknown, AnswerUnknown, UnitUnknown: it is an outcome of nothing there is.
            OutcomeConflict, OutcomeTaken, OutcomeLate, StoreUnavailable: see `EventStore`.
        """
        if outcome.metric in RECORDED_METRICS:
            expected = "a name other than those that Milieu records itself"
            raise OutcomeInvalid("metric", found=f"'{outcome.metric}'", expected=expected)
        if outcome.experiment:
            check_outcome(await self._definition(outcome.experiment), outcome)
            receipt = await self._store.add_outcome(outcome)
            return Taken(receipt, outcome.experiment, counts=True)
        # An answer is in one experiment, or outside of all under the empty name.
        names = await self._store.answered_in(outcome.answer_id)
        name = next((name for name in names if name), "")
        notes: tuple[str, ...] = ()
        counts = False
        if name:
            experiment = await self._definition(name)
            carried = [metric.name for metric in experiment.metrics if not metric.is_recorded]
            counts = outcome.metric in carried
            if counts:
                check_outcome(experiment, outcome)
            elif outcome.kind is not OutcomeKind.COMMENT:
                there = ", ".join(carried) or "only what Milieu records itself"
                notes = (
                    f"kept, and counted in no result: experiment '{name}' has no metric "
                    f"'{outcome.metric}'; it has {there}",
                )
        return Taken(await self._store.add_outcome(outcome), name, counts, notes)

    async def _definition(self, name: str) -> Experiment:
        for experiment in self._definitions.running:
            if experiment.name == name:
                return experiment
        # Outcomes come for a while after the stop.
        return (await self._store.revisions(name))[-1].experiment
