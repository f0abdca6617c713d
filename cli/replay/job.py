"""What `milieu experiments replay` does: ask, compare, print, and keep the comparison."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from rich.console import Console

from app.settings import Settings
from app.state.experiment_report import REPLAY
from cli.console import notes, out, read_quiet_settings
from cli.experiments.store import run_in_store
from cli.progress import PacedBar
from cli.replay.options import ReplayOptions
from cli.replay.run import ReplayRun, run_replay, write_replay
from experiments.definition_file import read_experiment
from experiments.events import AnswerText
from experiments.export import check_empty
from experiments.registry import ExperimentRegistry
from experiments.replay.report import print_replay
from experiments.replay.result import Replay
from experiments.stores.event_store import EventStore
from reports.terminal import print_line

ALL_FAILED = 1
# As a shell reports a command that Ctrl-C ended.
ENDED = 130


def compare_arms(
    name: str | None,
    file: Path | None,
    *,
    options: ReplayOptions,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Replay the stored experiment `name`, or that in `file`, and return the exit status."""
    if folder is not None:
        check_empty(folder)
    settings = read_quiet_settings()
    run = _run(settings, options, name=name, file=file)
    if as_json:
        out.print_json(run.replay.model_dump_json())
    else:
        print_replay(run.replay, out)
    if folder is not None:
        write_replay(run, folder)
        print_line(notes, f"Report: {folder / 'report.html'}")
    if name is not None:
        _keep(settings, run)
    if not run.is_whole:
        return ENDED
    return 0 if run.replay.has_answers else ALL_FAILED


def _run(
    settings: Settings, options: ReplayOptions, *, name: str | None, file: Path | None
) -> ReplayRun:
    async def read_texts(store: EventStore, _: ExperimentRegistry) -> list[AnswerText]:
        return [text async for text in store.texts()]

    if name is not None:
        experiment = run_in_store(lambda store, _: store.read_latest(name), settings=settings)
    else:
        assert file is not None
        experiment = read_experiment(file)
    texts = run_in_store(read_texts, settings=settings) if options.logged else ()
    with ReplayBar(notes) as bar:
        replaying = run_replay(settings, experiment, options, texts=texts, progress=bar)
        return asyncio.run(replaying)


def _keep(settings: Settings, run: ReplayRun) -> None:
    if not run.is_whole:
        print_line(notes, "Ended early: not kept with the experiment.")
    elif not run.replay.has_answers:
        print_line(notes, "Nothing was answered: not kept with the experiment.")
    elif run_in_store(partial(_attach, run.replay), settings=settings):
        print_line(
            notes, f"Kept with the experiment: milieu experiments report {run.replay.experiment}"
        )
    else:
        print_line(
            notes,
            "Not kept: the replay that the experiment has says how near the arms are to people.",
        )


async def _attach(replay: Replay, store: EventStore, _: ExperimentRegistry) -> bool:
    """Attach a replay to its experiment, replacing an earlier one, and return whether it was.

    One without a comparison with people never replaces an earlier one.
    """
    if not replay.offline() and REPLAY in await store.attachments(replay.experiment):
        return False
    await store.attach(replay.experiment, REPLAY, replay.model_dump_json())
    return True


class ReplayBar(PacedBar):
    def __init__(self, console: Console) -> None:
        super().__init__(console, things="answers")

    def on_planned(self, n_answers: int) -> None:
        self.begin(n_answers, f"{n_answers} answers to get")

    def on_answered(self, n: int, *, n_failed: int) -> None:
        failed = f", {n_failed} failed" if n_failed else ""
        self.show(n, n_sent=n, sent="answers", note=failed)
