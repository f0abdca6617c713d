"""`milieu experiments replay`: every arm of an experiment asked the same, before any user is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import OptionInvalid
from cli.lazy import LazyModule
from cli.options import AsJson, Concurrency, Cultures, HeldOut

if TYPE_CHECKING:
    from cli.replay import job, requests
else:
    job = LazyModule("cli.replay.job")
    requests = LazyModule("cli.replay.requests")


def replay(
    name: Annotated[str | None, typer.Argument(help="Name of a stored experiment.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A definition in YAML, instead of a stored experiment.")
    ] = None,
    logged: Annotated[
        bool, typer.Option("--logged", help="Replay the logged requests of users who consented.")
    ] = False,
    pack: Annotated[
        list[str] | None,
        typer.Option(help="Pack to take questions from. Repeatable; default: all packs."),
    ] = None,
    n_questions: Annotated[
        int | None,
        typer.Option(
            min=2, help="Questions to draw at random; default: 50, or all logged requests."
        ),
    ] = None,
    culture: Cultures = None,
    held_out: HeldOut = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw, and of sampled answers.")] = 0,
    concurrency: Concurrency = 16,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="New folder for the report, the figures and the answers."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every arm of an experiment the same questions, and compare the answers.

    Asks the model of the settings, with the same evidence and seeds for every arm. Only the
    comparison is kept, in the experiment's report. Without --culture, asks as the experiment's
    cultures, or as 4 drawn at random. Ctrl-C ends it early and shows what was found so far. For
    latencies of an idle server, use --concurrency 1.

    Examples:
      milieu experiments replay four-ways

      milieu experiments replay four-ways --logged --out replay

      milieu experiments replay --file experiment.yaml -c DE -c Japan --n-questions 100
    """
    if (name is None) == (file is None):
        found = "neither" if name is None else f"'{name}' and --file"
        raise OptionInvalid("NAME", found, "the name of a stored experiment, or --file")
    if logged and (pack or held_out):
        raise OptionInvalid("--logged", "with --pack or --held-out", "one of them")
    options = requests.ReplayOptions(
        logged=logged,
        packs=tuple(pack or ()),
        cultures=tuple(culture or ()),
        held_out_only=held_out,
        n_questions=n_questions,
        seed=seed,
        n_concurrent=concurrency,
    )
    sys.exit(job.compare_arms(name, file, options=options, folder=out_folder, as_json=as_json))
