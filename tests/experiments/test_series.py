"""What an analysis takes as values, and of what: requests that failed, names, huge numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.analysis.analyse import analyse
from experiments.events import MAX_NUMBER, OutcomeKind
from experiments.metrics import Direction, Guardrail, Metric, MetricKind, PrimaryMetric
from experiments.stores.event_store import EventStore
from tests.experiments.simulated import DAY_MS, Events, exposure_of, sqlite_store, two_arms


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EventStore]:
    """One on SQLite; that both databases say the same is tested with the store."""
    async with await sqlite_store(tmp_path) as opened:
        yield opened


async def test_a_failed_request_counts_its_unit_and_is_no_answer(store: EventStore) -> None:
    experiment, events, start = two_arms(), Events(), DAY_MS
    first = exposure_of(experiment, 1, "icl", start, failed=True, latency_ms=9000.0, steered=False)
    events.add(first)
    # The window is that of the first request, which failed.
    again = replace(first, answer_id="again", time_ms=start + DAY_MS, failed=False, steered=True)
    events.add(replace(again, latency_ms=100.0, n_reply_tokens=7), 1.0)
    events.add(exposure_of(experiment, 2, "icl", start, failed=True))
    late = replace(again, answer_id="late", time_ms=start + 8 * DAY_MS, latency_ms=100.0)
    events.add(replace(late, outcome_until_ms=start + 15 * DAY_MS), 0.0)
    await events.keep(store, (experiment,))

    found = await analyse(store, "ways", now_ms=start + 9 * DAY_MS)

    plain, icl = found.arms
    assert (icl.n_units, icl.n_answers, found.progress.n_answers) == (2, 4, 4)
    assert icl.shares["failed"] == 0.5
    assert icl.shares["steered"] == 1.0
    assert icl.shares["unreadable"] == icl.shares["fell_back"] == 0.0
    assert icl.latency_ms["99"] == 100.0
    assert plain.shares["failed"] is None
    settled = {each.metric: (each.n_settled, each.n_silent) for each in icl.coverage}
    assert settled == {"helpful": (1, 1), "latency_ms": (1, 1), "unreadable": (1, 1)}
    assert found.left_out.n_late == 1


async def test_failing_is_a_metric(store: EventStore) -> None:
    failing = Guardrail(Metric("failed", MetricKind.PROPORTION, Direction.LOWER), 0.05)
    experiment, events = two_arms(guardrails=(failing,)), Events()
    for n in range(8):
        arm = ("plain", "icl")[n % 2]
        failed = n == 3
        events.add(exposure_of(experiment, n, arm, DAY_MS + n, failed=failed))
    await events.keep(store, (experiment,))

    found = await analyse(store, "ways", now_ms=2 * DAY_MS)

    [guardrail] = found.comparisons[0].guardrails
    assert (guardrail.treatment, guardrail.control) == (0.25, 0.0)


@pytest.mark.parametrize("unit_value", ["first", "mean", "sum"])
async def test_the_greatest_numbers_end_in_a_report(store: EventStore, unit_value: str) -> None:
    spent = PrimaryMetric(Metric("spent", MetricKind.MEAN, Direction.HIGHER), 1.0)
    changes = {"primary": spent, "guardrails": (), "outcome_window_s": 1.0}
    experiment, events = two_arms(**changes, unit_value=unit_value), Events()
    for n in range(40):
        exposure = exposure_of(experiment, n // 2, ("plain", "icl")[n // 2 % 2], DAY_MS + n)
        events.add(
            replace(exposure, answer_id=f"a{n}"),
            MAX_NUMBER if n % 3 else -MAX_NUMBER,
            metric="spent",
            kind=OutcomeKind.NUMBER,
            time_ms=DAY_MS + n + 10,
        )
    await events.keep(store, (experiment,))

    found = await analyse(store, "ways", now_ms=2 * DAY_MS)

    assert found.comparisons[0].effect.n_compared == 10
    assert found.model_dump_json()
