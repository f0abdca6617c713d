"""`milieu experiments`: define experiments, let them run, and see what they say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.errors import OptionInvalid
from cli.console import explained, notes, quiet_settings
from cli.experiments.data import assign, export, forget
from cli.replay.command import replay
from experiments.definition import State
from experiments.metrics import Direction, MetricKind

experiments = typer.Typer(
    help="A/B experiments on ways of answering: define, start, look, decide. The commands work on "
    "the store of the settings; running services follow within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="Of the experiment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
AllowUnsent = Annotated[
    bool, typer.Option("--allow-unsent", help="Start on metrics that nobody has sent so far.")
]


@experiments.command()
def create(
    name: Annotated[
        str | None, typer.Argument(help="Of the experiment; with --file, default: that of it.")
    ] = None,
    four_arms: Annotated[
        bool, typer.Option("--four-arms", help="plain (control), icl, adapter and adapter+icl.")
    ] = False,
    file: Annotated[Path | None, typer.Option(help="A definition in YAML instead.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The primary metric; default: helpful.")
    ] = None,
    kind: Annotated[MetricKind | None, typer.Option(help="Default: proportion.")] = None,
    direction: Annotated[Direction | None, typer.Option(help="What is better; higher.")] = None,
    smallest_effect: Annotated[
        float | None, typer.Option(help="The least difference worth having; 0.05 of a proportion.")
    ] = None,
    lowest: Annotated[float | None, typer.Option(help="Least value of a mean or rating.")] = None,
    highest: Annotated[float | None, typer.Option(help="Greatest value of them.")] = None,
    quantile: Annotated[float | None, typer.Option(help="Which quantile: 0.95.")] = None,
    hypothesis: Annotated[str | None, typer.Option(help="What is expected, and why.")] = None,
    culture: Annotated[
        list[str] | None, typer.Option("--culture", "-c", help="Repeatable; default: all.")
    ] = None,
    guardrail: Annotated[
        list[str] | None,
        typer.Option(
            help="METRIC:KIND:DIRECTION:MARGIN of what must not get worse; KIND is proportion, "
            "mean, mean=0..10, rating=1..5 or quantile=0.95. Repeatable."
        ),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the definition as YAML; save nothing.")
    ] = False,
    start_now: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    allow_unsent: AllowUnsent = False,
) -> None:
    """Define an experiment. It is a draft, of which anything can be changed until it starts.

    Examples:
      milieu experiments create my-test --four-arms

      milieu experiments create my-test --four-arms --culture DE --culture Japan
      --guardrail latency_ms:quantile=0.95:lower:200 --guardrail unreadable:proportion:lower:0.02

      milieu experiments create --file my-test.yaml --start
    """
    with explained():
        from cli.experiments.options import FourArms, drafted
        from cli.experiments.output import definition_yaml, say, say_next
        from cli.experiments.store import create_experiment

        options = FourArms(
            metric=metric,
            kind=kind,
            direction=direction,
            smallest_effect=smallest_effect,
            lowest=lowest,
            highest=highest,
            quantile=quantile,
            hypothesis=hypothesis,
            cultures=tuple(culture or ()),
            guardrails=tuple(guardrail or ()),
        )
        draft = drafted(name, file, four=four_arms, options=options)
        if print_only:
            typer.echo(definition_yaml(draft), nl=False)
            notes.print("Nothing is saved. Next, with this in a file:", highlight=False)
            notes.print(f"  milieu experiments create --file {draft.name}.yaml", highlight=False)
            return
        settings = quiet_settings()
        kept = asyncio.run(create_experiment(settings, draft))
        say(f"{kept.name} is a draft now.")
        if start_now:
            _start(kept.name, allow_unsent=allow_unsent)
        else:
            say_next(f"plan {kept.name} --units-per-day …", f"start {kept.name}")


@experiments.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all experiments, the first created first.

    Example: milieu experiments list
    """
    with explained():
        from cli.experiments.output import print_list
        from cli.experiments.store import list_experiments

        print_list(asyncio.run(list_experiments(quiet_settings())), as_json=as_json)


@experiments.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show the definition of an experiment, as YAML, and its revisions.

    Example: milieu experiments show my-test
    """
    with explained():
        from cli.experiments.output import print_experiment
        from cli.experiments.store import show_experiment

        print_experiment(asyncio.run(show_experiment(quiet_settings(), name)), as_json=as_json)


@experiments.command()
def revise(
    name: Name,
    file: Annotated[Path | None, typer.Option(help="The whole definition, in YAML.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="icl=0.4,plain=0.6; arms that are not named keep theirs.")
    ] = None,
    traffic: Annotated[
        float | None, typer.Option(help="Share of units that take part; only up while it runs.")
    ] = None,
) -> None:
    """Change an experiment: anything of a draft; weights, traffic, duration, testers while it runs.

    Units that have an arm keep it.

    Example: milieu experiments revise my-test --traffic 0.5
    """
    with explained():
        from dataclasses import replace

        from cli.experiments.options import of_file, weighted
        from cli.experiments.output import say, say_next
        from cli.experiments.store import revise_experiment
        from experiments.definition import Experiment

        quick = weights is not None or traffic is not None
        if quick == (file is not None):
            found = "it with others" if quick else "neither it nor --weights or --traffic"
            raise OptionInvalid("--file", found, "a file, or quick changes")

        def changed(latest: Experiment) -> Experiment:
            if file is not None:
                return of_file(file, name)
            new = latest if weights is None else weighted(latest, weights)
            return new if traffic is None else replace(new, traffic_share=traffic)

        before, after = asyncio.run(revise_experiment(quiet_settings(), name, changed))
        if before.revision == after.revision:
            say(f"{name} is as it was, revision {after.revision}: nothing differs.")
            return
        say(f"{name} is {after.state}, revision {after.revision} now.")
        say_next(f"{'start' if after.state is State.DRAFT else 'report'} {name}")


@experiments.command()
def start(name: Name, allow_unsent: AllowUnsent = False) -> None:
    """Let an experiment run. What was promised before the first look cannot change from then on.

    A metric that nobody sent in the last 30 days is refused: its name may be wrong.

    Example: milieu experiments start my-test
    """
    with explained():
        _start(name, allow_unsent=allow_unsent)


@experiments.command()
def stop(name: Name) -> None:
    """End a running experiment for good. Outcomes of its answers still count in their window.

    Example: milieu experiments stop my-test
    """
    with explained():
        from cli.experiments.output import say, say_next
        from cli.experiments.store import stop_experiment

        asyncio.run(stop_experiment(quiet_settings(), name))
        say(f"{name} is stopped.")
        say_next(f"report {name}", f'decide {name} "…"')


@experiments.command()
def decide(
    name: Name, decision: Annotated[str, typer.Argument(help="What came of it, in words.")]
) -> None:
    """Keep what came of a stopped experiment, in words.

    Example: milieu experiments decide my-test "adapter+icl answers for everybody from May on"
    """
    with explained():
        from cli.experiments.output import say, say_next
        from cli.experiments.store import decide_experiment

        asyncio.run(decide_experiment(quiet_settings(), name, decision))
        say(f"{name} is decided.")
        say_next(f"report {name} --html {name}.html")


@experiments.command()
def report(
    name: Name,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file too.")] = None,
) -> None:
    """Show what an experiment says so far. Look as often as you like: that costs nothing.

    Example: milieu experiments report my-test --html my-test.html
    """
    with explained():
        # Here, not above: its imports take a second, and the other commands need none.
        from cli.experiments.output import print_json
        from cli.experiments.store import analyse_experiment
        from cli.tables import out
        from experiments.report.page import to_html
        from experiments.report.terminal import print_report

        with notes.status("Reading the events …"):
            found = asyncio.run(analyse_experiment(quiet_settings(), name))
        if html is not None:
            html.write_text(to_html(found), encoding="utf-8")
        if as_json:
            print_json(found.model_dump(mode="json"))
        else:
            print_report(found, out)
        if html is not None:
            notes.print(f"Written to {html}", markup=False, highlight=False, soft_wrap=True)


@experiments.command()
def plan(
    name: Name,
    units_per_day: Annotated[
        float, typer.Option(help="Users a day, in its cultures, who give a value of the metric.")
    ],
    baseline: Annotated[
        float | None, typer.Option(help="Of a proportion: the share under control.")
    ] = None,
    mean: Annotated[float | None, typer.Option(help="Of other metrics: under control.")] = None,
    sd: Annotated[float | None, typer.Option(help="Standard deviation of a user's value.")] = None,
    power: Annotated[float, typer.Option(help="How sure to be to find the effect.")] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Say how long an experiment will take, by simulation; kept for its report while a draft.

    Example: milieu experiments plan my-test --units-per-day 1000 --baseline 0.3
    """
    with explained():
        from cli.experiments.output import print_plan
        from cli.experiments.plans import Traffic
        from cli.experiments.store import plan_experiment

        traffic = Traffic(units_per_day, baseline, mean, sd)
        with notes.status("Simulating …"):
            doing = plan_experiment(quiet_settings(), name, traffic, power=power)
            kept = asyncio.run(doing)
        print_plan(kept, as_json=as_json)


experiments.command()(replay)
experiments.command()(assign)
experiments.command()(export)
experiments.command()(forget)


def _start(name: str, *, allow_unsent: bool) -> None:
    from cli.experiments.output import say, say_next
    from cli.experiments.store import start_experiment

    started = asyncio.run(start_experiment(quiet_settings(), name, allow_unsent=allow_unsent))
    say(f"{name} is running: services follow within a second.")
    for note in started.notes:
        say(f"Note: {note}.")
    say_next(f"report {name}")
