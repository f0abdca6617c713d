"""What `milieu experiments` does: change the store, and say what comes next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from app.errors import OptionInvalid
from app.state.experiment_report import PLAN, PLAN_JSON, read_report
from app.state.retrieval import read_library
from app.state.start_notes import start_notes
from cli.console import notes, out, read_quiet_settings
from cli.experiments import output
from cli.experiments.drafts import read_definition, reweight
from cli.experiments.options import Traffic
from cli.experiments.output import say, say_next
from cli.experiments.planning import DurationPlan, plan_duration
from cli.experiments.store import list_covered, run_in_store
from experiments.definition import Experiment, State
from experiments.registry import ExperimentRegistry
from experiments.report.page import render_report
from experiments.report.terminal import print_report
from experiments.stores.event_store import EventStore
from reports.terminal import print_json, print_line
from survey_data.cultures import read_catalogue


def print_draft(draft: Experiment) -> None:
    typer.echo(output.write_yaml(draft), nl=False)
    print_line(notes, "Nothing is saved. Next, with this in a file:")
    print_line(notes, f"milieu experiments create --file {draft.name}.yaml", indent=1)


def create_experiment(draft: Experiment, *, start_now: bool, allow_unsent: bool) -> None:
    created = run_in_store(lambda _, registry: registry.define(draft), saves=True)
    say(f"{created.name} is a draft now.")
    if start_now:
        start_experiment(created.name, allow_unsent=allow_unsent)
    else:
        say_next(f"plan {created.name} --units-per-day …", f"start {created.name}")


def revise_experiment(
    name: str, *, file: Path | None, weights: str | None, traffic: float | None
) -> None:
    """Save a revision: a whole definition, or other weights and traffic."""
    quick = weights is not None or traffic is not None
    if quick == (file is not None):
        found = "it with others" if quick else "neither it nor --weights or --traffic"
        raise OptionInvalid("--file", found, "a file, or quick changes")

    def change(latest: Experiment) -> Experiment:
        if file is not None:
            return read_definition(file, name)
        new = latest if weights is None else reweight(latest, weights)
        return new if traffic is None else replace(new, traffic_share=traffic)

    async def revise(
        store: EventStore, registry: ExperimentRegistry
    ) -> tuple[Experiment, Experiment]:
        latest = await store.read_latest(name)
        return latest, await registry.revise(change(latest), base=latest.revision)

    before, after = run_in_store(revise, saves=True)
    if before.revision == after.revision:
        say(f"{name} is unchanged, revision {after.revision}: nothing differs.")
        return
    say(f"{name} is {after.state}, revision {after.revision} now.")
    say_next(f"{'start' if after.state is State.DRAFT else 'report'} {name}")


def start_experiment(name: str, *, allow_unsent: bool) -> None:
    settings = read_quiet_settings()

    async def start(_: EventStore, registry: ExperimentRegistry) -> tuple[str, ...]:
        started = await registry.start(name, allow_unsent=allow_unsent)
        return start_notes(started, registry.running, settings, sorted(list_covered(settings)))

    to_know = run_in_store(start, settings=settings)
    say(f"{name} is running: services follow within a second.")
    for note in to_know:
        say(f"Note: {note}.")
    say_next(f"report {name}")


def report_experiment(name: str, *, as_json: bool, html: Path | None) -> None:
    with notes.status("Reading the events …"):
        settings = read_quiet_settings()
        library = read_library(settings, read_catalogue())
        report = run_in_store(lambda store, _: read_report(store, name, library))
    if html is not None:
        html.write_text(render_report(report), encoding="utf-8")
    if as_json:
        print_json(out, report.model_dump(mode="json"))
    else:
        print_report(report, out)
    if html is not None:
        print_line(notes, f"Written to {html}")


def plan_experiment(name: str, traffic: Traffic, *, power: float, as_json: bool) -> None:
    """Print how long an experiment will take, and keep that with a draft.

    It is not kept once the experiment has started: the analysis uses the plan, and must not use
    one that was made after a look.
    """

    async def plan(store: EventStore, _: ExperimentRegistry) -> tuple[DurationPlan, bool]:
        experiment = await store.read_latest(name)
        expected = plan_duration(experiment, traffic, power=power)
        is_kept = experiment.state is State.DRAFT
        if is_kept:
            await store.attach(name, PLAN, PLAN_JSON.dump_json(expected.plan).decode())
        return expected, is_kept

    with notes.status("Simulating …"):
        planned, is_kept = run_in_store(plan)
    output.print_plan(planned, is_kept=is_kept, as_json=as_json)
