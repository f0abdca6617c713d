"""All steps of CultureSPA in one folder, from questions to adapters in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from adapters.base_model import AdapterBase, read_base_model
from adapters.culturespa.errors import NothingToTrain
from adapters.culturespa.pipeline import ANSWERS, CONTROL, EXAMPLES, QUESTIONS
from adapters.culturespa.recipe import TrainedAdapter, TrainingBase
from adapters.culturespa.settings import (
    AnswerStepSettings,
    CollectSettings,
    GenerateSettings,
    Mode,
    TrainSettings,
)
from adapters.culturespa.steps import StepManifest
from adapters.manifest import AdapterFacts, AdapterManifest, is_name
from adapters.registry import AdapterRegistry
from app.errors import OptionInvalid
from app.settings import Settings
from cli.culturespa.steps import (
    ServedModel,
    Surveys,
    answered,
    collected,
    cultures_of,
    filtered,
    generated,
    open_surveys,
    surveyed,
)
from cli.culturespa.training import OnStep, Training, check_base, check_installed, trained
from mini_model.weights import WEIGHTS
from prompting.recipe import Method

EMBEDDED_TERMS = "for non-commercial use, see NOTICE"
# The longest is '-joint-12-5-percent-control'.
MAX_NAME_CHARS = 32


class RunProgress(Protocol):
    """Is told which step begins and what it came to."""

    def step(self, name: str, *, unit: str) -> AbstractContextManager[OnStep]:
        """A step begins; ends with the context."""

    def on_done(self, name: str, manifest: StepManifest) -> None:
        """A step is done, now or before."""


@dataclass(frozen=True)
class RunOptions:
    """What a run does.

    Attributes:
        out: its folder, with one folder for each step.
        cultures: as they were named.
        pack: survey that questions are generated from, or taken from.
        questions: file to take them from instead.
        from_survey: take the survey's own, less those held out of the embedded model's training.
        topics: of the survey; none for all.
        ratios: shares of the examples, each for a training of its own.
        control: train on as many random answers as well.
        base: what is trained.
        sources: terms of each source of the data, by its name, besides the known ones.
        name: begins the names of the adapters.
        adds: whether the adapters go into the registry.
    """

    out: Path
    cultures: tuple[str, ...]
    base: TrainingBase
    pack: str = "wvs7"
    questions: Path | None = None
    from_survey: bool = False
    topics: tuple[str, ...] = ()
    generate: GenerateSettings = field(default_factory=GenerateSettings)
    answer: AnswerStepSettings = field(default_factory=AnswerStepSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    ratios: tuple[float, ...] = (1.0,)
    control: bool = False
    modes: tuple[Mode, ...] = (Mode.JOINT,)
    train: TrainSettings = field(default_factory=TrainSettings)
    n_threads: int = 1
    n_concurrent: int = 64
    seed: int = 0
    name: str = "culturespa"
    sources: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    adds: bool = True


class Variant(NamedTuple):
    """One training of a run: on which share of the examples, or on its control, in which mode."""

    ratio: float
    mode: Mode
    is_control: bool

    @property
    def suffix(self) -> str:
        """What sets its folders and names apart: nothing for the whole of the examples."""
        share = "" if self.ratio == 1.0 else f"-{100.0 * self.ratio:g}-percent".replace(".", "-")
        return share + ("-control" if self.is_control else "")

    @property
    def label(self) -> str:
        """What its adapters are together."""
        return f"{self.mode}{self.suffix}"

    @property
    def folder(self) -> str:
        """Its folder in the run's."""
        return f"5-train-{self.label}"


class Outcome(NamedTuple):
    """An adapter of a run, and its entry in the registry, where it was added."""

    variant: Variant
    adapter: TrainedAdapter
    entry: AdapterManifest | None


@dataclass(frozen=True)
class _Run:
    settings: Settings
    options: RunOptions
    surveys: Surveys
    progress: RunProgress


async def run(
    settings: Settings, options: RunOptions, *, progress: RunProgress
) -> tuple[Outcome, ...]:
    """Do all steps, or what is left of them, and return the adapters.

    The vLLM that asks is ended before training begins.

    Raises:
        OptionInvalid: an option does not fit; seen before anything is done.
        AdapterError, AppError, EvaluationError, SurveyDataError: a step cannot be done.
    """
    surveys = open_surveys(settings, options.pack)
    cultures = cultures_of(surveys.library, options.cultures)
    if options.base.folder == WEIGHTS and not options.licence:
        options = replace(options, licence=EMBEDDED_TERMS)
    _check(settings, options)
    running = _Run(settings, options, surveys, progress)
    async with ServedModel(settings) as model:
        questions = await _questions(running, model)
        with progress.step("answer", unit="answers") as on_progress:
            manifest = await answered(
                options.out / "3-answer",
                questions,
                cultures,
                model,
                library=surveys.library,
                settings=replace(options.answer, seed=options.seed),
                n_concurrent=options.n_concurrent,
                on_progress=on_progress,
            )
        progress.on_done("answer", manifest)
    folders = {ratio: _collected(running, questions, ratio) for ratio in options.ratios}
    adapters = []
    for variant in _variants(options):
        training = _training(running, questions, folders[variant.ratio], variant)
        with progress.step(variant.folder.removeprefix("5-"), unit="steps") as on_step:
            found = await trained(training, on_step=on_step)
        adapters += [(variant, adapter) for adapter in found]
    if not options.adds:
        return tuple(Outcome(variant, adapter, None) for variant, adapter in adapters)
    return await asyncio.to_thread(_added, running, adapters)


def base_of(
    settings: Settings, folder: Path | None = None, *, name: str | None = None
) -> TrainingBase:
    """Return the model to train: the one that is named, or that of the settings.

    Raises:
        OptionInvalid: its folder or its name is not known.
    """
    is_elsewhere = bool(settings.vllm.urls) and settings.vllm.model_path == WEIGHTS
    if folder is None and is_elsewhere:
        expected = f"the folder of '{settings.model}', which the servers of the settings have"
        raise OptionInvalid("--base", "nothing", expected)
    if folder is not None and name is None and not settings.vllm.model:
        raise OptionInvalid("--base-name", "nothing", "the name that --base is served by")
    return TrainingBase(folder or settings.vllm.model_path, name or settings.model)


def _check(settings: Settings, options: RunOptions) -> None:
    if options.questions is not None and options.from_survey:
        raise OptionInvalid("--questions", "also --from-survey", "one of the two")
    check_ratios(options.ratios)
    if not is_name(options.name) or len(options.name) > MAX_NAME_CHARS:
        expected = f"1 to {MAX_NAME_CHARS} lower-case letters, digits and '-', no '-' first"
        raise OptionInvalid("--name", options.name, expected)
    limit = settings.vllm.max_lora_rank
    if options.adds and options.train.rank > limit:
        expected = f"{limit} at most (MILIEU_VLLM__MAX_LORA_RANK), or --no-add"
        raise OptionInvalid("--rank", str(options.train.rank), expected)
    check_base(options.base)
    check_installed()


def check_ratios(ratios: tuple[float, ...]) -> None:
    """Refuse shares of examples that leave none, or are more than all.

    Raises:
        OptionInvalid: one is not within 0, excluded, and 1.
    """
    for ratio in ratios:
        if not 0.0 < ratio <= 1.0:
            raise OptionInvalid("--ratio", f"{ratio:g}", "a share above 0, and 1 at most")


def _variants(options: RunOptions) -> Iterator[Variant]:
    for ratio in options.ratios:
        for mode in options.modes:
            for is_control in (False, True) if options.control else (False,):
                yield Variant(ratio, mode, is_control)


async def _questions(running: _Run, model: ServedModel) -> Path:
    """Return the file of questions to ask, made by the first steps."""
    options, surveys, progress = running.options, running.surveys, running.progress
    if options.from_survey:
        folder = options.out / "1-survey"
        progress.on_done("survey", surveyed(folder, surveys))
        return folder / QUESTIONS
    given = options.questions
    if given is None:
        with progress.step("generate", unit="questions") as on_progress:
            manifest = await generated(
                options.out / "1-generate",
                surveys,
                model,
                settings=replace(options.generate, seed=options.seed),
                topics=options.topics,
                n_concurrent=options.n_concurrent,
                on_progress=on_progress,
            )
        progress.on_done("generate", manifest)
        given = options.out / "1-generate" / QUESTIONS
    folder = options.out / "2-filter"
    progress.on_done("filter", filtered(folder, given, surveys))
    return folder / QUESTIONS


def _collected(running: _Run, questions: Path, ratio: float) -> Path:
    options = running.options
    name = f"collect{Variant(ratio, Mode.JOINT, is_control=False).suffix}"
    folder = options.out / f"4-{name}"
    answers = options.out / "3-answer" / ANSWERS
    manifest = collected(
        folder, questions, answers, settings=options.collect, ratio=ratio, seed=options.seed
    )
    running.progress.on_done(name, manifest)
    if not manifest.counts["examples"]:
        raise NothingToTrain(str(folder / EXAMPLES), "no answer that differs")
    return folder


def _training(running: _Run, questions: Path, folder: Path, variant: Variant) -> Training:
    options = running.options
    return Training(
        examples=folder / (CONTROL if variant.is_control else EXAMPLES),
        questions=questions,
        base=running.options.base,
        out=options.out / variant.folder,
        mode=variant.mode,
        settings=replace(options.train, seed=options.seed),
        sources=_sources(running),
        licence=options.licence,
        n_threads=options.n_threads,
    )


def _sources(running: _Run) -> dict[str, str]:
    """Return whose terms an adapter is under: the model's that answered, and the questions'."""
    manifest = running.surveys.library.manifest(running.options.pack)
    sources = {}
    if running.options.base.folder == WEIGHTS:
        sources[running.options.base.served_name] = EMBEDDED_TERMS
    if running.options.questions is None:
        sources[manifest.title] = manifest.licence
    return sources | dict(running.options.sources)


def _added(running: _Run, adapters: list[tuple[Variant, TrainedAdapter]]) -> tuple[Outcome, ...]:
    base = read_base_model(running.options.base.folder, name=running.options.base.served_name)
    registry = AdapterRegistry(running.settings.adapters_folder)
    return tuple(
        Outcome(variant, adapter, _add(running, registry, base, variant, adapter))
        for variant, adapter in adapters
    )


def _add(
    running: _Run,
    registry: AdapterRegistry,
    base: AdapterBase,
    variant: Variant,
    adapter: TrainedAdapter,
) -> AdapterManifest:
    options, card = running.options, adapter.card
    # Which prompts the answers came from; the adapter is trained on `persona` either way.
    asked_by = "-cct" if options.answer.method is Method.CROSS_CULTURE else ""
    part = "joint" if variant.mode is Mode.JOINT else card.cultures[0].lower()
    return registry.add(
        adapter.folder,
        base=base,
        max_rank=running.settings.vllm.max_lora_rank,
        name=f"{options.name}-{part}{variant.suffix}",
        cultures=card.cultures,
        about=AdapterFacts(
            method=f"culturespa-{variant.mode}{asked_by}",
            data=_data(running, variant, adapter),
            licence=options.licence,
            metrics=card.metrics,
        ),
    )


def _data(running: _Run, variant: Variant, adapter: TrainedAdapter) -> str:
    """Return in words what an adapter was trained on."""
    options, n = running.options, sum(adapter.card.n_examples.values())
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
    return f"{n} answers of {running.settings.model} to {questions}, {which}"
