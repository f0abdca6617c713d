"""`milieu experiments replay`: ask every arm of an experiment the same, before any user does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import OptionInvalid
from cli.lazy import LazyModule
from cli.options import AsJson
from cli.replay.options import ReplayOptions
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.replay import job
else:
    job = LazyModule("cli.replay.job")


@take_options()
def replay(
    name: Annotated[str | None, typer.Argument(help="Name of a stored experiment.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A definition in YAML, instead of a stored experiment.")
    ] = None,
    *,
    options: ReplayOptions,
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
    if options.logged and (options.packs or options.held_out_only):
        raise OptionInvalid("--logged", "with --pack or --held-out", "one of them")
    sys.exit(job.compare_arms(name, file, options=options, folder=out_folder, as_json=as_json))
