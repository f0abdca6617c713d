"""What `milieu culturespa` does: each step with its bar and its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from adapters.culturespa.pipeline import collect_step
from adapters.culturespa.settings import Mode
from adapters.culturespa.steps import StepManifest
from app.settings import Settings
from app.state.retrieval import read_library
from cli import console
from cli.culturespa.inputs import open_surveys, resolve_cultures
from cli.culturespa.options import RunOptions
from cli.culturespa.output import print_cards, print_outcomes, print_step, print_trained, show_step
from cli.culturespa.run import run_steps
from cli.culturespa.run_options import check_collect, choose_base
from cli.culturespa.served_model import ServedModel
from cli.culturespa.steps import do_answer, do_filter, do_generate
from cli.culturespa.training import OnStep, Training, train_in_child
from reports.terminal import print_json
from survey_data.cultures import read_catalogue


def run_generate(out: Path, options: RunOptions, *, as_json: bool) -> None:
    settings = console.read_quiet_settings()
    step = partial(do_generate, out, open_surveys(settings, options.pack), options)
    _print(_ask(settings, "generate", step, unit="questions"), out, as_json=as_json)


def run_filter(out: Path, options: RunOptions, questions: Path, *, as_json: bool) -> None:
    surveys = open_surveys(console.read_quiet_settings(), options.pack)
    _print(do_filter(out, questions, surveys), out, as_json=as_json)


def run_answer(out: Path, options: RunOptions, questions: Path, *, as_json: bool) -> None:
    settings = console.read_quiet_settings()
    library = read_library(settings, read_catalogue())
    cultures = resolve_cultures(library, options.cultures)
    step = partial(do_answer, out, questions, cultures, library, options)
    _print(_ask(settings, "answer", step, unit="answers"), out, as_json=as_json)


def run_collect(
    out: Path, options: RunOptions, questions: Path, answers: Path, *, as_json: bool
) -> None:
    check_collect(options)
    (ratio,), how, seed = options.ratios, options.collect, options.seed
    manifest = collect_step(out, questions, answers, settings=how, ratio=ratio, seed=seed)
    _print(manifest, out, as_json=as_json)


def run_train(
    out: Path, options: RunOptions, questions: Path, examples: Path, *, mode: Mode, as_json: bool
) -> None:
    settings = console.read_quiet_settings()
    codes: tuple[str, ...] = ()
    if options.cultures:
        cultures = resolve_cultures(read_library(settings, read_catalogue()), options.cultures)
        codes = tuple(culture.code for culture in cultures)
    base, sources = choose_base(settings, options), options.source_terms
    training = Training(examples, questions, base, out, mode, options, codes, sources)
    with show_step("train", unit="steps") as on_step:
        adapters = asyncio.run(train_in_child(training, on_step=on_step))
    (print_cards if as_json else print_trained)(adapters)


def run_all(out: Path, options: RunOptions) -> None:
    outcomes = asyncio.run(run_steps(console.read_quiet_settings(), out, options))
    print_outcomes(outcomes, pack=options.pack, from_survey=options.from_survey)


def _ask(
    settings: Settings,
    name: str,
    step: Callable[[ServedModel, OnStep], Awaitable[StepManifest]],
    *,
    unit: str,
) -> StepManifest:
    async def ask() -> StepManifest:
        async with ServedModel(settings) as model:
            with show_step(name, unit=unit) as on_step:
                return await step(model, on_step)

    return asyncio.run(ask())


def _print(manifest: StepManifest, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(console.out, manifest.model_dump())
    else:
        print_step(manifest.step, manifest, folder)
