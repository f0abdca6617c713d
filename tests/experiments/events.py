"""Exposures, outcomes and experiments that tests change a little."""

from __future__ import annotations

from typing import Any

from experiments.definition import Experiment, State, draft_four_arms
from experiments.events import AnswerText, Claim, Exposure, Outcome, OutcomeKind
from experiments.metrics import Direction, Guardrail, Metric, MetricKind, PrimaryMetric
from experiments.unit import UnitKind

WINDOW_MS = 10_000
PRIMARY = PrimaryMetric(Metric("helpful", MetricKind.PROPORTION, Direction.HIGHER), 0.03)
LATENCY = Guardrail(Metric("latency_ms", MetricKind.QUANTILE, Direction.LOWER, quantile=0.9), 50.0)


def an_experiment(**changes: Any) -> Experiment:
    """Four arms, running unless said otherwise."""
    fields = {"state": State.RUNNING, "guardrails": (LATENCY,)} | changes
    base = draft_four_arms(fields.pop("name", "ways"), PRIMARY)
    given = {name: getattr(base, name) for name in ("hypothesis", "primary", "arms", "control")}
    return Experiment(name=base.name, **(given | fields))


def an_exposure(answer_id: str = "a1", **changes: Any) -> Exposure:
    fields: dict[str, Any] = {
        "answer_id": answer_id,
        "experiment": "ways",
        "revision": 1,
        "arm": "icl",
        "arm_id": "0123456789",
        "unit": "u1",
        "unit_kind": UnitKind.USER,
        "culture": "DEU",
        "time_ms": 1000,
        "method": "icl",
        "model": "mini",
        "steered": True,
    }
    fields |= changes
    fields.setdefault("outcome_until_ms", fields["time_ms"] + WINDOW_MS)
    return Exposure(**fields)


def an_outcome(answer_id: str = "a1", **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "answer_id": answer_id,
        "metric": "helpful",
        "kind": OutcomeKind.BOOLEAN,
        "number": 1.0,
        "key": f"key-of-{answer_id}",
        "time_ms": 2000,
    }
    return Outcome(**(fields | changes))


def a_claim(unit: str = "u1", arm: str = "icl", **changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "experiment": "ways",
        "unit_kind": UnitKind.USER,
        "revision": 1,
        "time_ms": 1000,
    }
    return Claim(**({"unit": unit, "arm": arm} | fields | changes))


def a_text(answer_id: str = "a1", **changes: Any) -> AnswerText:
    fields: dict[str, Any] = {
        "unit": "u1",
        "culture": "DEU",
        "time_ms": 1000,
        "consented": True,
        "request": '{"question": "Warum?\x00"}',
        "answer": "Darum \ud83d ä '\"\x00",
    }
    return AnswerText(answer_id=answer_id, **(fields | changes))
