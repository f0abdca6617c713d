"""How `milieu experiments` prints its results: tables and YAML for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from app.state.experiment_report import PLAN_JSON
from cli.console import out
from cli.experiments.planning import DurationPlan
from experiments.assignment import Standing
from experiments.definition import DAY_S, Experiment, HoldOut, Layer, State
from experiments.definition_file import dump_experiment
from experiments.stores.scripts import Forgotten, StoredRevision
from reports.document import Row, Table
from reports.numbers import count, duration, moment, number, percent, with_sign
from reports.terminal import print_json, print_line, print_table

# What a reader wants to see first; the other fields follow.
_FIRST_FIELDS = ("name", "hypothesis", "primary", "guardrails", "arms", "control", "weights")
# Part of the state of an experiment, not of its definition.
_STATE_FIELDS = ("state", "revision", "decision")


class UnitArm(NamedTuple):
    """What a unit gets in an experiment.

    Attributes:
        arm: empty if it takes no part.
        is_remembered: whether the store holds the arm; if not, it follows from the hash alone.
        elsewhere: the experiment that started earlier and has the unit; empty for none.
    """

    experiment: Experiment
    standing: Standing
    arm: str
    is_remembered: bool
    elsewhere: str


def say(text: str) -> None:
    """Print a line as it is, without terminal control codes."""
    print_line(out, text)


def say_next(*commands: str) -> None:
    say("Next:")
    for command in commands:
        say(f"  milieu experiments {command}")


def write_yaml(experiment: Experiment) -> str:
    """Return YAML that defines the same experiment, without empty parts and defaults."""
    fields = dump_experiment(experiment)
    for name in _STATE_FIELDS:
        del fields[name]
    content = {name: fields[name] for name in _FIRST_FIELDS} | fields
    content["primary"] = _put_metric_first(content["primary"])
    content["guardrails"] = [_put_metric_first(guardrail) for guardrail in content["guardrails"]]
    if experiment.layer == Layer():
        del content["layer"]
    if experiment.hold_out == HoldOut():
        del content["hold_out"]
    text: str = yaml.safe_dump(_drop_empty(content), sort_keys=False, allow_unicode=True)
    return text


def print_list(revisions: Sequence[StoredRevision], *, as_json: bool) -> None:
    if as_json:
        print_json(out, [_describe(revision) for revision in revisions])
        return
    if not revisions:
        out.print("No experiments. Make one with `milieu experiments create NAME --four-arms`.")
        return
    columns = ("Experiment", "State", "Changed", "Metric", "Arms")
    rows = tuple(
        (
            experiment.name,
            str(experiment.state),
            moment(time_ms),
            experiment.primary.metric.name,
            ", ".join(experiment.arm_names),
        )
        for experiment, time_ms in revisions
    )
    _print_words(columns, rows)


def print_experiment(revisions: Sequence[StoredRevision], *, as_json: bool) -> None:
    latest = revisions[-1].experiment
    if as_json:
        described = [
            _describe(revision) | {"changed": _list_changes(revisions, at)}
            for at, revision in enumerate(revisions)
        ]
        print_json(out, {"definition": dump_experiment(latest), "revisions": described})
        return
    say(write_yaml(latest))
    say(f"{latest.name} is {latest.state}, revision {latest.revision}.")
    if latest.decision:
        say(f"Decided: {latest.decision}")
    rows = tuple(
        (
            str(experiment.revision),
            moment(time_ms),
            str(experiment.state),
            ", ".join(_list_changes(revisions, at)) or ("-" if at else "defined"),
        )
        for at, (experiment, time_ms) in enumerate(revisions)
    )
    columns = ("Revision", "At", "State", "Changed")
    _print_words(columns, rows)


def _print_words(columns: Row, rows: tuple[Row, ...]) -> None:
    print_table(out, Table.of_rows("", columns, rows, texts=tuple(range(len(columns)))))


def print_plan(planned: DurationPlan, *, is_kept: bool, as_json: bool) -> None:
    experiment, plan, name = planned.experiment, planned.plan, planned.experiment.name
    if as_json:
        content = {
            "experiment": name,
            "arm": planned.arm,
            "alpha": planned.alpha,
            "power": planned.power,
            "is_kept": is_kept,
            "plan": PLAN_JSON.dump_python(plan, mode="json"),
        }
        print_json(out, content)
        return
    _say_duration(planned)
    if planned.wait_s:
        say(f"Plus {duration(planned.wait_s)}, until the last unit's value counts.")
    if experiment.max_duration_s < plan.days * DAY_S + planned.wait_s:
        say(
            f"It ends after {duration(experiment.max_duration_s)} (max_duration_s), likely without "
            "a winner. More traffic, fewer arms, a larger smallest effect or a longer duration "
            "help."
        )
    if is_kept:
        say("Kept for the report.")
        say_next(f"start {name}")
    else:
        say(f"Not kept: {name} is {experiment.state}, and was not planned before its first look.")


def _say_duration(planned: DurationPlan) -> None:
    experiment, plan = planned.experiment, planned.plan
    arms = f"the arms {planned.arm} and {experiment.control} together"
    days = planned.show_days(plan.n_units)
    say(f"{experiment.name}: {days}, or {count(plan.n_units)} units of {arms}.")
    say(
        f"If {planned.arm} moves {experiment.primary.metric.name} by {with_sign(planned.effect)}, "
        f"{planned.power:.0%} of such experiments have shown it by then."
    )
    say(
        f"Look as often as you like: the error rate of {percent(planned.alpha)} per arm holds "
        "over all looks."
    )
    per_day = planned.units_per_day
    come = f"{count(round(per_day * planned.share))} of {number(per_day)}"
    say(f"Expected: {come} such units a day take part.")
    rows = tuple(
        (f"{share:.0%} of experiments", count(n_units), planned.show_days(n_units))
        for share, n_units in plan.quantiles
    )
    print_table(out, Table.of_rows("", ("Have shown it", "Units", "Days"), rows, texts=(0, 2)))
    fixed = plan.n_units_fixed
    say(
        f"A test with one look, at its end, takes {count(fixed)} units, {planned.show_days(fixed)}."
    )


def print_arm(unit_arm: UnitArm, *, as_json: bool) -> None:
    name, arm = unit_arm.experiment.name, unit_arm.arm
    why = _explain_standing(unit_arm)
    if as_json:
        content = unit_arm._asdict() | {"experiment": name, "arm": arm or None}
        print_json(out, content)
        return
    if not arm:
        say(f"Not in {name}: {why}.")
    elif unit_arm.elsewhere:
        say(
            f"Not in {name}: it is in {unit_arm.elsewhere}, which started earlier; an answer is "
            "given by one experiment only."
        )
    else:
        by_hash = "by its hash; it has not been answered yet"
        how = "the store remembers it" if unit_arm.is_remembered else by_hash
        say(f"In {name}: arm {arm} ({how}).")


def print_forgotten(forgotten: Forgotten) -> None:
    what = (f"{count(n)} {name.removeprefix('n_')}" for name, n in forgotten._asdict().items())
    say(f"Deleted: {', '.join(what)}.")


def _describe(stored: StoredRevision) -> dict[str, Any]:
    return dump_experiment(stored.experiment) | {"time_ms": stored.time_ms}


def _list_changes(revisions: Sequence[StoredRevision], at: int) -> list[str]:
    """Return the fields that a revision changed."""
    if not at:
        return []
    before, after = (dump_experiment(revisions[n].experiment) for n in (at - 1, at))
    return [name for name in after if name != "revision" and before[name] != after[name]]


def _drop_empty(value: Any) -> Any:
    """Return a plain value without empty parts of mappings."""
    if not isinstance(value, dict):
        return value
    parts = {name: _drop_empty(part) for name, part in value.items()}
    return {name: part for name, part in parts.items() if part not in ("", None, [], {})}


def _put_metric_first(fields: dict[str, Any]) -> dict[str, Any]:
    return {"metric": fields["metric"]} | fields


def _explain_standing(unit_arm: UnitArm) -> str:
    experiment = unit_arm.experiment
    layer = experiment.layer
    return {
        Standing.IN: "",
        Standing.NOT_RUNNING: f"it is {experiment.state}"
        + (", and starts first" if experiment.state is State.DRAFT else ""),
        Standing.OTHER_CULTURE: "it applies to " + ", ".join(experiment.cultures),
        Standing.HELD_OUT: f"the unit is held out ({experiment.hold_out.share:.0%} of all are)",
        Standing.OTHER_BUCKET: f"its bucket of the layer is outside {layer.first}-{layer.last}",
        Standing.OUTSIDE_TRAFFIC: f"it is outside the {experiment.traffic_share:.0%} of traffic",
    }[unit_arm.standing]
