"""What `milieu experiments` does: change the store, and say what is next."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import typer

from app.errors import OptionInvalid
from cli.console import notes, out
from cli.experiments import output, store
from cli.experiments.drafts import read_definition, reweight
from cli.experiments.output import say, say_next
from cli.experiments.planning import Traffic
from cli.settings import read_quiet_settings
from experiments.definition import Experiment, State
from experiments.report.page import render_report
from experiments.report.terminal import print_report
from reports.terminal import print_json


def print_draft(draft: Experiment) -> None:
    """Print a definition as YAML, and how to save it."""
    typer.echo(output.definition_yaml(draft), nl=False)
    notes.print("Nothing is saved. Next, with this in a file:", highlight=False)
    notes.print(f"  milieu experiments create --file {draft.name}.yaml", highlight=False)


def create(draft: Experiment, *, start_now: bool, allow_unsent: bool) -> None:
    """Save a draft, and start it if that is wanted."""
    created = asyncio.run(store.create_experiment(read_quiet_settings(), draft))
    say(f"{created.name} is a draft now.")
    if start_now:
        start(created.name, allow_unsent=allow_unsent)
    else:
        say_next(f"plan {created.name} --units-per-day …", f"start {created.name}")


def list_all(*, as_json: bool) -> None:
    """Print the latest revision of every experiment."""
    output.print_list(asyncio.run(store.list_experiments(read_quiet_settings())), as_json=as_json)


def show(name: str, *, as_json: bool) -> None:
    """Print an experiment and its revisions."""
    revisions = asyncio.run(store.show_experiment(read_quiet_settings(), name))
    output.print_experiment(revisions, as_json=as_json)


def revise(name: str, *, file: Path | None, weights: str | None, traffic: float | None) -> None:
    """Save a revision: a whole definition, or other weights and traffic.

    Raises:
        OptionInvalid: both are given, or neither.
    """
    quick = weights is not None or traffic is not None
    if quick == (file is not None):
        found = "it with others" if quick else "neither it nor --weights or --traffic"
        raise OptionInvalid("--file", found, "a file, or quick changes")

    def change(latest: Experiment) -> Experiment:
        if file is not None:
            return read_definition(file, name)
        new = latest if weights is None else reweight(latest, weights)
        return new if traffic is None else replace(new, traffic_share=traffic)

    before, after = asyncio.run(store.revise_experiment(read_quiet_settings(), name, change))
    if before.revision == after.revision:
        say(f"{name} is as it was, revision {after.revision}: nothing differs.")
        return
    say(f"{name} is {after.state}, revision {after.revision} now.")
    say_next(f"{'start' if after.state is State.DRAFT else 'report'} {name}")


def start(name: str, *, allow_unsent: bool) -> None:
    """Start an experiment."""
    settings = read_quiet_settings()
    started = asyncio.run(store.start_experiment(settings, name, allow_unsent=allow_unsent))
    say(f"{name} is running: services follow within a second.")
    for note in started.notes:
        say(f"Note: {note}.")
    say_next(f"report {name}")


def stop(name: str) -> None:
    """Stop an experiment."""
    asyncio.run(store.stop_experiment(read_quiet_settings(), name))
    say(f"{name} is stopped.")
    say_next(f"report {name}", f'decide {name} "…"')


def decide(name: str, decision: str) -> None:
    """Record the decision on an experiment."""
    asyncio.run(store.decide_experiment(read_quiet_settings(), name, decision))
    say(f"{name} is decided.")
    say_next(f"report {name} --html {name}.html")


def report(name: str, *, as_json: bool, html: Path | None) -> None:
    """Print what the events say, and write the page if it is wanted."""
    with notes.status("Reading the events …"):
        found = asyncio.run(store.analyse_experiment(read_quiet_settings(), name))
    if html is not None:
        html.write_text(render_report(found), encoding="utf-8")
    if as_json:
        print_json(out, found.model_dump(mode="json"))
    else:
        print_report(found, out)
    if html is not None:
        notes.print(f"Written to {html}", markup=False, highlight=False, soft_wrap=True)


def plan(name: str, traffic: Traffic, *, power: float, as_json: bool) -> None:
    """Print how long an experiment will take."""
    with notes.status("Simulating …"):
        planning = store.plan_experiment(read_quiet_settings(), name, traffic, power=power)
        kept = asyncio.run(planning)
    output.print_plan(kept, as_json=as_json)
