"""Definitions: what they refuse, what may change when, and that files say what is wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from estimation.source import AnswerFrom
from experiments.definition import (
    Arm,
    Decoding,
    Experiment,
    HoldOut,
    Layer,
    State,
    change_state,
    draft_four_arms,
    revise,
)
from experiments.definition_file import (
    dump_experiment,
    parse_experiment,
    read_experiment,
)
from experiments.errors import ArmUnknown, ChangeRefused, DefinitionInvalid, TransitionRefused
from experiments.metrics import MetricKind
from prompting.recipe import Method, Recipe
from tests.experiments.definitions import write_experiment
from tests.experiments.events import PRIMARY, an_experiment

FILE = """\
name: icl-or-adapter
hypothesis: An adapter helps more than exemplars do.
primary:
  metric: helpful
  kind: proportion
  direction: higher
  smallest_effect: 0.03
guardrails:
  - {metric: latency_ms, kind: quantile, quantile: 0.95, direction: lower, margin: 50}
  - {metric: stars, kind: rating, lowest: 1, highest: 5, direction: higher, margin: 0.1}
arms:
  icl: {method: icl, k: 3}
  adapter: {method: adapter, decoding: {temperature: 0.7}}
control: icl
weights: {icl: 0.3, adapter: 0.7}
cultures: [DEU, NOR]
layer: {name: answers, first: 0, last: 499}
testers: ["user:qa-1"]
"""


def reweighted(experiment: Experiment, *weights: float) -> Experiment:
    pairs = zip(experiment.arms, weights, strict=True)
    return replace(experiment, arms=tuple(replace(arm, weight=of) for arm, of in pairs))


def test_a_file_becomes_a_draft(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(FILE)

    found = read_experiment(path)

    assert (found.name, found.state, found.revision) == ("icl-or-adapter", State.DRAFT, 1)
    assert found.arm_names == ("icl", "adapter")
    assert (found.arm("icl").weight, found.arm("icl").recipe.k) == (0.3, 3)
    assert found.arm("icl").recipe.adapter == "none"
    assert found.arm("adapter").recipe.adapter == "auto"
    assert found.arm("adapter").decoding == Decoding(temperature=0.7)
    assert [metric.kind for metric in found.metrics] == [
        MetricKind.PROPORTION,
        MetricKind.QUANTILE,
        MetricKind.RATING,
    ]
    assert found.cultures == ("DEU", "NOR")
    assert found.layer == Layer("answers", 0, 499)
    assert (found.outcome_window_s, found.unit_value) == (7 * 86_400, "first")


def test_arms_without_weights_share_equally() -> None:
    data = yaml.safe_load(FILE)
    del data["weights"]
    assert [arm.weight for arm in parse_experiment(data, "x").arms] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("change", "field", "found", "expected"),
    [
        ({"name": None}, "name", "nothing", "a valid string"),
        ({"name": "Has Spaces"}, "name", "'Has Spaces'", "small letters, digits"),
        ({"colour": "red"}, "colour", "'red'", "no field of this name"),
        ({"alpha": 0.7}, "alpha", "0.7", "less than 0.5"),
        ({"cultures": ["DE"]}, "cultures.0", "'DE'", "an alpha-3 code, such as DEU"),
        ({"cultures": [False]}, "cultures.0", "False", "a valid string"),
        ({"traffic_share": 0}, "traffic_share", "0", "greater than 0"),
        ({"control": "plain"}, "control", "'plain'", "one of icl, adapter"),
        ({"weights": {"icl": 0.5, "adapter": 0.6}}, "weights", "a sum of 1.1", "a sum of 1"),
        ({"weights": {"icl": 1.0, "adapter": 0.0}}, "weights", "1, 0", "weights above 0"),
        ({"arms": {"icl": {"method": "icl"}}}, "arms", "'icl'", "at least 2"),
        (
            {"layer": {"first": 9, "last": 3}},
            "layer",
            "values that do not go",
            "'first' at most 'last'",
        ),
        ({"hold_out": {"share": 1.0}}, "hold_out.share", "1.0", "less than 1"),
        ({"testers": ["user:\ud800"]}, "testers.0", "'user:", "valid string"),
        ({"testers": ["qa"]}, "-", "values that do not go together", "'testers' as user:NAME"),
        (
            {"weights": {"icl": 1.0}},
            "-",
            "values that do not go",
            "'weights' for exactly the arms icl, adapter",
        ),
        ({"unit_value": "last"}, "unit_value", "'last'", "'first', 'mean' or 'sum'"),
        ({"outcome_window_s": "a week"}, "outcome_window_s", "'a week'", "a valid number"),
    ],
)
def test_a_fault_is_named(change: dict[str, Any], field: str, found: str, expected: str) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_experiment(yaml.safe_load(FILE) | change, "some.yaml")

    assert caught.value.field == field
    assert found in caught.value.found
    assert expected in caught.value.expected
    assert str(caught.value).startswith(f"some.yaml, field '{field}': found ")


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("primary", {"kind": "quantile"}, "'quantile' with the kind 'quantile'"),
        ("primary", {"quantile": 0.5}, "'quantile' with the kind 'quantile'"),
        ("primary", {"kind": "rating"}, "'lowest' and 'highest'"),
        ("primary", {"highest": 2.0}, "no 'lowest' or 'highest'"),
        ("primary", {"smallest_effect": 0.0}, "greater than 0"),
        ("primary", {"metric": "latency_ms", "kind": "mean", "lowest": 2, "highest": 1}, "below"),
        ("primary", {"metric": "n_tokens"}, "one of latency_ms, n_prompt_tokens"),
        ("primary", {"metric": "stars"}, "every metric once"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(
    part: str, change: dict[str, Any], expected: str
) -> None:
    data = yaml.safe_load(FILE)
    data[part] |= change
    with pytest.raises(DefinitionInvalid, match=expected):
        parse_experiment(data, "x")


def test_an_adapter_method_without_an_adapter_is_refused() -> None:
    data = yaml.safe_load(FILE)
    data["arms"]["adapter"]["adapter"] = "none"
    with pytest.raises(DefinitionInvalid, match=r"arms\.adapter.*which the method 'adapter' needs"):
        parse_experiment(data, "x")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "nothing"),
        (b"- a", r"\['a'\]"),
        (b"a: [", r"a fault in line 1 \("),
        (b"name: a\nname: b\n", r"a fault in line 1 \('name' twice"),
        (b"a: &x [1]\nb: *x\n", "an alias"),
        (b"a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"[" * 50_000, "RecursionError"),
        (b"#" * 300_000, "a larger file"),
        (b"hypothesis: 2026-13-45", "month must be in 1..12"),
    ],
    ids=["empty", "list", "open", "twice", "alias", "object", "bytes", "deep", "large", "date"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(DefinitionInvalid, match=rf"bad\.yaml, field '-': found .*{found}"):
        read_experiment(path)


@pytest.mark.parametrize(
    "value",
    ["!!bool maybe", "!!timestamp soon", "!!float ''", "!!binary x", "!!set {a}", "!!int x"],
)
def test_a_value_that_is_made_to_be_of_a_type_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "tagged.yaml"
    path.write_text(f"hypothesis: {value}")
    with pytest.raises(DefinitionInvalid, match=r"a fault in line 1 \(a tag\)"):
        read_experiment(path)


def test_a_number_of_base_60_is_text(tmp_path: Path) -> None:
    path = tmp_path / "base_60.yaml"
    path.write_text(f"{FILE}hypothesis: {'1:' * 400}30.0".replace("hypothesis: An", "decision: An"))
    assert read_experiment(path).hypothesis.startswith("1:1:")


@pytest.mark.parametrize("name", ["on", "off", "yes", "no", "010", "1e3", "0x1f"])
def test_a_name_that_yaml_takes_for_something_else_is_text(tmp_path: Path, name: str) -> None:
    text = FILE.replace("  icl: {", f"  {name}: {{").replace("control: icl", f"control: {name}")
    path = tmp_path / "names.yaml"
    path.write_text(text.replace("{icl: 0.3", f"{{{name}: 0.3"))

    found = read_experiment(path)

    assert found.arm_names == (name, "adapter")
    assert found.control == name


def test_norway_is_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "norway.yaml"
    path.write_text(FILE.replace("NOR]", "NO]"))
    with pytest.raises(DefinitionInvalid, match="found 'NO', expected an alpha-3 code"):
        read_experiment(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionInvalid, match="found no such file or directory"):
        read_experiment(tmp_path / "none.yaml")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    one = parse_experiment(yaml.safe_load(FILE), "x")
    path = tmp_path / "written.yaml"

    write_experiment(one, path)

    assert read_experiment(path) == one
    started = replace(change_state(one, State.RUNNING), hold_out=HoldOut(0.1), unit_value="sum")
    assert parse_experiment(json.loads(json.dumps(dump_experiment(started))), "x") == started


def test_the_id_is_that_of_the_content() -> None:
    one = an_experiment()
    # Stores and replays hold it.
    assert one.id == "3393f3e2e5251ee8"
    assert one.id == replace(one, revision=5).id == an_experiment().id
    assert len({one.id, replace(one, salt="s").id, reweighted(one, 0.4, 0.2, 0.2, 0.2).id}) == 3


def test_an_experiment_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        an_experiment().alpha = 0.1  # type: ignore[misc]  # that is what is tested


def test_four_arms_are_one_call_away() -> None:
    found = draft_four_arms("ways", PRIMARY)
    assert found.arm_names == ("plain", "icl", "adapter", "adapter+icl")
    assert (found.control, found.state) == ("plain", State.DRAFT)
    assert [arm.recipe.adapter for arm in found.arms] == ["none", "none", "auto", "auto"]


def test_the_id_of_an_arm_is_that_of_how_it_answers() -> None:
    arm = draft_four_arms("ways", PRIMARY).arms[1]
    assert arm.id == arm.recipe.id == replace(arm, weight=0.5, name="x").id
    assert len({arm.id, replace(arm, model="m").id, replace(arm, decoding=Decoding(0.5)).id}) == 3


def test_the_ids_of_arms_that_answer_by_the_model_stay() -> None:
    arms = draft_four_arms("ways", PRIMARY).arms
    # Exposures and replays hold them.
    assert [arm.id for arm in arms] == ["bd0ea450d0", "bdbf9f9ebc", "06e77e8ca3", "2eee7c94de"]
    assert replace(arms[1], decoding=Decoding(0.5)).id == "9f0349add7"
    assert replace(arms[1], model="m").id == "80a2f359e3"


def test_what_an_arm_answers_from_is_part_of_its_id() -> None:
    arm = draft_four_arms("ways", PRIMARY).arms[1]
    ids = {answer_from: replace(arm, answer_from=answer_from).id for answer_from in AnswerFrom}
    assert ids == {
        "auto": "68a316ffe3",
        "survey": "c2514a562b",
        "tables": "7a2efd63af",
        "model": "bdbf9f9ebc",
    }
    assert replace(arm, answer_from=AnswerFrom.AUTO, decoding=Decoding(0.5)).id not in ids.values()


def test_a_definition_of_arms_by_the_model_is_stored_as_it_was() -> None:
    stored = json.dumps(dump_experiment(an_experiment()))
    digest = "5573225561b85f02d5f009d1c705bdff82272988f4e0016dc7784e7f6bd756b6"
    assert hashlib.sha256(stored.encode()).hexdigest() == digest


def test_an_arm_estimate_is_one_field_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "written.yaml"
    data = yaml.safe_load(FILE)
    data["arms"]["adapter"] = {"answer_from": "auto"}
    data["arms"]["icl"]["answer_from"] = "model"

    one = parse_experiment(data, "x")
    write_experiment(one, path)

    icl, estimate = one.arms
    assert (estimate.answer_from, estimate.recipe) == (AnswerFrom.AUTO, Recipe(Method.ICL))
    assert icl == parse_experiment(yaml.safe_load(FILE), "x").arms[0]
    assert read_experiment(path) == one
    # Another experiment than the one with the same recipe put to the model.
    assert one.id != replace(one, arms=(icl, replace(estimate, answer_from=AnswerFrom.MODEL))).id


@pytest.mark.parametrize("answer_from", [a for a in AnswerFrom if a is not AnswerFrom.MODEL])
def test_an_arm_may_say_how_the_model_is_asked_where_it_is_needed(answer_from: str) -> None:
    data = yaml.safe_load(FILE)
    data["arms"]["adapter"] = {"answer_from": answer_from, "method": "persona", "n_orders": 2}
    arm = parse_experiment(data, "x").arm("adapter")
    assert (arm.answer_from, arm.recipe) == (answer_from, Recipe(Method.PERSONA, n_orders=2))


@pytest.mark.parametrize(
    ("arm", "field", "expected"),
    [
        ({"answer_from": "best"}, ".answer_from", "'auto', 'survey', 'tables' or 'model'"),
        ({"answer_from": None}, ".answer_from", "'auto', 'survey', 'tables' or 'model'"),
        ({"answer_from": ["auto"]}, ".answer_from", "'auto', 'survey', 'tables' or 'model'"),
        ({"answer_from": "model"}, ".method", "a value"),
        ({}, ".method", "a value"),
        ({"answer_from": "auto", "method": "estimate"}, ".method", "'plain', 'persona'"),
        ({"answer_from": "auto", "method": "adapter", "adapter": "none"}, "", "an adapter"),
        ("auto", "", "fields with values"),
    ],
)
def test_an_arm_that_answers_from_nowhere_is_refused(arm: Any, field: str, expected: str) -> None:
    data = yaml.safe_load(FILE)
    data["arms"]["adapter"] = arm
    with pytest.raises(DefinitionInvalid) as caught:
        parse_experiment(data, "x")
    assert caught.value.field == f"arms.adapter{field}"
    assert expected in caught.value.expected


def test_a_running_experiment_keeps_what_its_arms_answer_from() -> None:
    running = an_experiment()
    plain, *others = running.arms
    arms = (replace(plain, answer_from=AnswerFrom.AUTO), *others)
    with pytest.raises(ChangeRefused, match="'arms'"):
        revise(running, replace(running, arms=arms))


def test_a_fifth_arm_answers_by_the_best_source() -> None:
    found = draft_four_arms("ways", PRIMARY, with_estimate=True)
    assert found.arm_names == ("plain", "icl", "adapter", "adapter+icl", "estimate")
    assert {arm.weight for arm in found.arms} == {0.2}
    assert found.arm("estimate").answer_from is AnswerFrom.AUTO
    assert found.arms[1].id == draft_four_arms("ways", PRIMARY).arms[1].id


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("a",), "2 or more"), (("a", "a"), "names that differ"), (("a", "hold-out"), "not reserved")],
)
def test_arms_that_cannot_be_told_apart_are_refused(names: tuple[str, ...], expected: str) -> None:
    arm = draft_four_arms("ways", PRIMARY).arms[0]
    arms = tuple(Arm(name, 1.0 / len(names), arm.recipe) for name in names)
    with pytest.raises(DefinitionInvalid, match=expected):
        Experiment("ways", "h", PRIMARY, arms, control="a")


def test_an_unknown_arm_is_named() -> None:
    with pytest.raises(ArmUnknown, match="found arm 'x', expected one of: plain, icl"):
        an_experiment().arm("x")


def test_states_only_go_forward() -> None:
    draft = an_experiment(state=State.DRAFT)
    running = change_state(draft, State.RUNNING)
    stopped = change_state(running, State.STOPPED)
    decided = change_state(stopped, State.DECIDED, decision="icl for all")

    assert [each.revision for each in (draft, running, stopped, decided)] == [1, 2, 3, 4]
    assert decided.decision == "icl for all"
    for state, after in (
        (draft, State.STOPPED),
        (running, State.RUNNING),
        (stopped, State.RUNNING),
    ):
        with pytest.raises(TransitionRefused):
            change_state(state, after)
    with pytest.raises(TransitionRefused, match="expected none: this is its last state"):
        change_state(decided, State.DRAFT)


def test_a_draft_changes_freely_but_for_its_name() -> None:
    draft = an_experiment(state=State.DRAFT)

    found = revise(draft, replace(draft, alpha=0.1, salt="s", guardrails=()))

    assert (found.alpha, found.revision, found.state) == (0.1, 2, State.DRAFT)
    with pytest.raises(ChangeRefused, match="'name', expected the same name"):
        revise(draft, replace(draft, name="other"))


@pytest.mark.parametrize(
    "change", [{"traffic_share": 0.6}, {"max_duration_s": 1.0}, {"testers": ("user:a",)}]
)
def test_a_running_experiment_may_change_what_moves_nobody(change: dict[str, Any]) -> None:
    running = an_experiment(traffic_share=0.5)
    assert revise(running, replace(running, **change)).revision == 2


def test_a_running_experiment_may_change_its_weights() -> None:
    running = an_experiment()
    changed = reweighted(running, 0.1, 0.2, 0.3, 0.4)
    assert [arm.weight for arm in revise(running, changed).arms] == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    "change",
    [
        {"traffic_share": 0.4},
        {"alpha": 0.1},
        {"guardrails": ()},
        {"primary": replace(PRIMARY, smallest_effect=0.1)},
        {"hypothesis": "another"},
        {"cultures": ("DEU",)},
        {"layer": Layer("l")},
        {"hold_out": HoldOut(0.1)},
        {"outcome_window_s": 1.0},
        {"unit_value": "mean"},
        {"salt": "s"},
        {"control": "icl"},
        {"decision": "done"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_running_experiment_refuses_all_else(change: dict[str, Any]) -> None:
    running = an_experiment(traffic_share=0.5)
    with pytest.raises(ChangeRefused) as caught:
        revise(running, replace(running, **change))
    assert caught.value.field == next(iter(change))


def test_the_arms_of_a_running_experiment_never_change() -> None:
    running = an_experiment()
    plain, icl, *others = running.arms
    other_k = replace(icl, recipe=replace(icl.recipe, k=9))
    for arms in ((plain, other_k, *others), (icl, plain, *others)):
        with pytest.raises(ChangeRefused, match="'arms'"):
            revise(running, replace(running, arms=arms))


@pytest.mark.parametrize("state", [State.STOPPED, State.DECIDED])
def test_what_is_over_does_not_change(state: State) -> None:
    over = an_experiment(state=state)
    with pytest.raises(ChangeRefused, match="'testers', expected no change but its next state"):
        revise(over, replace(over, testers=("user:a",)))


def test_every_method_can_be_an_arm() -> None:
    data = yaml.safe_load(FILE)
    data["arms"] = {str(method): {"method": str(method)} for method in Method}
    del data["weights"]
    assert len(parse_experiment(data, "x").arms) == len(Method)
