"""`milieu culturespa`: make LoRA adapters of a model's own culture-aware answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.culturespa.settings import AnswerStepSettings, GenerateSettings, Mode, TrainSettings
from cli.culturespa.options import (
    ANSWER,
    COLLECT,
    GENERATE,
    TRAIN_OPTIONS,
    AnswerBy,
    AnswerMethod,
    BaseFolder,
    BaseName,
    Licence,
    MaxP,
    MinVariation,
    Modes,
    Out,
    Pack,
    PerTopic,
    Questions,
    ReadBy,
    Repeats,
    RunOptions,
    Seed,
    Source,
    Threads,
    Topic,
    count_cores,
    make_collect_settings,
    parse_sources,
)
from cli.lazy import Group, LazyModule
from cli.options import AsJson, Concurrency, Cultures
from cli.settings_options import expand_settings

if TYPE_CHECKING:
    from cli.culturespa import jobs
else:
    jobs = LazyModule("cli.culturespa.jobs")

culturespa = typer.Typer(
    cls=Group,
    help="""Train adapters on a model's own culture-aware answers.

    This is CultureSPA, step by step or all at once. Every step resumes where it stopped.

    Example, on the embedded model, which cannot write questions of its own:

      milieu culturespa run --out spa --from-survey -c US -c CN --no-train-end
      --learning-rate 2e-3
    """,
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
    options = RunOptions(
        out,
        pack=pack,
        topics=tuple(topic or ()),
        generate=GenerateSettings(n_per_topic=per_topic, seed=seed),
        n_concurrent=concurrency,
    )
    jobs.run_generate(options, as_json=as_json)


@culturespa.command("filter")
def filter_command(
    questions: Annotated[
        Path,
        typer.Option(
            "--questions", help="questions.jsonl of step 1, or CultureSPA's released gzip file."
        ),
    ],
    out: Out,
    pack: Pack = "wvs7",
    as_json: AsJson = False,
) -> None:
    """Step 2: drop questions that repeat others, or that a number cannot answer.

    Example: milieu culturespa filter --questions spa/1/questions.jsonl --out spa/2
    """
    jobs.run_filter(RunOptions(out, pack=pack), questions, as_json=as_json)


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
    """Step 3: let the model answer each question without a culture, and as each culture.

    Example: milieu culturespa answer --questions spa/2/questions.jsonl --out spa/3 -c US -c CN
    """
    options = RunOptions(
        out,
        tuple(culture or ()),
        answer=AnswerStepSettings(method.method, reading, repeats, seed),
        n_concurrent=concurrency,
    )
    jobs.run_answer(options, questions, as_json=as_json)


@culturespa.command()
def collect(
    questions: Questions,
    answers: Annotated[Path, typer.Option("--answers", help="answers.jsonl of step 3.")],
    out: Out,
    min_total_variation: MinVariation = COLLECT.min_total_variation,
    max_p_value: MaxP = COLLECT.max_p_value,
    ratio: Annotated[float, typer.Option(help="Share of the examples to keep.")] = 1.0,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Step 4: keep the answers as a culture that differ from those without one.

    Example: milieu culturespa collect --questions spa/2/questions.jsonl --answers
    spa/3/answers.jsonl --out spa/4
    """
    settings = make_collect_settings(min_total_variation, max_p_value)
    options = RunOptions(out, collect=settings, ratios=(ratio,), seed=seed)
    jobs.run_collect(options, questions, answers, as_json=as_json)


@culturespa.command()
@expand_settings("training", TrainSettings, TRAIN_OPTIONS)
def train(
    examples: Annotated[Path, typer.Option("--examples", help="examples.jsonl of step 4.")],
    questions: Questions,
    out: Out,
    training: TrainSettings,
    mode: Annotated[
        Mode, typer.Option(help="One adapter for all cultures, or one for each.")
    ] = Mode.JOINT,
    culture: Cultures = None,
    base: BaseFolder = None,
    base_name: BaseName = None,
    seed: Seed = 0,
    threads: Threads = None,
    source: Source = None,
    licence: Licence = "",
    as_json: AsJson = False,
) -> None:
    """Step 5: train LoRA adapters on the examples, for vLLM to serve.

    Without --culture, on all cultures that there are examples of.

    Example: milieu culturespa train --examples spa/4/examples.jsonl --questions
    spa/2/questions.jsonl --out spa/5 --no-train-end --learning-rate 2e-3
    """
    options = RunOptions(
        out,
        tuple(culture or ()),
        modes=(mode,),
        base_folder=base,
        base_name=base_name,
        train=replace(training, seed=seed),
        sources=parse_sources(source or ()),
        licence=licence,
        n_threads=threads or count_cores(),
    )
    jobs.run_train(options, questions, examples, as_json=as_json)


@culturespa.command()
@expand_settings("training", TrainSettings, TRAIN_OPTIONS)
def run(
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; each step gets one in it.")
    ],
    training: TrainSettings,
    culture: Cultures = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Use the questions in this file, filtered, instead of generating any."),
    ] = None,
    from_survey: Annotated[
        bool,
        typer.Option("--from-survey", help="Use the survey's own questions, less the held-out."),
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
        typer.Option(help="Share of the examples to train on. Repeatable; default: 1."),
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Also train on as many random answers.")
    ] = False,
    mode: Annotated[
        Modes, typer.Option(help="One adapter for all cultures, one for each, or both.")
    ] = Modes.JOINT,
    base: BaseFolder = None,
    base_name: BaseName = None,
    threads: Threads = None,
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    name: Annotated[str, typer.Option(help="First part of the adapters' names.")] = "culturespa",
    source: Source = None,
    licence: Licence = "",
    add: Annotated[bool, typer.Option(help="Add the adapters to the registry.")] = True,
) -> None:
    """Run all steps at once, from questions to adapters in the registry.

    Example: milieu culturespa run --out spa --from-survey -c US -c CN --control --no-train-end
    --learning-rate 2e-3
    """
    options = RunOptions(
        out=out,
        cultures=tuple(culture or ()),
        pack=pack,
        questions=questions,
        from_survey=from_survey,
        topics=tuple(topic or ()),
        generate=GenerateSettings(n_per_topic=per_topic, seed=seed),
        answer=AnswerStepSettings(method.method, reading, repeats, seed),
        collect=make_collect_settings(min_total_variation, max_p_value),
        ratios=tuple(dict.fromkeys(ratio or (1.0,))),
        control=control,
        modes=mode.modes,
        train=replace(training, seed=seed),
        base_folder=base,
        base_name=base_name,
        n_threads=threads or count_cores(),
        n_concurrent=concurrency,
        seed=seed,
        name=name,
        sources=parse_sources(source or ()),
        licence=licence,
        adds=add,
    )
    jobs.run_all(options)
