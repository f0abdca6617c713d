"""A made-up experiment and its events, drawn with a seed, for tests of analysis and report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.definition import DAY_S, Experiment, State
from experiments.events import Exposure, Outcome
from experiments.metrics import Direction, Guardrail, Metric, MetricKind, PrimaryMetric
from experiments.stores.event_store import EventStore, open_sqlite
from experiments.stores.group_commit import StoreLimits
from tests.experiments.events import an_experiment, an_exposure, an_outcome

DAY_MS = 86_400_000
CULTURES = ("BRA", "DEU", "IND", "JPN", "NGA", "USA")
HELPFUL = PrimaryMetric(Metric("helpful", MetricKind.PROPORTION, Direction.HIGHER), 0.03)
SLOW = Guardrail(Metric("latency_ms", MetricKind.QUANTILE, Direction.LOWER, quantile=0.9), 300.0)
UNREADABLE = Guardrail(Metric("unreadable", MetricKind.PROPORTION, Direction.LOWER), 0.05)
LIMITS = StoreLimits(wait_s=60.0, statement_s=60.0)


def two_arms(**changes: Any) -> Experiment:
    """`plain` against `icl`, half and half, unless said otherwise."""
    plain, icl = an_experiment().arms[:2]
    weights = changes.pop("weights", (0.5, 0.5))
    arms = (replace(plain, weight=weights[0]), replace(icl, weight=weights[1]))
    fields = {"arms": arms, "primary": HELPFUL, "guardrails": (SLOW, UNREADABLE)} | changes
    return an_experiment(**fields)


@dataclass
class Events:
    """Exposures and outcomes, and how to keep them."""

    exposures: list[Exposure] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, exposure: Exposure, number: float | None = None, **outcome: Any) -> None:
        """An answer and, with a number, its outcome a second later."""
        self.exposures.append(exposure)
        if number is not None:
            given = {"time_ms": exposure.time_ms + 1000, "number": number} | outcome
            self.outcomes.append(an_outcome(exposure.answer_id, **given))

    async def keep(self, store: EventStore, revisions: Sequence[Experiment]) -> None:
        """Keep everything through the store, as the service does."""
        for revision in revisions:
            await store.save(revision)
        for start in range(0, len(self.exposures), 2000):
            batch = self.exposures[start : start + 2000]
            await asyncio.gather(*map(store.record, batch))
        for outcome in self.outcomes:
            await store.add_outcome(outcome)


def exposure_of(experiment: Experiment, n: int, arm: str, at_ms: int, **changes: Any) -> Exposure:
    """The one answer of unit `n`."""
    fields = {
        "experiment": experiment.name,
        "revision": experiment.revision,
        "arm": arm,
        "unit": f"{n:064x}",
        "time_ms": at_ms,
        "outcome_until_ms": at_ms + round(experiment.outcome_window_s * 1000),
        "method": arm,
    }
    return an_exposure(f"a{n}", **(fields | changes))


def drawn(
    experiment: Experiment,
    n_units: int,
    *,
    start_ms: int,
    days: float,
    rates: Mapping[str, float],
    latency_ms: Mapping[str, float] | None = None,
    shares: Sequence[float] = (),
    tilt: float = 0.0,
    seed: int = 0,
) -> Events:
    """One answer of each unit, most with an outcome; `tilt` spreads the effect over cultures."""
    rng = np.random.default_rng(seed)
    events, names = Events(), experiment.arm_names
    chances = list(shares) or [arm.weight for arm in experiment.arms]
    at_ms = start_ms + np.sort(rng.uniform(0, days * DAY_S * 1000, n_units)).astype(int)
    for n in range(n_units):
        arm = names[int(rng.choice(len(names), p=chances))]
        place = int(rng.integers(len(CULTURES)))
        rate = rates[arm] + (tilt * (place - 2.5) if arm != experiment.control else 0.0)
        speed = (latency_ms or {}).get(arm, 400.0)
        exposure = exposure_of(
            experiment,
            n,
            arm,
            int(at_ms[n]),
            culture=CULTURES[place],
            latency_ms=float(rng.lognormal(np.log(speed), 0.4)),
            n_prompt_tokens=int(rng.integers(20, 200)),
            n_reply_tokens=int(rng.integers(1, 60)),
            readable=bool(rng.random() > 0.02),
            fallbacks=("no adapter",) if rng.random() < 0.03 else (),
            steered=arm != experiment.control,
        )
        helped = float(rng.random() < rate)
        events.add(exposure, helped if rng.random() < 0.8 else None)
    return events


async def sqlite_store(folder: Path) -> EventStore:
    """A store in a file of its own, which does not wait for the disk."""
    return await open_sqlite(folder / "events.db", limits=LIMITS)


def running(experiment: Experiment, **changes: Any) -> Experiment:
    """The next revision, still running."""
    return replace(experiment, revision=experiment.revision + 1, state=State.RUNNING, **changes)
