"""`milieu experiments`: plans, guardrails in one line, and definitions as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.errors import OptionInvalid
from app.state.experiment_report import PLAN, PLAN_JSON
from cli.experiments.drafts import parse_guardrail
from cli.experiments.output import write_yaml
from experiments.definition import HoldOut, Layer
from experiments.definition_file import parse_experiment, read_experiment
from experiments.metrics import Direction, Guardrail, Metric, MetricKind
from experiments.stores.event_store import EventStore
from tests.app.experiment_commands import Experiments
from tests.experiments.events import an_experiment


def test_a_plan_says_how_long_it_takes_and_stands_in_the_report(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    text = experiments("plan", "ways", "--units-per-day", "1000", "--baseline", "0.3")
    assert "50% of experiments" in text
    assert "one look, at its end" in text
    made = experiments.json("plan", "ways", "--units-per-day", "1000", "--baseline", "0.3")
    # Three comparisons share an error rate of 0.05; two arms have half of the units.
    assert made["alpha"] == pytest.approx(0.05 / 3)
    assert made["plan"]["days"] == pytest.approx(made["plan"]["n_units"] / 500)
    progress = experiments.json("report", "ways")["progress"]
    assert progress["planned_units"] == made["plan"]["n_units"]


def test_a_plan_counts_only_units_that_take_part(experiments: Experiments) -> None:
    changes: dict[str, Any] = {
        "traffic_share": 0.5,
        "layer": {"name": "x", "first": 0, "last": 499},
    }
    experiments("create", "--file", experiments.file(**changes))
    made = experiments.json("plan", "ways", "--units-per-day", "4000", "--baseline", "0.3")
    assert made["plan"]["days"] == pytest.approx(made["plan"]["n_units"] / 500)


def test_a_plan_says_where_the_time_is_too_short(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    text = experiments("plan", "ways", "--units-per-day", "10", "--baseline", "0.3")
    assert "It ends after 28 days (max_duration_s), likely without a winner." in text


def test_a_plan_after_the_start_is_not_kept(running: Experiments) -> None:
    text = running("plan", "ways", "--units-per-day", "1000", "--baseline", "0.3")
    assert "Not kept: ways is running" in text
    assert running.json("report", "ways")["progress"]["planned_units"] is None


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ((), ("--baseline", "0.3")),
        (("--kind", "mean", "--smallest-effect", "0.2"), ("--mean", "3", "--sd", "1")),
        (
            *(("--kind", "rating", "--lowest", "1", "--highest", "5", "--smallest-effect", "0.2"),),
            ("--mean", "3", "--sd", "1"),
        ),
        (("--direction", "lower"), ("--baseline", "0.3")),
    ],
)
def test_a_plan_is_read_as_it_was_kept(
    experiments: Experiments, kind: tuple[str, ...], given: tuple[str, ...]
) -> None:
    experiments("create", "ways", "--four-arms", *kind)
    made = experiments.json("plan", "ways", "--units-per-day", "100", *given)["plan"]

    async def compare(store: EventStore) -> None:
        plan = PLAN_JSON.validate_json((await store.attachments("ways"))[PLAN])
        assert (plan.n_units, list(plan.shape)) == (made["n_units"], [1, 1])
        assert plan.values.expected_n == made["values"]["expected_n"]
        assert getattr(plan.values, "low", None) == made["values"].get("low")

    experiments.store(compare)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ((), (), ("--baseline: found nothing", "such as 0.3")),
        ((), ("--baseline", "1.5"), ("--baseline: found a rate of 1.5", "between 0 and 1")),
        ((), ("--baseline", "0.99"), ("--baseline: found a mean of 1.04 after the effect",)),
        ((), ("--mean", "3", "--sd", "1"), ("--mean: found it for 'helpful', a proportion",)),
        ((), ("--baseline", "0.3", "--power", "1"), ("--power: found 1",)),
        ((), ("--baseline", "0.3", "--units-per-day", "inf"), ("--units-per-day: found inf",)),
        (("--kind", "mean"), ("--mean", "3"), ("--mean, --sd: found one of them",)),
        (("--kind", "mean"), ("--baseline", "0.3"), ("expected --mean and --sd",)),
        (("--kind", "mean"), ("--mean", "3", "--sd", "0"), ("--sd: found a standard deviation",)),
        (("--kind", "quantile", "--quantile", "0.9"), (), ("a quantile, expected a proportion",)),
    ],
)
def test_a_plan_that_cannot_be_made_is_explained(
    experiments: Experiments, kind: tuple[str, ...], given: tuple[str, ...], said: tuple[str, ...]
) -> None:
    effect = ("--smallest-effect", "0.2") if kind else ()
    experiments("create", "ways", "--four-arms", *kind, *effect)
    message = experiments.refused("plan", "ways", "--units-per-day", "100", *given)
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("text", "metric", "margin"),
    [
        ("unreadable:proportion:lower:0.02", ("proportion", "lower", None, None, None), 0.02),
        ("stars:rating=1..5:higher:0.1", ("rating", "higher", None, 1.0, 5.0), 0.1),
        ("gain:mean=-2..2:higher:0", ("mean", "higher", None, -2.0, 2.0), 0.0),
        ("cost : mean : lower : 3", ("mean", "lower", None, None, None), 3.0),
        ("wait:quantile=0.5:lower:9", ("quantile", "lower", 0.5, None, None), 9.0),
    ],
)
def test_a_guardrail_is_said_in_one_line(text: str, metric: tuple[Any, ...], margin: float) -> None:
    kind, direction, *rest = metric
    name = text.partition(":")[0].strip()
    expected = Metric(name, MetricKind(kind), Direction(direction), *rest)
    assert parse_guardrail(text) == Guardrail(expected, margin)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency_ms:lower:200", "METRIC:KIND:DIRECTION:MARGIN"),
        ("latency_ms:speed:lower:200", "the kind 'speed'"),
        ("latency_ms:mean:down:200", "the direction 'down'"),
        ("latency_ms:mean:lower:much", "'much'"),
        ("latency_ms:quantile=p95:lower:200", "'p95'"),
        ("stars:rating=5:lower:200", "'rating=5'"),
        ("stars:proportion=0..1:lower:0.1", "'proportion=0..1'"),
    ],
)
def test_a_guardrail_that_does_not_fit_is_explained(text: str, said: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        parse_guardrail(text)
    assert said in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_guardrail_that_no_experiment_can_have_is_refused(experiments: Experiments) -> None:
    given = ("--guardrail", "latency_ms:quantile=7:lower:200")
    message = experiments.refused("create", "ways", "--four-arms", *given)
    assert "field 'guardrails.0.quantile': found 7.0" in message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layer": Layer("x", 5, 10), "hold_out": HoldOut(0.1, "salt"), "salt": "s"},
        {"cultures": ("DEU",), "testers": ("user:a",), "guardrails": (), "traffic_share": 0.25},
    ],
)
def test_the_yaml_of_a_definition_defines_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    experiment = parse_experiment(yaml.safe_load(write_yaml(an_experiment(**changes))), "-")
    path = tmp_path / "a.yaml"
    path.write_text(write_yaml(an_experiment(**changes)))
    assert read_experiment(path) == experiment
    assert experiment == an_experiment(**changes, state=experiment.state)
