"""All steps of CultureSPA in one folder, from questions to adapters in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from adapters.culturespa.errors import NothingToTrain
from adapters.culturespa.pipeline import ANSWERS, CONTROL, EXAMPLES, QUESTIONS
from adapters.culturespa.recipe import TrainingBase
from adapters.culturespa.settings import Mode
from adapters.culturespa.steps import StepManifest
from app.settings import Settings
from cli.culturespa.options import RunOptions
from cli.culturespa.registration import RunAdapter, add_to_registry
from cli.culturespa.run_options import (
    Variant,
    check_options,
    choose_base,
    list_variants,
)
from cli.culturespa.served_model import ServedModel
from cli.culturespa.steps import (
    answer_questions,
    collect_examples,
    filter_questions,
    generate_questions,
    take_survey,
)
from cli.culturespa.surveys import Surveys, open_surveys, resolve_cultures
from cli.culturespa.training import OnStep, Training, train_adapters
from mini_model.weights import WEIGHTS
from survey_data.cultures import Culture

EMBEDDED_TERMS = "for non-commercial use, see NOTICE"


class StepProgress(Protocol):
    """Is told which step begins and what it came to."""

    def step(self, name: str, *, unit: str) -> AbstractContextManager[OnStep]:
        """A step begins; ends with the context."""

    def on_done(self, name: str, manifest: StepManifest) -> None:
        """A step is done, now or before."""


@dataclass(frozen=True)
class _Run:
    options: RunOptions
    base: TrainingBase
    surveys: Surveys
    progress: StepProgress


async def run_steps(
    settings: Settings, options: RunOptions, *, progress: StepProgress
) -> tuple[RunAdapter, ...]:
    """Do all steps, or what is left of them, and return the adapters.

    The vLLM that asks is ended before training begins.

    Raises:
        OptionInvalid: an option does not fit; seen before anything is done.
        AdapterError, AppError, EvaluationError, SurveyDataError: a step cannot be done.
    """
    surveys = open_surveys(settings, options.pack)
    cultures = resolve_cultures(surveys.library, options.cultures)
    base = choose_base(settings, options.base_folder, name=options.base_name)
    if base.folder == WEIGHTS and not options.licence:
        options = replace(options, licence=EMBEDDED_TERMS)
    check_options(settings, options, base)
    running = _Run(options, base, surveys, progress)
    async with ServedModel(settings) as model:
        questions = await _make_questions(running, model)
        await _answer(running, questions, cultures, model)
    folders = {ratio: _collect(running, questions, ratio) for ratio in options.ratios}
    adapters = []
    for variant in list_variants(options):
        training = _make_training(running, questions, folders[variant.ratio], variant)
        with progress.step(variant.folder.removeprefix("5-"), unit="steps") as on_step:
            found = await train_adapters(training, on_step=on_step)
        adapters += [(variant, adapter) for adapter in found]
    if not options.adds:
        return tuple(RunAdapter(variant, adapter, None) for variant, adapter in adapters)
    return await asyncio.to_thread(add_to_registry, settings, options, base, adapters)


async def _make_questions(running: _Run, model: ServedModel) -> Path:
    """Return the file of questions to ask, made by the first steps."""
    options, surveys, progress = running.options, running.surveys, running.progress
    if options.from_survey:
        folder = options.out / "1-survey"
        progress.on_done("survey", take_survey(folder, surveys))
        return folder / QUESTIONS
    given = options.questions
    if given is None:
        with progress.step("generate", unit="questions") as on_progress:
            folder = options.out / "1-generate"
            manifest = await generate_questions(folder, surveys, model, options, on_progress)
        progress.on_done("generate", manifest)
        given = options.out / "1-generate" / QUESTIONS
    folder = options.out / "2-filter"
    progress.on_done("filter", filter_questions(folder, given, surveys))
    return folder / QUESTIONS


async def _answer(
    running: _Run, questions: Path, cultures: Sequence[Culture], model: ServedModel
) -> None:
    options = running.options
    with running.progress.step("answer", unit="answers") as on_progress:
        folder, library = options.out / "3-answer", running.surveys.library
        manifest = await answer_questions(
            folder, questions, cultures, model, library, options, on_progress
        )
    running.progress.on_done("answer", manifest)


def _collect(running: _Run, questions: Path, ratio: float) -> Path:
    options = running.options
    name = f"collect{Variant(ratio, Mode.JOINT, is_control=False).suffix}"
    folder = options.out / f"4-{name}"
    answers = options.out / "3-answer" / ANSWERS
    manifest = collect_examples(folder, questions, answers, options, ratio)
    running.progress.on_done(name, manifest)
    if not manifest.counts["examples"]:
        raise NothingToTrain(str(folder / EXAMPLES), "no answer that differs")
    return folder


def _make_training(running: _Run, questions: Path, folder: Path, variant: Variant) -> Training:
    options = running.options
    return Training(
        examples=folder / (CONTROL if variant.is_control else EXAMPLES),
        questions=questions,
        base=running.base,
        out=options.out / variant.folder,
        mode=variant.mode,
        settings=options.train,
        sources=_collect_sources(running),
        licence=options.licence,
        n_threads=options.n_threads,
    )


def _collect_sources(running: _Run) -> dict[str, str]:
    """Return whose terms an adapter is under: the model's that answered, and the questions'."""
    manifest = running.surveys.library.manifest(running.options.pack)
    sources = {}
    if running.base.folder == WEIGHTS:
        sources[running.base.served_name] = EMBEDDED_TERMS
    if running.options.questions is None:
        sources[manifest.title] = manifest.licence
    return sources | dict(running.options.sources)
