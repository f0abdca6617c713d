"""Who was assigned to what: strata of equal weights, the sample ratio, revisions, progress."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import result
from experiments.analysis.differences import choose_looks
from experiments.analysis.reading import Events
from experiments.definition import DAY_S, Experiment, State
from experiments.statistics.differences import BlockShape, fit_block_shape
from experiments.statistics.planning import SamplePlan
from experiments.statistics.sample_ratio import SRM_ALPHA, sample_ratio_log_e
from survey_data.arrays import Ints


@dataclass(frozen=True, slots=True)
class Strata:
    """Spans in which weights did not change.

    Attributes:
        spans: of each, the revision that it begins with, and the weights in the arms' order.
        of_unit: int64[u], the span that each unit was assigned in.
    """

    spans: tuple[tuple[int, tuple[float, ...]], ...]
    of_unit: Ints


def split_into_strata(events: Events) -> Strata:
    """Return the spans of equal weights; the first begins with revision 1."""
    spans: list[tuple[int, tuple[float, ...]]] = []
    for experiment, _ in events.revisions:
        weights = weights_of(experiment)
        if not spans or spans[-1][1] != weights:
            spans.append((experiment.revision, weights))
    firsts = [first for first, _ in spans]
    of_unit = np.searchsorted(firsts, events.units.revision, side="right") - 1
    return Strata(tuple(spans), np.maximum(of_unit, 0).astype(np.int64))


def weights_of(experiment: Experiment) -> tuple[float, ...]:
    """Return the weights of the arms, in their order."""
    return tuple(arm.weight for arm in experiment.arms)


def choose_block_shape(events: Events, arm: str) -> BlockShape:
    """Return the block that suits the weights of an arm and control when the experiment began.

    It stays, whatever the weights become: a shape that followed them would be chosen after looks.
    """
    revisions = (stored.experiment for stored in events.revisions)
    first = next((each for each in revisions if each.state is State.RUNNING), events.experiment)
    return fit_block_shape(first.arm(arm).weight, first.arm(first.control).weight)


def check_sample_ratio(events: Events, strata: Strata) -> result.SampleRatio:
    """Return whether arms got their shares of units, by every unit's first answer.

    Each stratum has counts of its own, and their evidence adds up. An alarm that was raised at any
    look stays: only one experiment in a thousand ever raises a false one.
    """
    units, experiment = events.units, events.experiment
    n_arms = len(experiment.arms)
    counted = np.flatnonzero(units.arm >= 0)
    arms, spans = units.arm[counted], strata.of_unit[counted]
    steps, rows = np.zeros(counted.size), []
    for span, (first, weights) in enumerate(strata.spans):
        of_span = np.flatnonzero(spans == span)
        # A draft's weights that nobody was assigned by say nothing.
        if of_span.size and len(weights) == n_arms:
            counts = np.cumsum(arms[of_span][:, None] == np.arange(n_arms), axis=0)
            steps[of_span] = np.diff(sample_ratio_log_e(counts, weights), prepend=0.0)
            last = tuple(counts[-1].tolist())
            rows.append(result.RatioStratum(first_revision=first, weights=weights, n_units=last))
    log_e, at_s = np.cumsum(steps), units.first_s[counted]
    highest = float(log_e.max(initial=0.0))
    return result.SampleRatio(
        alarm=highest >= -math.log(SRM_ALPHA),
        alpha=SRM_ALPHA,
        p_value=math.exp(-highest),
        strata=tuple(rows),
        history=tuple(
            result.RatioLook(
                at_ms=round(at_s[look] * 1000.0), n_units=look + 1, log_e=float(log_e[look])
            )
            for look in choose_looks(log_e.size).tolist()
        ),
    )


def summarise_revisions(events: Events) -> tuple[result.RevisionFigures, ...]:
    """Return what each revision was, and how many units it assigned."""
    return tuple(
        result.RevisionFigures(
            revision=experiment.revision,
            at_ms=time_ms,
            state=experiment.state,
            weights=weights_of(experiment),
            traffic_share=experiment.traffic_share,
            max_duration_s=experiment.max_duration_s,
            n_units=int((events.units.revision == experiment.revision).sum()),
        )
        for experiment, time_ms in events.revisions
    )


def measure_progress(events: Events, plan: SamplePlan | None) -> result.Progress:
    """Return how long the experiment has run, and how many units it had."""
    times = {state: _first_ms(events, state) for state in State}
    started_ms, ended_ms = times[State.RUNNING], times[State.STOPPED]
    now_ms = round(events.now_s * 1000.0)
    until_ms = now_ms if ended_ms is None else min(ended_ms, now_ms)
    elapsed_s = 0.0 if started_ms is None else max(until_ms - started_ms, 0) / 1000.0
    n_units = events.units.arm.size
    return result.Progress(
        started_ms=started_ms,
        ended_ms=ended_ms,
        elapsed_s=elapsed_s,
        max_duration_s=events.experiment.max_duration_s,
        n_units=n_units,
        n_answers=events.values["failed"].unit.size,
        planned_units=None if plan is None else plan.n_units,
        units_per_day=n_units * DAY_S / elapsed_s if elapsed_s > 0.0 and n_units else None,
    )


def _first_ms(events: Events, state: State) -> int | None:
    times = (stored.time_ms for stored in events.revisions if stored.experiment.state is state)
    return next(times, None)
