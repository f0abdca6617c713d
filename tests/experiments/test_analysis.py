"""What an analysis finds in a real store, against what numpy finds in the same events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from estimation.source import Source
from experiments.analysis.analyse import analyse
from experiments.analysis.result import Analysis, OfflineAlignment, SourceCount
from experiments.definition import State, change_state
from experiments.errors import ExperimentUnknown
from experiments.events import OutcomeKind
from experiments.metrics import Direction, Metric, MetricKind, PrimaryMetric
from experiments.statistics.decision import GuardrailState, Verdict
from experiments.statistics.differences import bound_difference
from experiments.statistics.means import confidence_sequence
from experiments.statistics.sample_ratio import sample_ratio_log_e
from experiments.stores.event_store import EventStore
from experiments.unit import UnitKind
from tests.experiments.events import an_outcome
from tests.experiments.simulated import (
    CULTURES,
    DAY_MS,
    Events,
    drawn,
    exposure_of,
    running,
    sqlite_store,
    two_arms,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EventStore]:
    """One on SQLite; that both databases say the same is tested with the store."""
    async with await sqlite_store(tmp_path) as opened:
        yield opened


async def started(store: EventStore, **changes: object) -> int:
    """The start of an experiment of two arms, in milliseconds."""
    await store.save(two_arms(**changes))
    return (await store.revisions("ways"))[0].time_ms


async def test_effect_is_the_mean_difference_of_pairs_by_hand(store: EventStore) -> None:
    start = await started(store, guardrails=())
    events = drawn(two_arms(), 400, start_ms=start, days=3, rates={"plain": 0.4, "icl": 0.7})
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + 4 * DAY_MS)

    arm_of = {exposure.answer_id: exposure.arm for exposure in events.exposures}
    in_order = sorted(events.outcomes, key=lambda outcome: outcome.time_ms)
    by_arm = {
        arm: np.array([o.number for o in in_order if arm_of[o.answer_id] == arm])
        for arm in ("plain", "icl")
    }
    n = min(map(len, by_arm.values()))
    differences = by_arm["icl"][:n] - by_arm["plain"][:n]
    effect = found.comparisons[0].effect
    assert effect.n_compared == n
    assert effect.span.estimate == pytest.approx(differences.mean())
    assert effect.treatment == pytest.approx(by_arm["icl"].mean())
    assert effect.control == pytest.approx(by_arm["plain"].mean())
    # 2.8 standard errors of 0.4 make 0.03: (2.8 * 0.4 / 0.03)² = 1393.8 differences.
    known = bound_difference(0.0, 1.0, expected_n=(2.8 * 0.4 / 0.03) ** 2)
    history = known.history(differences)
    expected = confidence_sequence(history, known, alpha=0.05)
    assert effect.span.low == pytest.approx(expected.low[-1])
    assert effect.span.high == pytest.approx(expected.high[-1])
    look = effect.history[len(effect.history) // 2]
    assert look.estimate == pytest.approx(differences[: look.n].mean())
    assert look.low == pytest.approx(expected.low[look.n - 1])


async def test_history_is_thinned_in_order_and_ends_now(store: EventStore) -> None:
    start = await started(store)
    events = drawn(two_arms(), 900, start_ms=start, days=5, rates={"plain": 0.5, "icl": 0.5})
    await events.keep(store, ())
    effect = (await analyse(store, "ways", now_ms=start + 5 * DAY_MS)).comparisons[0].effect
    assert len(effect.history) == 200
    assert [look.at_ms for look in effect.history] == sorted(look.at_ms for look in effect.history)
    assert effect.history[-1].n == effect.n_compared
    assert effect.history[-1].estimate == effect.span.estimate


async def test_events_after_the_moment_are_not_seen(store: EventStore) -> None:
    start = await started(store)
    events = drawn(two_arms(), 200, start_ms=start, days=4, rates={"plain": 0.5, "icl": 0.5})
    await events.keep(store, ())
    until = start + 2 * DAY_MS
    found = await analyse(store, "ways", now_ms=until)
    assert found.progress.n_answers == sum(e.time_ms <= until for e in events.exposures)
    settled = sum(c.n_settled for arm in found.arms for c in arm.coverage if c.metric == "helpful")
    assert settled == sum(o.time_ms <= until for o in events.outcomes)


async def test_arms_are_described_over_their_answers(store: EventStore) -> None:
    start = await started(store)
    events = drawn(two_arms(), 300, start_ms=start, days=1, rates={"plain": 0.5, "icl": 0.5})
    await events.keep(store, ())
    offline = {"icl": OfflineAlignment(estimate=0.7, low=0.6, high=0.8, source="run 1")}
    found = await analyse(store, "ways", now_ms=start + DAY_MS, offline=offline)
    icl = found.arms[1]
    own = [exposure for exposure in events.exposures if exposure.arm == "icl"]
    latency = sorted(exposure.latency_ms for exposure in own)
    assert icl.n_answers == icl.n_units == len(own)
    # The least value that at least 90 % do not exceed.
    assert icl.latency_ms["90"] == latency[-(-9 * len(own) // 10) - 1]
    assert icl.shares["unreadable"] == pytest.approx(np.mean([not e.readable for e in own]))
    assert icl.shares["fell_back"] == pytest.approx(np.mean([bool(e.fallbacks) for e in own]))
    assert icl.shares["steered"] == 1.0
    assert icl.shares["refused"] is None
    assert icl.means["n_reply_tokens"] == pytest.approx(np.mean([e.n_reply_tokens for e in own]))
    assert icl.offline == offline["icl"]
    assert found.arms[0].offline is None


async def test_answers_are_counted_by_what_they_stand_on(store: EventStore) -> None:
    start = await started(store)
    experiment, events = two_arms(), Events()
    by_model = {"source": Source.MODEL, "model_asked": True}
    own = {"source": Source.SURVEY, "best_source": Source.SURVEY, "model_asked": False}
    for n, known in enumerate(
        (
            by_model | {"best_source": Source.SURVEY},
            by_model | {"best_source": Source.MODEL},
            own,
            own | {"failed": True},
            own | {"overridden": True},
            # As it was recorded before there was a column for it.
            {},
        )
    ):
        events.add(exposure_of(experiment, n, "icl", start + n, **known))
    events.add(exposure_of(experiment, 9, "plain", start))
    await events.keep(store, ())

    found = await analyse(store, "ways", now_ms=start + DAY_MS)

    plain, icl = found.arms
    assert icl.sources == (
        SourceCount(source=Source.SURVEY, n_answers=1, n_best=2),
        SourceCount(source=Source.MODEL, n_answers=2, n_best=1),
    )
    assert (icl.n_model_asked, icl.n_answers) == (2, 5)
    assert (plain.sources, plain.n_model_asked) == ((), 0)


async def test_open_and_silent_units_are_told_apart(store: EventStore) -> None:
    start = await started(store, outcome_window_s=86_400.0)
    experiment, events = two_arms(outcome_window_s=86_400.0), Events()
    events.add(exposure_of(experiment, 1, "icl", start))
    events.add(exposure_of(experiment, 2, "icl", start + DAY_MS))
    events.add(exposure_of(experiment, 3, "icl", start), 1.0, time_ms=start + 5)
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS + 10)
    [coverage] = [c for c in found.arms[1].coverage if c.metric == "helpful"]
    assert (coverage.n_settled, coverage.n_open, coverage.n_silent) == (1, 1, 1)


async def test_analysis_is_by_intention_to_treat(store: EventStore) -> None:
    start = await started(store)
    experiment, events = two_arms(), Events()
    events.add(exposure_of(experiment, 1, "icl", start, fallbacks=("no evidence",)), 1.0)
    # The same unit was answered by another arm later: the store was silent.
    crossed = exposure_of(experiment, 1, "plain", start + 5, settled=False)
    events.add(replace(crossed, answer_id="later"))
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    plain, icl = found.arms
    assert (plain.n_units, plain.n_answers) == (0, 0)
    assert (icl.n_units, icl.n_answers, icl.n_crossed) == (1, 2, 1)
    assert icl.shares["fell_back"] == 0.5


async def test_what_is_left_out_is_counted(store: EventStore) -> None:
    start = await started(store, outcome_window_s=10.0)
    experiment, events = two_arms(outcome_window_s=10.0), Events()
    request = exposure_of(experiment, 1, "icl", start, unit_kind=UnitKind.REQUEST, culture="")
    events.add(request, 1.0)
    events.add(exposure_of(experiment, 2, "icl", start, overridden=True), 1.0)
    events.add(exposure_of(experiment, 3, "plain", start))
    # Of a later answer of the same unit, in its own window, but not in the unit's.
    late = replace(exposure_of(experiment, 3, "plain", start + 9500), answer_id="late")
    events.add(late, 1.0)
    of_request = {"answer_id": "", "experiment": "ways", "unit": request.unit, "key": "own"}
    await events.keep(store, ())
    await store.add_outcome(an_outcome(**of_request, time_ms=start + 10))
    left = (await analyse(store, "ways", now_ms=start + DAY_MS)).left_out
    assert left.n_overridden == 1
    assert left.n_request_outcomes == 1
    assert left.n_late == 1
    assert left.n_without_culture == 1


async def test_outcomes_of_units_themselves_count(store: EventStore) -> None:
    start = await started(store)
    experiment, events = two_arms(), Events()
    events.add(exposure_of(experiment, 1, "icl", start))
    await events.keep(store, ())
    unit = events.exposures[0].unit
    own = {"answer_id": "", "experiment": "ways", "unit": unit, "key": "own"}
    await store.add_outcome(an_outcome(**own, time_ms=start + 10))
    effect = (await analyse(store, "ways", now_ms=start + 20)).comparisons[0].effect
    assert (effect.n_treatment, effect.treatment) == (1, 1.0)


@pytest.mark.parametrize(("unit_value", "expected"), [("first", 2.0), ("mean", 3.0), ("sum", 6.0)])
async def test_a_unit_counts_with_its_chosen_value(
    store: EventStore, unit_value: str, expected: float
) -> None:
    metric = Metric("amount", MetricKind.MEAN, Direction.HIGHER)
    changes = {"primary": PrimaryMetric(metric, 1.0), "outcome_window_s": 60.0} | {
        "unit_value": unit_value
    }
    start = await started(store, **changes)
    experiment, events = two_arms(**changes), Events()
    given = {"metric": "amount", "kind": OutcomeKind.NUMBER}
    events.add(exposure_of(experiment, 1, "icl", start), 2.0, **given)
    later = replace(exposure_of(experiment, 1, "icl", start + 2000), answer_id="later")
    events.add(later, 4.0, **given)
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.comparisons[0].effect.treatment == expected


async def test_values_beyond_the_promised_range_are_clipped(store: EventStore) -> None:
    metric = Metric("latency_ms", MetricKind.MEAN, Direction.LOWER, lowest=0.0, highest=500.0)
    changes = {"primary": PrimaryMetric(metric, 10.0), "guardrails": ()}
    start = await started(store, **changes)
    events = Events()
    for n, latency_ms in enumerate((400.0, 900.0)):
        events.add(exposure_of(two_arms(**changes), n, "icl", start + n, latency_ms=latency_ms))
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.comparisons[0].effect.treatment == 450.0
    assert found.left_out.n_clipped == 1


async def test_weights_that_changed_are_counted_apart(store: EventStore) -> None:
    first = two_arms()
    second = running(first, arms=two_arms(weights=(0.2, 0.8)).arms)
    await store.save(first)
    await store.save(second)
    start = (await store.revisions("ways"))[0].time_ms
    events = Events()
    for n in range(400):
        revision = first if n < 200 else second
        arm = "icl" if n % 5 < (2 if n < 200 else 4) else "plain"
        events.add(exposure_of(revision, n, arm, start + n), float(arm == "icl"))
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    ratio = found.sample_ratio
    assert [stratum.n_units for stratum in ratio.strata] == [(120, 80), (40, 160)]
    expected = sum(
        float(sample_ratio_log_e(stratum.n_units, stratum.weights)[0]) for stratum in ratio.strata
    )
    assert ratio.history[-1].log_e == pytest.approx(expected)
    assert not ratio.alarm
    # 80 pairs in the first stratum and 40 in the second; of one stratum there would be 160.
    assert found.comparisons[0].effect.n_compared == 120
    assert [revision.n_units for revision in found.revisions] == [200, 200]


async def test_cultures_are_found_at_their_part_of_the_error_rate(store: EventStore) -> None:
    start = await started(store, guardrails=())
    events = Events()
    for n in range(800):
        arm, culture = ("icl", "plain")[n % 2], CULTURES[(n // 2) % 2]
        helped = culture == "BRA" and arm == "icl"
        events.add(
            exposure_of(two_arms(), n, arm, start + n * 1000, culture=culture), float(helped)
        )
    await events.keep(store, ())
    names = {code: code.title() for code in CULTURES}
    found = await analyse(store, "ways", now_ms=start + DAY_MS, cultures=names)
    cultures = found.comparisons[0].cultures
    brazil, germany = cultures.effects
    assert (brazil.name, germany.name) == ("Bra", "Deu")
    assert (brazil.found, germany.found) == (True, False)
    assert brazil.raw.estimate == 1.0
    assert cultures.n_possible == len(CULTURES)
    known = bound_difference(0.0, 1.0, expected_n=(2.8 * 0.4 / 0.03) ** 2)
    history = known.history(np.ones(200))
    expected = confidence_sequence(history, known, alpha=0.05 / len(CULTURES))
    assert brazil.raw.low == pytest.approx(expected.low[-1])


@pytest.mark.parametrize(
    ("latency_ms", "state", "verdict"),
    [(400.0, GuardrailState.SAFE, Verdict.SHIP), (1500.0, GuardrailState.VIOLATED, Verdict.STOP)],
)
async def test_a_guardrail_decides_over_a_winner(
    store: EventStore, latency_ms: float, state: GuardrailState, verdict: Verdict
) -> None:
    start = await started(store)
    events = drawn(
        two_arms(),
        1200,
        start_ms=start,
        days=3,
        rates={"plain": 0.2, "icl": 0.8},
        latency_ms={"icl": latency_ms},
    )
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + 3 * DAY_MS)
    assert found.comparisons[0].guardrails[0].state is state
    assert found.decision.verdict is verdict
    said = "Ship icl" if verdict is Verdict.SHIP else "guardrail latency_ms is worse than control"
    assert said in found.decision.reason


async def test_a_quantile_has_a_p_value_that_agrees_with_its_interval(store: EventStore) -> None:
    metric = Metric("latency_ms", MetricKind.QUANTILE, Direction.LOWER, quantile=0.5)
    changes = {"primary": PrimaryMetric(metric, 50.0), "guardrails": ()}
    start = await started(store, **changes)
    slow = {"plain": 900.0, "icl": 400.0}
    rates = {"plain": 0.5, "icl": 0.5}
    events = drawn(two_arms(**changes), 400, start_ms=start, days=1, rates=rates, latency_ms=slow)
    events.outcomes.clear()
    await events.keep(store, ())
    effect = (await analyse(store, "ways", now_ms=start + DAY_MS)).comparisons[0].effect
    assert effect.span.high is not None
    assert effect.span.high < 0.0
    assert effect.p_value < 1e-6
    own = sorted(e.latency_ms for e in events.exposures if e.arm == "icl")
    assert effect.treatment == own[-(-len(own) // 2) - 1]


async def test_units_beside_the_weights_raise_the_alarm(store: EventStore) -> None:
    start = await started(store, guardrails=())
    events = drawn(
        two_arms(),
        1500,
        start_ms=start,
        days=1,
        rates={"plain": 0.5, "icl": 0.5},
        shares=(0.4, 0.6),
    )
    events.outcomes.clear()
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.sample_ratio.alarm
    assert found.sample_ratio.p_value < 0.001
    assert found.decision.verdict is Verdict.STOP
    assert "are not split between the arms according to their weights" in found.decision.reason


async def test_an_experiment_without_events_has_nothing_to_say(store: EventStore) -> None:
    start = await started(store)
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    effect = found.comparisons[0].effect
    assert found.decision.verdict is Verdict.CONTINUE
    assert "too few units to say" in found.decision.reason
    assert (effect.span.estimate, effect.p_value, effect.history) == (None, 1.0, ())
    assert found.comparisons[0].cultures.effects == ()
    assert not found.sample_ratio.alarm
    assert found.progress.units_per_day is None


@pytest.mark.parametrize("arm", ["plain", "icl"])
async def test_an_arm_without_units_is_compared_with_nobody(store: EventStore, arm: str) -> None:
    start = await started(store)
    events = Events()
    for n in range(5):
        events.add(exposure_of(two_arms(), n, arm, start + n), 1.0)
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.comparisons[0].effect.span.estimate is None
    assert found.comparisons[0].cultures.effects[0].raw.estimate is None
    assert found.decision.verdict is Verdict.CONTINUE


async def test_a_metric_without_outcomes_leaves_units_open(store: EventStore) -> None:
    start = await started(store)
    events = drawn(two_arms(), 50, start_ms=start, days=1, rates={"plain": 0.5, "icl": 0.5})
    events.outcomes.clear()
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert sum(arm.coverage[0].n_open for arm in found.arms) == 50
    assert found.comparisons[0].effect.treatment is None


async def test_a_draft_is_to_be_started(store: EventStore) -> None:
    start = await started(store, state=State.DRAFT)
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert "is a draft" in found.decision.reason
    assert found.progress.started_ms is None


async def test_what_was_stopped_without_a_winner_does_not_go_on(store: EventStore) -> None:
    start = await started(store)
    await store.save(change_state(two_arms(), State.STOPPED))
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.decision.verdict is Verdict.STOP
    assert found.decision.reason.startswith("Stop: the experiment was stopped without a winner.")
    assert found.progress.elapsed_s < 60.0


async def test_the_longest_duration_ends_an_experiment(store: EventStore) -> None:
    start = await started(store, max_duration_s=86_400.0)
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert found.decision.verdict is Verdict.STOP
    assert "planned duration is over" in found.decision.reason


async def test_an_analysis_is_the_same_after_json(store: EventStore) -> None:
    start = await started(store)
    events = drawn(two_arms(), 120, start_ms=start, days=1, rates={"plain": 0.5, "icl": 0.5})
    await events.keep(store, ())
    found = await analyse(store, "ways", now_ms=start + DAY_MS)
    assert Analysis.model_validate_json(found.model_dump_json()) == found
    assert '"schema_version":1' in found.model_dump_json()


async def test_an_unknown_experiment_is_refused(store: EventStore) -> None:
    with pytest.raises(ExperimentUnknown):
        await analyse(store, "nothing", now_ms=0)
