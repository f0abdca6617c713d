"""`milieu culturespa`: make LoRA adapters of a model's own culture-aware answers."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.culturespa.settings import AnswerStepSettings, GenerateSettings, Mode, TrainSettings
from adapters.culturespa.steps import StepManifest
from cli.console import notes
from cli.culturespa.options import (
    ANSWER,
    COLLECT,
    GENERATE,
    TRAIN,
    Alpha,
    AnswerBy,
    AnswerMethod,
    AsJson,
    BaseFolder,
    BaseName,
    BatchSize,
    Checkpoint,
    Concurrency,
    Cultures,
    Decay,
    Dropout,
    Epochs,
    GradNorm,
    Licence,
    MaxP,
    MaxTokens,
    MicroBatch,
    MinVariation,
    Modes,
    Out,
    Pack,
    PerTopic,
    Questions,
    Rank,
    Rate,
    ReadBy,
    Repeats,
    Seed,
    Source,
    Threads,
    Topic,
    TrainEnd,
    WarmUp,
    collect_settings,
    n_cores,
    named_sources,
)
from cli.errors import explain_errors
from cli.settings import read_quiet_settings

if TYPE_CHECKING:
    from cli.culturespa.training import OnStep

EXAMPLE = """
Example, on the embedded model, which cannot write questions of its own:

  milieu culturespa run --out spa --from-survey -c US -c CN --no-train-end --learning-rate 2e-3
"""
culturespa = typer.Typer(
    help="Make adapters of a model's own culture-aware answers (CultureSPA), step by step or at "
    "once. Every step goes on where it stopped." + "\n\n" + EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@culturespa.command()
def generate(
    out: Out,
    pack: Pack = "wvs7",
    topic: Topic = None,
    per_topic: PerTopic = GENERATE.n_per_topic,
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    as_json: AsJson = False,
) -> None:
    """Step 1: let the model write new questions on the topics of a survey.

    Example: milieu culturespa generate --out spa/1 --per-topic 100
    """
    with explain_errors():
        from cli.culturespa.steps import ServedModel, generated, open_surveys

        settings = read_quiet_settings()
        surveys = open_surveys(settings, pack)

        async def work() -> StepManifest:
            async with ServedModel(settings) as model:
                with _bar("generate", unit="questions") as on_progress:
                    return await generated(
                        out,
                        surveys,
                        model,
                        settings=GenerateSettings(n_per_topic=per_topic, seed=seed),
                        topics=topic or (),
                        n_concurrent=concurrency,
                        on_progress=on_progress,
                    )

        _print("generate", asyncio.run(work()), out, as_json=as_json)


@culturespa.command("filter")
def filter_command(
    questions: Annotated[
        Path, typer.Option("--questions", help="Of step 1, or CultureSPA's released gzip file.")
    ],
    out: Out,
    pack: Pack = "wvs7",
    as_json: AsJson = False,
) -> None:
    """Step 2: drop questions that repeat one another or cannot be answered by a number.

    Example: milieu culturespa filter --questions spa/1/questions.jsonl --out spa/2
    """
    with explain_errors():
        from cli.culturespa.steps import filtered, open_surveys

        manifest = filtered(out, questions, open_surveys(read_quiet_settings(), pack))
        _print("filter", manifest, out, as_json=as_json)


@culturespa.command()
def answer(
    questions: Questions,
    out: Out,
    culture: Cultures = None,
    method: AnswerBy = AnswerMethod.PERSONA,
    reading: ReadBy = ANSWER.reading,
    repeats: Repeats = ANSWER.n_repeats,
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    as_json: AsJson = False,
) -> None:
    """Step 3: let the model answer each question unaware, and as the people of each culture.

    Example: milieu culturespa answer --questions spa/2/questions.jsonl --out spa/3 -c US -c CN
    """
    with explain_errors():
        from cli.culturespa.steps import ServedModel, answered, cultures_of, open_library_of

        settings = read_quiet_settings()
        library = open_library_of(settings)
        cultures = cultures_of(library, culture or ())

        async def work() -> StepManifest:
            async with ServedModel(settings) as model:
                with _bar("answer", unit="answers") as on_progress:
                    return await answered(
                        out,
                        questions,
                        cultures,
                        model,
                        library=library,
                        settings=AnswerStepSettings(method.method, reading, repeats, seed),
                        n_concurrent=concurrency,
                        on_progress=on_progress,
                    )

        _print("answer", asyncio.run(work()), out, as_json=as_json)


@culturespa.command()
def collect(
    questions: Questions,
    answers: Annotated[Path, typer.Option("--answers", help="Of step 3.")],
    out: Out,
    min_total_variation: MinVariation = COLLECT.min_total_variation,
    max_p_value: MaxP = COLLECT.max_p_value,
    ratio: Annotated[float, typer.Option(help="Share of the examples to keep.")] = 1.0,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Step 4: keep the culture-aware answers that differ from the unaware ones.

    Example: milieu culturespa collect --questions spa/2/questions.jsonl --answers
    spa/3/answers.jsonl --out spa/4
    """
    with explain_errors():
        from cli.culturespa.run import check_ratios
        from cli.culturespa.steps import collected

        check_ratios((ratio,))
        settings = collect_settings(min_total_variation, max_p_value)
        manifest = collected(out, questions, answers, settings=settings, ratio=ratio, seed=seed)
        _print("collect", manifest, out, as_json=as_json)


@culturespa.command()
def train(
    examples: Annotated[Path, typer.Option("--examples", help="Of step 4.")],
    questions: Questions,
    out: Out,
    mode: Annotated[Mode, typer.Option(help="One adapter for all cultures, or one each.")] = (
        Mode.JOINT
    ),
    culture: Cultures = None,
    base: BaseFolder = None,
    base_name: BaseName = None,
    rank: Rank = TRAIN.rank,
    alpha: Alpha = TRAIN.alpha,
    dropout: Dropout = TRAIN.dropout,
    learning_rate: Rate = TRAIN.learning_rate,
    warm_up_share: WarmUp = TRAIN.warm_up_share,
    epochs: Epochs = TRAIN.n_epochs,
    batch_size: BatchSize = None,
    micro_batch_size: MicroBatch = TRAIN.micro_batch_size,
    weight_decay: Decay = TRAIN.weight_decay,
    max_grad_norm: GradNorm = TRAIN.max_grad_norm,
    seed: Seed = TRAIN.seed,
    train_end: TrainEnd = TRAIN.train_end,
    checkpoint_steps: Checkpoint = TRAIN.checkpoint_steps,
    max_tokens: MaxTokens = TRAIN.max_tokens,
    threads: Threads = None,
    source: Source = None,
    licence: Licence = "",
    as_json: AsJson = False,
) -> None:
    """Step 5: train LoRA adapters on the examples, for vLLM to serve.

    Example: milieu culturespa train --examples spa/4/examples.jsonl --questions
    spa/2/questions.jsonl --out spa/5 --no-train-end --learning-rate 2e-3
    """
    with explain_errors():
        from cli.culturespa.output import print_adapters, print_cards
        from cli.culturespa.run import base_of
        from cli.culturespa.steps import cultures_of, open_library_of
        from cli.culturespa.training import Training, trained

        settings = read_quiet_settings()
        codes: tuple[str, ...] = ()
        if culture:
            found = cultures_of(open_library_of(settings), culture)
            codes = tuple(each.code for each in found)
        training = Training(
            examples=examples,
            questions=questions,
            base=base_of(settings, base, name=base_name),
            out=out,
            mode=mode,
            settings=TrainSettings(
                rank=rank,
                alpha=alpha,
                dropout=dropout,
                learning_rate=learning_rate,
                warm_up_share=warm_up_share,
                n_epochs=epochs,
                batch_size=batch_size,
                micro_batch_size=micro_batch_size,
                weight_decay=weight_decay,
                max_grad_norm=max_grad_norm,
                seed=seed,
                train_end=train_end,
                checkpoint_steps=checkpoint_steps,
                max_tokens=max_tokens,
            ),
            cultures=codes,
            sources=named_sources(source or ()),
            licence=licence,
            n_threads=threads or n_cores(),
        )
        with _bar("train", unit="steps") as on_step:
            adapters = asyncio.run(trained(training, on_step=on_step))
        if as_json:
            print_cards(adapters)
        else:
            print_adapters(adapters)


@culturespa.command()
def run(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run, one folder per step.")],
    culture: Cultures = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Take these questions, filtered, rather than generate any."),
    ] = None,
    from_survey: Annotated[
        bool,
        typer.Option("--from-survey", help="Take the survey's own, less those held out."),
    ] = False,
    pack: Pack = "wvs7",
    topic: Topic = None,
    per_topic: PerTopic = GENERATE.n_per_topic,
    method: AnswerBy = AnswerMethod.PERSONA,
    reading: ReadBy = ANSWER.reading,
    repeats: Repeats = ANSWER.n_repeats,
    min_total_variation: MinVariation = COLLECT.min_total_variation,
    max_p_value: MaxP = COLLECT.max_p_value,
    ratio: Annotated[
        list[float] | None,
        typer.Option(help="Share of the examples; repeat it to train on each. Default: 1."),
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Train on as many random answers as well.")
    ] = False,
    mode: Annotated[Modes, typer.Option(help="One adapter for all cultures, one each, both.")] = (
        Modes.JOINT
    ),
    base: BaseFolder = None,
    base_name: BaseName = None,
    rank: Rank = TRAIN.rank,
    alpha: Alpha = TRAIN.alpha,
    dropout: Dropout = TRAIN.dropout,
    learning_rate: Rate = TRAIN.learning_rate,
    warm_up_share: WarmUp = TRAIN.warm_up_share,
    epochs: Epochs = TRAIN.n_epochs,
    batch_size: BatchSize = None,
    micro_batch_size: MicroBatch = TRAIN.micro_batch_size,
    weight_decay: Decay = TRAIN.weight_decay,
    max_grad_norm: GradNorm = TRAIN.max_grad_norm,
    train_end: TrainEnd = TRAIN.train_end,
    checkpoint_steps: Checkpoint = TRAIN.checkpoint_steps,
    max_tokens: MaxTokens = TRAIN.max_tokens,
    threads: Threads = None,
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    name: Annotated[str, typer.Option(help="Begins the adapters' names.")] = "culturespa",
    source: Source = None,
    licence: Licence = "",
    add: Annotated[bool, typer.Option(help="Put the adapters into the registry.")] = True,
) -> None:
    """All steps at once, from questions to adapters in the registry.

    Example: milieu culturespa run --out spa --from-survey -c US -c CN --control --no-train-end
    --learning-rate 2e-3
    """
    with explain_errors():
        from cli.culturespa.output import LiveSteps, print_outcomes
        from cli.culturespa.run import RunOptions, base_of
        from cli.culturespa.run import run as run_steps

        settings = read_quiet_settings()
        options = RunOptions(
            out=out,
            cultures=tuple(culture or ()),
            pack=pack,
            questions=questions,
            from_survey=from_survey,
            topics=tuple(topic or ()),
            generate=GenerateSettings(n_per_topic=per_topic),
            answer=AnswerStepSettings(method.method, reading, repeats),
            collect=collect_settings(min_total_variation, max_p_value),
            ratios=tuple(dict.fromkeys(ratio or (1.0,))),
            control=control,
            modes=mode.modes,
            train=TrainSettings(
                rank=rank,
                alpha=alpha,
                dropout=dropout,
                learning_rate=learning_rate,
                warm_up_share=warm_up_share,
                n_epochs=epochs,
                batch_size=batch_size,
                micro_batch_size=micro_batch_size,
                weight_decay=weight_decay,
                max_grad_norm=max_grad_norm,
                train_end=train_end,
                checkpoint_steps=checkpoint_steps,
                max_tokens=max_tokens,
            ),
            base=base_of(settings, base, name=base_name),
            n_threads=threads or n_cores(),
            n_concurrent=concurrency,
            seed=seed,
            name=name,
            sources=named_sources(source or ()),
            licence=licence,
            adds=add,
        )
        outcomes = asyncio.run(run_steps(settings, options, progress=LiveSteps(notes)))
        print_outcomes(outcomes, pack=pack, from_survey=from_survey)


def _bar(name: str, *, unit: str) -> AbstractContextManager[OnStep]:
    from cli.culturespa.output import LiveSteps

    return LiveSteps(notes).step(name, unit=unit)


def _print(name: str, manifest: StepManifest, folder: Path, *, as_json: bool) -> None:
    from cli.culturespa.output import print_manifest, print_step

    if as_json:
        print_manifest(manifest)
    else:
        print_step(name, manifest, folder)
