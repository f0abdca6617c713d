"""`milieu experiments`: an experiment from its definition to its report, on a store of its own."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import cli
from tests.app.experiment_commands import Experiments

COMMANDS = (
    *("create", "list", "show", "revise", "start", "stop", "decide", "report", "plan", "assign"),
    *("export", "forget", "replay"),
)


def test_every_command_has_an_example() -> None:
    runner = CliRunner()
    for command in COMMANDS:
        text = runner.invoke(cli, ("experiments", command, "--help")).stdout
        assert f"milieu experiments {command}" in text, command


def test_an_experiment_goes_from_draft_to_decision(experiments: Experiments) -> None:
    experiments.answer()
    assert "start ways" in experiments("create", "ways", "--four-arms")
    assert "report ways" in experiments("start", "ways")
    assert "decide ways" in experiments("stop", "ways")
    experiments("decide", "ways", "icl for all")
    assert experiments.json("show", "ways")["definition"]["decision"] == "icl for all"
    states = [each["state"] for each in experiments.json("show", "ways")["revisions"]]
    assert states == ["draft", "running", "stopped", "decided"]


def test_a_name_and_four_arms_are_enough(experiments: Experiments) -> None:
    experiments("create", "my-test", "--four-arms")
    made = experiments.json("show", "my-test")["definition"]
    assert made["weights"] == {"plain": 0.25, "icl": 0.25, "adapter": 0.25, "adapter+icl": 0.25}
    assert (made["control"], made["cultures"], made["state"]) == ("plain", [], "draft")
    assert made["primary"] == {
        "metric": "helpful",
        "kind": "proportion",
        "direction": "higher",
        "smallest_effect": 0.05,
    }


def test_a_fifth_arm_by_the_best_source_is_one_option(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms", "--estimate")
    made = experiments.json("show", "ways")["definition"]
    assert list(made["arms"]) == ["plain", "icl", "adapter", "adapter+icl", "estimate"]
    assert made["arms"]["estimate"]["answer_from"] == "auto"
    assert set(made["weights"].values()) == {0.2}
    message = experiments.refused("create", "ways", "--file", "x.yaml", "--estimate")
    assert "--file: found it with --estimate" in message


def test_metrics_cultures_and_guardrails_are_as_given(experiments: Experiments) -> None:
    experiments(
        *("create", "ways", "--four-arms", "--metric", "stars", "--kind", "rating"),
        *("--lowest", "1", "--highest", "5", "--smallest-effect", "0.2"),
        *("-c", "Germany", "-c", "ja-JP", "-c", "DE", "--hypothesis", "Stars fall."),
        *("--guardrail", "latency_ms:quantile=0.95:lower:200"),
    )
    made = experiments.json("show", "ways")["definition"]
    assert made["primary"]["lowest"] == 1.0
    assert made["cultures"] == ["DEU", "JPN"]
    assert made["guardrails"] == [
        {
            "metric": "latency_ms",
            "kind": "quantile",
            "direction": "lower",
            "quantile": 0.95,
            "margin": 200.0,
        }
    ]


def test_what_is_printed_is_a_file_of_the_same_experiment(experiments: Experiments) -> None:
    text = experiments("create", "ways", "--four-arms", "--print")
    assert experiments.json("list") == []
    (experiments.folder / "a.yaml").write_text(text)
    experiments("create", "--file", str(experiments.folder / "a.yaml"))
    experiments("create", "others", "--four-arms")
    ours, others = (experiments.json("show", name)["definition"] for name in ("ways", "others"))
    assert ours | {"name": ""} == others | {"name": ""}


def test_a_file_can_be_used_under_another_name(experiments: Experiments) -> None:
    experiments("create", "again", "--file", experiments.file())
    assert [each["name"] for each in experiments.json("list")] == ["again"]


def test_the_same_again_changes_nothing_and_another_is_refused(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    experiments("create", "ways", "--four-arms")
    message = experiments.refused("create", "ways", "--four-arms", "--metric", "useful")
    assert "found one of this name" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ways",), ("--four-arms: found neither", "expected one of them")),
        (("--four-arms",), ("NAME: found nothing",)),
        (("My Test", "--four-arms"), ("field 'name'", "'My Test'")),
        (("ways", "--four-arms", "-c", "Atlantis"), ("Atlantis",)),
        (("ways", "--four-arms", "-c", "AQ"), ("field 'cultures': found ATA", "covered")),
        (("ways", "--four-arms", "--kind", "mean"), ("--smallest-effect: found nothing",)),
        (
            ("ways", "--four-arms", "--kind", "rating", "--smallest-effect", "1"),
            ("field 'primary'", "'lowest' and 'highest'"),
        ),
        (("ways", "--four-arms", "--smallest-effect", "-1"), ("smallest_effect", "-1.0")),
        (("ways", "--four-arms", "--metric", "n_tokens"), ("name without 'n_'",)),
        (("ways", "--four-arms", "--guardrail", "latency_ms"), ("METRIC:KIND:DIRECTION:MARGIN",)),
    ],
)
def test_a_definition_that_does_not_fit_is_explained(
    experiments: Experiments, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    message = experiments.refused("create", *arguments)
    for part in said:
        assert part in message
    assert experiments.json("list") == []


def test_a_file_goes_with_no_other_options(experiments: Experiments) -> None:
    file = experiments.file()
    message = experiments.refused("create", "--file", file, "--smallest-effect", "0.1", "-c", "DE")
    assert "--smallest-effect, --culture" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": {"plain": 0.5, "icl": 0.5}}, ("weights", "exactly the arms plain, icl")),
        ({"alpha": 2}, ("field 'alpha'", "found 2", "less than 0.5")),
        ({"hipothesis": "?"}, ("field 'hipothesis'", "no field of this name")),
        ({"control": "none"}, ("field 'control'", "found 'none'", "one of plain, icl")),
    ],
)
def test_a_fault_in_a_file_names_file_and_field(
    experiments: Experiments, changes: dict[str, Any], said: tuple[str, ...]
) -> None:
    message = experiments.refused("create", "--file", experiments.file(**changes))
    for part in ("ways.yaml", *said):
        assert part in message


def test_a_file_that_is_no_yaml_is_explained(experiments: Experiments) -> None:
    message = experiments.refused("create", "--file", experiments.file("name: [a\n"))
    assert "ways.yaml" in message
    assert "a fault in line" in message


def test_the_list_says_where_each_experiment_is(running: Experiments) -> None:
    running("create", "later", "--four-arms")
    lines = running("list").splitlines()
    assert any("ways" in line and "running" in line and "helpful" in line for line in lines)
    assert any("later" in line and "draft" in line for line in lines)


def test_an_empty_list_says_how_to_begin(experiments: Experiments) -> None:
    assert "milieu experiments create" in experiments("list")


def test_show_prints_yaml_and_what_changed_when(running: Experiments) -> None:
    running("revise", "ways", "--weights", "icl=0.4,plain=0.1")
    shown = running("show", "ways")
    assert "metric: helpful" in shown
    assert "ways is running, revision 3." in shown
    assert [line.split()[-1] for line in shown.splitlines()[-3:]] == ["defined", "state", "weights"]


def test_weights_and_traffic_change_while_it_runs(experiments: Experiments) -> None:
    experiments("create", "--file", experiments.file(traffic_share=0.2))
    experiments("start", "ways", "--allow-unsent")
    experiments("revise", "ways", "--weights", "icl=0.4, plain=0.1", "--traffic", "0.5")
    made = experiments.json("show", "ways")["definition"]
    assert made["weights"] == {"plain": 0.1, "icl": 0.4, "adapter": 0.25, "adapter+icl": 0.25}
    assert made["traffic_share"] == 0.5


def test_a_draft_takes_any_file(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    experiments("revise", "ways", "--file", experiments.file(alpha=0.01))
    assert experiments.json("show", "ways")["definition"]["alpha"] == 0.01


def test_no_change_is_no_revision(running: Experiments) -> None:
    assert "nothing differs" in running("revise", "ways", "--traffic", "1")
    assert len(running.json("show", "ways")["revisions"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--weights", "icl=0.4"), ("field 'weights': found a sum of 1.15", "a sum of 1")),
        (("--weights", "icl=0.2,other=0.3"), ("found arm 'other'", "plain, icl, adapter")),
        (("--weights", "icl=much"), ("'much' in 'icl=much'", "icl=0.4,plain=0.6")),
        (("--weights", "icl=0.2,icl=0.3"), ("'icl' twice",)),
        (("--weights", "icl=nan"), ("field 'weights'",)),
        (("--traffic", "0.5"), ("found a change of 'traffic_share'", "traffic_share (up)")),
        (("--traffic", "1.5"), ("traffic_share", "1.5", "less than or equal to 1")),
        ((), ("--file: found neither", "expected a file")),
    ],
)
def test_a_change_that_does_not_fit_is_explained(
    running: Experiments, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    message = running.refused("revise", "ways", *arguments)
    for part in said:
        assert part in message
    assert len(running.json("show", "ways")["revisions"]) == 2


def test_a_running_experiment_keeps_what_was_promised(running: Experiments) -> None:
    message = running.refused("revise", "ways", "--file", running.file(alpha=0.01))
    assert "is running: found a change of 'alpha'" in message


def test_a_file_of_another_experiment_is_refused(running: Experiments) -> None:
    message = running.refused("revise", "ways", "--file", running.file(name="other"))
    assert "found the experiment 'other' in it, expected 'ways'" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nix"),
        ("start", "nix"),
        ("stop", "nix"),
        ("decide", "nix", "text"),
        ("report", "nix"),
        ("revise", "nix", "--traffic", "0.5"),
        ("plan", "nix", "--units-per-day", "10"),
        ("assign", "nix", "--user", "ada"),
    ],
)
def test_an_unknown_experiment_is_explained(
    running: Experiments, arguments: tuple[str, ...]
) -> None:
    assert "No experiment is named 'nix'; there are: ways" in running.refused(*arguments)


def test_a_metric_that_nobody_sends_keeps_it_a_draft(experiments: Experiments) -> None:
    message = experiments.refused("create", "ways", "--four-arms", "--start")
    assert "no outcome of metric 'helpful'" in message
    assert experiments.state() == "draft"


def test_an_order_of_states_cannot_be_changed(running: Experiments) -> None:
    assert "is running: found a request for 'decided'" in running.refused("decide", "ways", "yes")
    running("stop", "ways")
    assert "is stopped" in running.refused("start", "ways")
    assert "field 'decision': found nothing" in running.refused("decide", "ways", " ")


def test_where_experiments_are_off_it_says_so(experiments: Experiments) -> None:
    message = experiments.refused("list", MILIEU_EXPERIMENTS__STORE="none")
    assert "MILIEU_EXPERIMENTS__STORE" in message


def test_a_report_says_what_to_do(running: Experiments) -> None:
    running.answer(experiment="ways", arm="icl")
    page = running.folder / "ways.html"
    text = running("report", "ways", "--html", str(page))
    assert text.startswith("ways: Continue")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert running.json("report", "ways")["progress"]["n_units"] == 1


def test_a_report_of_a_draft_says_to_start_it(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    assert experiments("report", "ways").startswith("ways: Start the experiment")
