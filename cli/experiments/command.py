"""`milieu experiments`: define experiments, run them, and read their reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.experiments.options import FourArms, Traffic
from cli.lazy import Group, LazyModule
from cli.options import AsJson, ExperimentName, OptionalCulture
from cli.replay.command import replay
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.experiments import data, drafts, jobs, output, store
else:
    data = LazyModule("cli.experiments.data")
    drafts = LazyModule("cli.experiments.drafts")
    jobs = LazyModule("cli.experiments.jobs")
    output = LazyModule("cli.experiments.output")
    store = LazyModule("cli.experiments.store")

experiments = typer.Typer(
    cls=Group,
    help="Run A/B experiments on ways of answering.\n\n"
    "Define, start, look, decide. The commands work on the store of the settings; running "
    "services follow within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AllowUnsent = Annotated[
    bool, typer.Option("--allow-unsent", help="Start even if a metric has never been sent.")
]
User = Annotated[str | None, typer.Option(help="Id of the end user, as in requests.")]
Session = Annotated[str | None, typer.Option(help="Id of the session, as in requests.")]


@experiments.command()
@take_options()
def create(
    name: Annotated[
        str | None, typer.Argument(help="Experiment name; default with --file: the file's.")
    ] = None,
    four_arms: Annotated[
        bool, typer.Option("--four-arms", help="plain (control), icl, adapter and adapter+icl.")
    ] = False,
    file: Annotated[Path | None, typer.Option(help="Read the definition from a YAML file.")] = None,
    *,
    options: FourArms,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the definition as YAML; save nothing.")
    ] = False,
    start_now: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    allow_unsent: AllowUnsent = False,
) -> None:
    """Define an experiment, as a draft: anything in it can be changed until it starts.

    Without --culture it applies to all cultures.

    Examples:
      milieu experiments create my-test --four-arms

      milieu experiments create my-test --four-arms --culture DE --culture Japan
      --guardrail latency_ms:quantile=0.95:lower:200 --guardrail unreadable:proportion:lower:0.02

      milieu experiments create --file my-test.yaml --start
    """
    draft = drafts.make_draft(name, file, four=four_arms, options=options)
    if print_only:
        jobs.print_draft(draft)
    else:
        jobs.create_experiment(draft, start_now=start_now, allow_unsent=allow_unsent)


@experiments.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all experiments, oldest first.

    Example: milieu experiments list
    """
    revisions = store.run_in_store(lambda store, _: store.experiments())
    output.print_list(revisions, as_json=as_json)


@experiments.command()
def show(name: ExperimentName, as_json: AsJson = False) -> None:
    """Show the definition of an experiment, as YAML, and its revisions.

    Example: milieu experiments show my-test
    """
    revisions = store.run_in_store(lambda store, _: store.revisions(name))
    output.print_experiment(revisions, as_json=as_json)


@experiments.command()
def revise(
    name: ExperimentName,
    file: Annotated[
        Path | None, typer.Option(help="Read the whole definition from a YAML file.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="New weights: icl=0.4,plain=0.6; arms not named keep theirs."),
    ] = None,
    traffic: Annotated[
        float | None,
        typer.Option(help="Share of units that take part; may only grow while it runs."),
    ] = None,
) -> None:
    """Change an experiment: anything in a draft; a few things while it runs.

    While it runs, weights, traffic, duration and testers may change. Units keep their arms.

    Example: milieu experiments revise my-test --traffic 0.5
    """
    jobs.revise_experiment(name, file=file, weights=weights, traffic=traffic)


@experiments.command()
def start(name: ExperimentName, allow_unsent: AllowUnsent = False) -> None:
    """Start an experiment. What its definition promises cannot change from then on.

    A metric that nobody sent in the last 30 days is refused: its name may be wrong.

    Example: milieu experiments start my-test
    """
    jobs.start_experiment(name, allow_unsent=allow_unsent)


@experiments.command()
def stop(name: ExperimentName) -> None:
    """Stop a running experiment for good. Outcomes of its answers still count in their window.

    Example: milieu experiments stop my-test
    """
    store.run_in_store(lambda _, registry: registry.stop(name))
    output.say(f"{name} is stopped.")
    output.say_next(f"report {name}", f'decide {name} "…"')


@experiments.command()
def decide(
    name: ExperimentName, decision: Annotated[str, typer.Argument(help="The decision, in words.")]
) -> None:
    """Record the decision on a stopped experiment, in words.

    Example: milieu experiments decide my-test "adapter+icl answers for everybody from May on"
    """
    store.run_in_store(lambda _, registry: registry.decide(name, decision))
    output.say(f"{name} is decided.")
    output.say_next(f"report {name} --html {name}.html")


@experiments.command()
def report(
    name: ExperimentName,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as a page to this file, too.")
    ] = None,
) -> None:
    """Show what an experiment says so far. Look as often as you like: that costs nothing.

    Example: milieu experiments report my-test --html my-test.html
    """
    jobs.report_experiment(name, as_json=as_json, html=html)


@experiments.command()
@take_options()
def plan(
    name: ExperimentName,
    traffic: Traffic,
    power: Annotated[
        float, typer.Option(help="Probability of finding the smallest effect, if it is there.")
    ] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Estimate how long an experiment will take, by simulation.

    The plan of a draft is kept for its report.

    Example: milieu experiments plan my-test --units-per-day 1000 --baseline 0.3
    """
    jobs.plan_experiment(name, traffic, power=power, as_json=as_json)


experiments.command()(replay)


@experiments.command()
def assign(
    name: ExperimentName,
    user: User = None,
    session: Session = None,
    culture: OptionalCulture = None,
    as_json: AsJson = False,
) -> None:
    """Show which arm of an experiment a user or session gets, or why none. Nothing is written.

    Without --culture, assumes a culture that the experiment applies to.

    Example: milieu experiments assign my-test --user ada --culture DE
    """
    data.show_arm(name, user=user, session=session, culture=culture, as_json=as_json)


@experiments.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; new or empty.")],
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Questions, answers and comments too.")
    ] = False,
) -> None:
    """Write all events to Parquet files. Users appear as hashes.

    Example: milieu experiments export ./events
    """
    data.export_events(folder, with_texts=with_texts)


@experiments.command()
def forget(
    user: User = None,
    session: Session = None,
    before: Annotated[
        str | None, typer.Option(help="Everybody's events before this date, or 90d ago.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete for good the data of a user or session, or all events before a time.

    Events of undecided experiments stay, except for texts: deleting them would change results.

    Example: milieu experiments forget --before 90d
    """
    data.forget_events(user=user, session=session, before=before, yes=yes)
