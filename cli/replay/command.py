"""`milieu experiments replay`: every arm of an experiment asked the same, before any user is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.errors import OptionInvalid
from app.settings import Settings
from cli.console import explained, notes, quiet_settings
from cli.progress import PacedBar

if TYPE_CHECKING:
    from cli.replay.requests import ReplayOptions
    from cli.replay.run import ReplayRun
    from experiments.events import AnswerText

ALL_FAILED = 1
# As a shell says it of a command that Ctrl-C ended.
ENDED = 130
out = Console(markup=False, highlight=False)


def replay(
    name: Annotated[str | None, typer.Argument(help="An experiment in the store.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A definition that is not in the store, as YAML.")
    ] = None,
    logged: Annotated[
        bool, typer.Option("--logged", help="Logged requests of users who agreed to it.")
    ] = False,
    pack: Annotated[
        list[str] | None, typer.Option(help="Whose questions. Repeatable; default: all packs.")
    ] = None,
    n_questions: Annotated[
        int | None, typer.Option(min=2, help="Drawn at random; default: 50, or all of the log.")
    ] = None,
    culture: Annotated[
        list[str] | None,
        typer.Option(
            "--culture", "-c", help="Repeatable; default: those of the experiment, or 4 drawn."
        ),
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only what the embedded model never trained on.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw, and of drawn answers.")] = 0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1024, help="Requests at a time; 1 for latencies at rest.")
    ] = 16,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="A new folder for report, figures and answers.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Ask every arm of an experiment the same questions, and compare what comes back.

    Asks the model of the settings, with the same evidence and seeds for every arm, and records
    nothing of it but the comparison, which then stands in the experiment's report. Ctrl-C ends it
    early and shows what has been found by then.

    Examples:
      milieu experiments replay four-ways

      milieu experiments replay four-ways --logged --out replay

      milieu experiments replay --file experiment.yaml -c DE -c Japan --n-questions 100
    """
    with explained():
        if (name is None) == (file is None):
            found = "neither" if name is None else f"'{name}' and --file"
            raise OptionInvalid("NAME", found, "the name of a stored experiment, or --file")
        if logged and (pack or held_out):
            raise OptionInvalid("--logged", "with --pack or --held-out", "one of them")
        # Here, not above: its imports take seconds, and the other commands need none.
        from cli.replay.requests import ReplayOptions
        from cli.replay.run import check_folder, write_replay
        from experiments.replay.report import print_replay

        options = ReplayOptions(
            logged=logged,
            packs=tuple(pack or ()),
            cultures=tuple(culture or ()),
            held_out_only=held_out,
            n_questions=n_questions,
            seed=seed,
            n_concurrent=concurrency,
        )
        if out_folder is not None:
            check_folder(out_folder)
        settings = quiet_settings()
        run = _run(settings, options, name=name, file=file)
        if as_json:
            out.print_json(run.replay.model_dump_json())
        else:
            print_replay(run.replay, out)
        if out_folder is not None:
            write_replay(run, out_folder)
            _note(f"Report: {out_folder / 'report.html'}")
        if name is not None:
            _keep(settings, run)
    if not run.is_whole:
        sys.exit(ENDED)
    sys.exit(0 if run.replay.has_answers else ALL_FAILED)


def _run(
    settings: Settings, options: ReplayOptions, *, name: str | None, file: Path | None
) -> ReplayRun:
    from cli.replay.run import replay_of, stored, stored_texts
    from experiments.definition_file import read_experiment

    texts: tuple[AnswerText, ...] = ()
    if name is not None:
        experiment, texts = asyncio.run(stored(settings, name, with_texts=options.logged))
    else:
        assert file is not None
        experiment = read_experiment(file)
        if options.logged:
            texts = asyncio.run(stored_texts(settings))
    with ReplayBar(notes) as bar:
        doing = replay_of(settings, experiment, options, texts=texts, progress=bar)
        return asyncio.run(doing)


def _keep(settings: Settings, run: ReplayRun) -> None:
    from cli.replay.run import kept

    if not run.is_whole:
        _note("Ended early: not kept with the experiment.")
    elif not run.replay.has_answers:
        _note("Nothing was answered: not kept with the experiment.")
    elif asyncio.run(kept(settings, run.replay)):
        _note(f"Kept with the experiment: milieu experiments report {run.replay.experiment}")
    else:
        _note("Not kept: the replay that the experiment has says how near the arms are to people.")


def _note(text: str) -> None:
    notes.print(text, markup=False, highlight=False)


class ReplayBar(PacedBar):
    """Shows how far a replay is, how fast it goes and how long it will take."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="answers")

    def on_planned(self, n_answers: int) -> None:
        """See `cli.replay.run.ReplayProgress`."""
        self.begin(n_answers, f"{n_answers} answers to get")

    def on_answered(self, n: int, *, n_failed: int) -> None:
        """See `cli.replay.run.ReplayProgress`."""
        failed = f", {n_failed} failed" if n_failed else ""
        self.show(n, n_sent=n, sent="answers", note=failed)
