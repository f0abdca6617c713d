"""What `milieu culturespa` does: each step with its bar, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from adapters.culturespa.settings import (
    AnswerStepSettings,
    CollectSettings,
    GenerateSettings,
    Mode,
    TrainSettings,
)
from adapters.culturespa.steps import StepManifest
from cli.console import notes, read_quiet_settings
from cli.culturespa import steps
from cli.culturespa.output import (
    LiveSteps,
    print_adapters,
    print_cards,
    print_manifest,
    print_outcomes,
    print_step,
)
from cli.culturespa.run import run_steps
from cli.culturespa.run_options import RunOptions, check_ratios, choose_base
from cli.culturespa.served_model import ServedModel
from cli.culturespa.surveys import open_surveyed_library, open_surveys, resolve_cultures
from cli.culturespa.training import OnStep, Training, train_adapters

__all__ = ["RunOptions", "answer", "collect", "filter_questions", "generate", "run", "train"]


def generate(
    out: Path,
    pack: str,
    settings: GenerateSettings,
    *,
    topics: Sequence[str],
    n_concurrent: int,
    as_json: bool,
) -> None:
    """Do step 1. Raises as `steps.generate` does."""
    service = read_quiet_settings()
    surveys = open_surveys(service, pack)

    async def work() -> StepManifest:
        async with ServedModel(service) as model:
            with _bar("generate", unit="questions") as on_progress:
                return await steps.generate(
                    out,
                    surveys,
                    model,
                    settings=settings,
                    topics=topics,
                    n_concurrent=n_concurrent,
                    on_progress=on_progress,
                )

    _print("generate", asyncio.run(work()), out, as_json=as_json)


def filter_questions(out: Path, questions: Path, pack: str, *, as_json: bool) -> None:
    """Do step 2. Raises as `steps.filter_questions` does."""
    surveys = open_surveys(read_quiet_settings(), pack)
    manifest = steps.filter_questions(out, questions, surveys)
    _print("filter", manifest, out, as_json=as_json)


def answer(
    out: Path,
    questions: Path,
    cultures: Sequence[str],
    settings: AnswerStepSettings,
    *,
    n_concurrent: int,
    as_json: bool,
) -> None:
    """Do step 3. Raises as `steps.answer` does."""
    service = read_quiet_settings()
    library = open_surveyed_library(service)
    named = resolve_cultures(library, cultures)

    async def work() -> StepManifest:
        async with ServedModel(service) as model:
            with _bar("answer", unit="answers") as on_progress:
                return await steps.answer(
                    out,
                    questions,
                    named,
                    model,
                    library=library,
                    settings=settings,
                    n_concurrent=n_concurrent,
                    on_progress=on_progress,
                )

    _print("answer", asyncio.run(work()), out, as_json=as_json)


def collect(
    out: Path,
    questions: Path,
    answers: Path,
    settings: CollectSettings,
    *,
    ratio: float,
    seed: int,
    as_json: bool,
) -> None:
    """Do step 4. Raises as `steps.collect` does."""
    check_ratios((ratio,))
    manifest = steps.collect(out, questions, answers, settings=settings, ratio=ratio, seed=seed)
    _print("collect", manifest, out, as_json=as_json)


def train(
    examples: Path,
    questions: Path,
    out: Path,
    *,
    mode: Mode,
    cultures: Sequence[str],
    base_folder: Path | None,
    base_name: str | None,
    settings: TrainSettings,
    sources: Mapping[str, str],
    licence: str,
    n_threads: int,
    as_json: bool,
) -> None:
    """Do step 5. Raises as `train_adapters` does."""
    service = read_quiet_settings()
    codes: tuple[str, ...] = ()
    if cultures:
        named = resolve_cultures(open_surveyed_library(service), cultures)
        codes = tuple(culture.code for culture in named)
    training = Training(
        examples=examples,
        questions=questions,
        base=choose_base(service, base_folder, name=base_name),
        out=out,
        mode=mode,
        settings=settings,
        cultures=codes,
        sources=sources,
        licence=licence,
        n_threads=n_threads,
    )
    with _bar("train", unit="steps") as on_step:
        adapters = asyncio.run(train_adapters(training, on_step=on_step))
    if as_json:
        print_cards(adapters)
    else:
        print_adapters(adapters)


def run(options: RunOptions) -> None:
    """Do all steps. Raises as `run_steps` does."""
    outcomes = asyncio.run(run_steps(read_quiet_settings(), options, progress=LiveSteps(notes)))
    print_outcomes(outcomes, pack=options.pack, from_survey=options.from_survey)


def _bar(name: str, *, unit: str) -> AbstractContextManager[OnStep]:
    return LiveSteps(notes).step(name, unit=unit)


def _print(name: str, manifest: StepManifest, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_manifest(manifest)
    else:
        print_step(name, manifest, folder)
