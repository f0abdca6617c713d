"""All steps of CultureSPA in one folder, from questions to adapters in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adapters.base_model import read_base_model
from adapters.culturespa.errors import NothingToTrain
from adapters.culturespa.pipeline import ANSWERS, CONTROL, EXAMPLES, QUESTIONS, collect_step
from adapters.culturespa.recipe import TrainedAdapter, TrainingBase
from adapters.culturespa.settings import Mode
from adapters.manifest import AdapterFacts, AdapterManifest
from adapters.registry import AdapterRegistry
from app.settings import Settings
from cli.culturespa.inputs import Surveys, open_surveys, resolve_cultures
from cli.culturespa.options import RunOptions
from cli.culturespa.output import print_step, show_step
from cli.culturespa.run_options import Variant, check_options, choose_base, list_variants
from cli.culturespa.served_model import ServedModel
from cli.culturespa.steps import do_answer, do_filter, do_generate, take_survey
from cli.culturespa.training import Training, train_in_child
from prompting.recipe import Method
from survey_data.cultures import Culture


class RunAdapter(NamedTuple):
    """An adapter of a run, and its entry in the registry if it was added."""

    variant: Variant
    adapter: TrainedAdapter
    entry: AdapterManifest | None


@dataclass(frozen=True)
class _Run:
    out: Path
    options: RunOptions
    surveys: Surveys


async def run_steps(settings: Settings, out: Path, options: RunOptions) -> tuple[RunAdapter, ...]:
    """Do all steps in the folder `out`, or what is left of them, and return the adapters.

    The vLLM that was asked is stopped before training begins.
    """
    surveys = open_surveys(settings, options.pack)
    cultures = resolve_cultures(surveys.library, options.cultures)
    base = choose_base(settings, options)
    check_options(settings, options, base)
    sources = _collect_sources(options, base, surveys)
    running = _Run(out, options, surveys)
    async with ServedModel(settings) as model:
        questions = await _make_questions(running, model)
        await _answer(running, questions, cultures, model)
    folders = {
        ratio: _collect(running, questions, ratio) for ratio in dict.fromkeys(options.ratios)
    }
    adapters = []
    for variant in list_variants(options):
        examples = folders[variant.ratio] / (CONTROL if variant.is_control else EXAMPLES)
        training = Training(
            examples, questions, base, out / variant.folder, variant.mode, options, sources=sources
        )
        with show_step(variant.folder.removeprefix("5-"), unit="steps") as on_step:
            trained = await train_in_child(training, on_step=on_step)
        adapters += [(variant, adapter) for adapter in trained]
    if not options.adds:
        return tuple(RunAdapter(variant, adapter, None) for variant, adapter in adapters)
    return await asyncio.to_thread(_add_to_registry, settings, options, base, adapters)


async def _make_questions(running: _Run, model: ServedModel) -> Path:
    """Return the file of questions to ask, made by the first steps."""
    options, surveys = running.options, running.surveys
    if options.from_survey:
        folder = running.out / "1-survey"
        print_step("survey", take_survey(folder, surveys, options.topics))
        return folder / QUESTIONS
    given = options.questions
    if given is None:
        folder = running.out / "1-generate"
        with show_step("generate", unit="questions") as on_progress:
            manifest = await do_generate(folder, surveys, options, model, on_progress)
        print_step("generate", manifest)
        given = folder / QUESTIONS
    folder = running.out / "2-filter"
    print_step("filter", do_filter(folder, given, surveys))
    return folder / QUESTIONS


async def _answer(
    running: _Run, questions: Path, cultures: Sequence[Culture], model: ServedModel
) -> None:
    folder, library = running.out / "3-answer", running.surveys.library
    with show_step("answer", unit="answers") as on_progress:
        manifest = await do_answer(
            folder, questions, cultures, library, running.options, model, on_progress
        )
    print_step("answer", manifest)


def _collect(running: _Run, questions: Path, ratio: float) -> Path:
    name = f"collect{Variant(ratio, Mode.JOINT, is_control=False).suffix}"
    folder = running.out / f"4-{name}"
    answers = running.out / "3-answer" / ANSWERS
    settings, seed = running.options.collect, running.options.seed
    manifest = collect_step(folder, questions, answers, settings=settings, ratio=ratio, seed=seed)
    print_step(name, manifest)
    if not manifest.counts["examples"]:
        raise NothingToTrain(str(folder / EXAMPLES), "no answer that differs")
    return folder


def _collect_sources(options: RunOptions, base: TrainingBase, surveys: Surveys) -> dict[str, str]:
    """Return the terms of adapters: those of the model that answered, and of the questions."""
    manifest = surveys.library.manifest(options.pack)
    sources = {}
    if options.questions is None:
        sources[manifest.title] = manifest.licence
    return sources | options.source_terms


def _add_to_registry(
    settings: Settings,
    options: RunOptions,
    base: TrainingBase,
    adapters: Sequence[tuple[Variant, TrainedAdapter]],
) -> tuple[RunAdapter, ...]:
    """Add the adapters of a run to the registry of the settings."""
    model = read_base_model(base.folder, name=base.served_name)
    registry = AdapterRegistry(settings.adapters_folder)
    added = []
    for variant, adapter in adapters:
        part = "joint" if variant.mode is Mode.JOINT else adapter.card.cultures[0].lower()
        entry = registry.add(
            adapter.folder,
            base=model,
            max_rank=settings.vllm.max_lora_rank,
            name=f"{options.name}-{part}{variant.suffix}",
            cultures=adapter.card.cultures,
            about=_describe(settings, options, variant, adapter),
        )
        added.append(RunAdapter(variant, adapter, entry))
    return tuple(added)


def _describe(
    settings: Settings, options: RunOptions, variant: Variant, adapter: TrainedAdapter
) -> AdapterFacts:
    # The prompts that were asked with; the adapter is trained on `persona` either way.
    asked_by = "-cct" if options.answer.method is Method.CROSS_CULTURE else ""
    questions = f"questions generated from {options.pack}"
    if options.from_survey:
        questions = f"the questions of {options.pack} that are not held out"
    elif options.questions is not None:
        questions = f"questions of {options.questions.name}"
    which = "that differ from its unaware ones"
    if variant.is_control:
        which = "drawn at random, as a control for those that differ from its unaware ones"
    elif variant.ratio < 1.0:
        which += f" ({100.0 * variant.ratio:g} % of them)"
    n = sum(adapter.card.n_examples.values())
    return AdapterFacts(
        method=f"culturespa-{variant.mode}{asked_by}",
        data=f"{n} answers of {settings.model} to {questions}, {which}",
        licence=options.licence,
        metrics=adapter.card.metrics,
    )
