"""Analyse an experiment: everything its events say, at any moment and as often as one likes.

Arms are compared as they were assigned, by intention to treat: a unit whose answers fell back to
another method counts in its arm. Each unit counts once. The guarantees hold over all looks
together: ranges, window, weights and error rate come from the definition, which a running
experiment cannot change.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from experiments.analysis import result
from experiments.analysis.arms import measure_arms
from experiments.analysis.comparisons import Comparer
from experiments.analysis.reading import Events, read_events
from experiments.analysis.samples import UnitSample, take_sample
from experiments.analysis.strata import (
    check_sample_ratio,
    measure_progress,
    split_into_strata,
    summarise_revisions,
)
from experiments.definition import Experiment, State
from experiments.statistics.decision import ArmEvidence, Decision, Verdict, decide
from experiments.statistics.planning import SamplePlan
from experiments.stores.event_store import EventStore


async def analyse(
    store: EventStore,
    experiment: str,
    *,
    now_ms: int,
    cultures: Mapping[str, str] | None = None,
    plan: SamplePlan | None = None,
    offline: Mapping[str, result.OfflineAlignment] | None = None,
) -> result.Analysis:
    """Return what the events of an experiment say at `now_ms`, in milliseconds since 1970 (UTC).

    The store is read in batches and the computation runs in a thread. `cultures` are the names of
    all that may come, by alpha-3 code; without any, all there are. `plan` was made before the
    start. `offline` is how near each arm comes to people's answers, measured offline.

    Raises:
        ExperimentUnknown: there is no experiment of that name.
        StoreUnavailable: the store does not answer.
    """
    events = await read_events(store, experiment, now_ms=now_ms)
    return await asyncio.to_thread(_analyse_events, events, cultures or {}, plan, offline or {})


def _analyse_events(
    events: Events,
    cultures: Mapping[str, str],
    plan: SamplePlan | None,
    offline: Mapping[str, result.OfflineAlignment],
) -> result.Analysis:
    experiment, strata = events.experiment, split_into_strata(events)
    samples = {metric.name: take_sample(events, metric) for metric in experiment.metrics}
    ratio, progress = check_sample_ratio(events, strata), measure_progress(events, plan)
    compared = [
        Comparer(arm, events, strata, samples, cultures, plan).compare()
        for arm in experiment.arm_names
        if arm != experiment.control
    ]
    decision = _draw_conclusion(experiment, [each for _, each in compared], ratio, progress)
    return result.Analysis(
        experiment=experiment.name,
        hypothesis=experiment.hypothesis,
        state=experiment.state,
        revision=experiment.revision,
        at_ms=round(events.now_s * 1000.0),
        control=experiment.control,
        primary=result.Measured.of(experiment.primary.metric, experiment.primary.smallest_effect),
        alpha=experiment.alpha,
        unit_value=experiment.unit_value,
        outcome_window_s=experiment.outcome_window_s,
        recorded_decision=experiment.decision,
        decision=_conclude(decision),
        progress=progress,
        comparisons=tuple(
            result.Comparison(said=said, **fields)
            for (fields, _), (_, said) in zip(compared, decision.by_arm, strict=True)
        ),
        arms=measure_arms(events, samples, offline),
        sample_ratio=ratio,
        revisions=summarise_revisions(events),
        left_out=_count_left_out(events, samples),
        n_by_model=dict(events.n_by_model),
    )


def _conclude(decision: Decision) -> result.Conclusion:
    return result.Conclusion(verdict=decision.verdict, arm=decision.arm, reason=decision.reason)


def _draw_conclusion(
    experiment: Experiment,
    arms: Sequence[ArmEvidence],
    ratio: result.SampleRatio,
    progress: result.Progress,
) -> Decision:
    """Return what to do. A draft should be started, and what was stopped cannot go on."""
    decision = decide(
        arms,
        experiment.primary,
        # An alarm stays, even if later units happen to even out the counts.
        sample_ratio_log_e=math.inf if ratio.alarm else 0.0,
        duration_over=progress.elapsed_s >= progress.max_duration_s,
    )
    if experiment.state is State.DRAFT:
        reason = "Continue: the experiment is a draft. Start it to learn something."
        return Decision(Verdict.CONTINUE, None, reason, decision.by_arm)
    if experiment.state is not State.RUNNING and decision.verdict is Verdict.CONTINUE:
        sentences = " ".join(text for _, text in decision.by_arm)
        reason = f"Stop: the experiment was stopped without a winner. {sentences}"
        return Decision(Verdict.STOP, None, reason, decision.by_arm)
    return decision


def _count_left_out(events: Events, samples: Mapping[str, UnitSample]) -> result.LeftOut:
    units, primary = events.units, events.experiment.primary.metric.name
    return result.LeftOut(
        n_overridden=events.n_overridden,
        n_request_outcomes=sum(each.n_request_outcomes for each in events.values.values()),
        n_late=samples[primary].n_late,
        n_clipped=sum(sample.n_clipped for sample in samples.values()),
        n_without_culture=int((units.culture == "").sum()),
        n_other_arm=int((units.arm < 0).sum()),
    )
