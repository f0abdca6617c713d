"""Outcomes are checked where they are made, and against the metric that they are of."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from experiments.errors import MetricUnknown, OutcomeInvalid
from experiments.events import Exposure, OutcomeKind, check_outcome
from experiments.metrics import RECORDED_METRICS, Direction, Guardrail, Metric, MetricKind
from experiments.stores.schema import RECORDED, TABLES
from tests.experiments.events import an_experiment, an_outcome


@pytest.mark.parametrize(
    "change",
    [
        {"number": None},
        {"number": 0.5},
        {"number": float("nan")},
        {"kind": OutcomeKind.NUMBER, "number": float("inf")},
        {"kind": OutcomeKind.PREFERRED},
        {"preferred": "a2"},
        {"kind": OutcomeKind.PREFERRED, "preferred": "a2", "number": 1.0},
        {"kind": OutcomeKind.PREFERRED, "preferred": "a1", "number": 0.0},
        {"kind": OutcomeKind.COMMENT, "number": None},
        {"kind": OutcomeKind.COMMENT, "comment": "x"},
        {"key": ""},
        {"key": "k" * 201},
        {"comment": "a\x00b"},
        {"comment": "\ud800"},
        {"comment": "x" * 4001},
        {"metric": ""},
        {"answer_id": ""},
        {"unit": "u"},
        {"answer_id": "", "unit": "u"},
        {"unit": "u", "experiment": "ways"},
    ],
)
def test_what_is_no_outcome_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OutcomeInvalid):
        an_outcome(**change)


def test_a_comment_may_stand_alone() -> None:
    assert an_outcome(kind=OutcomeKind.COMMENT, number=None, comment="ok").comment == "ok"


def test_an_outcome_is_of_a_metric_of_the_experiment() -> None:
    assert check_outcome(an_experiment(), an_outcome()).name == "helpful"
    with pytest.raises(MetricUnknown, match="found metric 'nice', expected one of: helpful"):
        check_outcome(an_experiment(), an_outcome(metric="nice"))
    with pytest.raises(MetricUnknown):
        # Milieu measures it; nobody else says what it was.
        check_outcome(an_experiment(), an_outcome(metric="latency_ms"))


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({"kind": OutcomeKind.RATING, "number": 5.0}, True),
        ({"kind": OutcomeKind.RATING, "number": 5.5}, False),
        ({"kind": OutcomeKind.RATING, "number": 0.0}, False),
        ({"kind": OutcomeKind.BOOLEAN, "number": 1.0}, False),
    ],
)
def test_a_value_fits_its_metric(change: dict[str, Any], fits: bool) -> None:
    stars = Metric("stars", MetricKind.RATING, Direction.HIGHER, lowest=1.0, highest=5.0)
    experiment = replace(an_experiment(), guardrails=(Guardrail(stars, 0.1),))
    outcome = an_outcome(metric="stars", **change)
    if fits:
        assert check_outcome(experiment, outcome) == stars
    else:
        with pytest.raises(OutcomeInvalid):
            check_outcome(experiment, outcome)


def test_every_field_of_an_exposure_has_a_column() -> None:
    assert {each.name for each in fields(Exposure)} == {name for name, _ in TABLES["exposures"]}


def test_every_recorded_metric_has_a_place() -> None:
    assert RECORDED.keys() == set(RECORDED_METRICS)
