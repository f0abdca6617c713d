"""What `milieu culturespa` does: each step with its bar, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from adapters.culturespa.steps import StepManifest
from app.settings import Settings
from cli.console import notes, read_quiet_settings
from cli.culturespa.options import RunOptions
from cli.culturespa.output import (
    LiveSteps,
    print_cards,
    print_manifest,
    print_outcomes,
    print_step,
    print_trained,
)
from cli.culturespa.run import run_steps
from cli.culturespa.run_options import check_ratios, choose_base
from cli.culturespa.served_model import ServedModel
from cli.culturespa.steps import (
    answer_questions,
    collect_examples,
    filter_questions,
    generate_questions,
)
from cli.culturespa.surveys import open_surveyed_library, open_surveys, resolve_cultures
from cli.culturespa.training import OnStep, Training, train_adapters


def run_generate(options: RunOptions, *, as_json: bool) -> None:
    """Do step 1. Raises as `generate_questions` does."""
    settings = read_quiet_settings()
    surveys = open_surveys(settings, options.pack)

    def step(model: ServedModel, on_step: OnStep) -> Awaitable[StepManifest]:
        return generate_questions(options.out, surveys, model, options, on_step)

    manifest = asyncio.run(_ask(settings, step, "generate", unit="questions"))
    _print("generate", manifest, options.out, as_json=as_json)


def run_filter(options: RunOptions, questions: Path, *, as_json: bool) -> None:
    """Do step 2. Raises as `filter_questions` does."""
    surveys = open_surveys(read_quiet_settings(), options.pack)
    manifest = filter_questions(options.out, questions, surveys)
    _print("filter", manifest, options.out, as_json=as_json)


def run_answer(options: RunOptions, questions: Path, *, as_json: bool) -> None:
    """Do step 3. Raises as `answer_questions` does."""
    settings = read_quiet_settings()
    library = open_surveyed_library(settings)
    cultures = resolve_cultures(library, options.cultures)

    def step(model: ServedModel, on_step: OnStep) -> Awaitable[StepManifest]:
        return answer_questions(options.out, questions, cultures, model, library, options, on_step)

    manifest = asyncio.run(_ask(settings, step, "answer", unit="answers"))
    _print("answer", manifest, options.out, as_json=as_json)


def run_collect(options: RunOptions, questions: Path, answers: Path, *, as_json: bool) -> None:
    """Do step 4. Raises as `collect_examples` does."""
    check_ratios(options.ratios)
    manifest = collect_examples(options.out, questions, answers, options, options.ratios[0])
    _print("collect", manifest, options.out, as_json=as_json)


def run_train(options: RunOptions, questions: Path, examples: Path, *, as_json: bool) -> None:
    """Do step 5. Raises as `train_adapters` does."""
    settings = read_quiet_settings()
    codes: tuple[str, ...] = ()
    if options.cultures:
        named = resolve_cultures(open_surveyed_library(settings), options.cultures)
        codes = tuple(culture.code for culture in named)
    training = Training(
        examples=examples,
        questions=questions,
        base=choose_base(settings, options.base_folder, name=options.base_name),
        out=options.out,
        mode=options.modes[0],
        settings=options.train,
        cultures=codes,
        sources=options.sources,
        licence=options.licence,
        n_threads=options.n_threads,
    )
    with LiveSteps(notes).step("train", unit="steps") as on_step:
        adapters = asyncio.run(train_adapters(training, on_step=on_step))
    (print_cards if as_json else print_trained)(adapters)


def run_all(options: RunOptions) -> None:
    """Do all steps. Raises as `run_steps` does."""
    outcomes = asyncio.run(run_steps(read_quiet_settings(), options, progress=LiveSteps(notes)))
    print_outcomes(outcomes, pack=options.pack, from_survey=options.from_survey)


async def _ask(
    settings: Settings,
    step: Callable[[ServedModel, OnStep], Awaitable[StepManifest]],
    name: str,
    *,
    unit: str,
) -> StepManifest:
    async with ServedModel(settings) as model:
        with LiveSteps(notes).step(name, unit=unit) as on_step:
            return await step(model, on_step)


def _print(name: str, manifest: StepManifest, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_manifest(manifest)
    else:
        print_step(name, manifest, folder)
