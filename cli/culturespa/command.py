"""`milieu culturespa`: make LoRA adapters of a model's own culture-aware answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.culturespa.settings import Mode
from cli.culturespa.options import RunOptions
from cli.lazy import Group, LazyModule
from cli.options import AsJson
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.culturespa import jobs
else:
    jobs = LazyModule("cli.culturespa.jobs")

culturespa = typer.Typer(
    cls=Group,
    help="""Train adapters on a model's own culture-aware answers.

    This is CultureSPA, step by step or all at once. Every step resumes where it stopped.

    Example, on the embedded model, which writes few valid questions of its own:

      milieu culturespa run --out spa --from-survey -c US -c CN --epochs 2
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


Out = Annotated[Path, typer.Option("--out", help="Folder of the step; created if missing.")]
Questions = Annotated[Path, typer.Option("--questions", help="questions.jsonl of the step before.")]


@culturespa.command()
@take_options("pack", "topics", "generate", "seed", "n_concurrent")
def generate(out: Out, options: RunOptions, as_json: AsJson = False) -> None:
    """Step 1: let the model write new questions on the topics of a survey.

    Example: milieu culturespa generate --out spa/1 --per-topic 100
    """
    jobs.run_generate(out, options, as_json=as_json)


@culturespa.command("filter")
@take_options("pack")
def filter_command(
    questions: Annotated[
        Path,
        typer.Option(
            "--questions", help="questions.jsonl of step 1, or CultureSPA's released gzip file."
        ),
    ],
    out: Out,
    options: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Step 2: drop questions that repeat others, or that a number cannot answer.

    Example: milieu culturespa filter --questions spa/1/questions.jsonl --out spa/2
    """
    jobs.run_filter(out, options, questions, as_json=as_json)


@culturespa.command()
@take_options("cultures", "answer", "seed", "n_concurrent")
def answer(questions: Questions, out: Out, options: RunOptions, as_json: AsJson = False) -> None:
    """Step 3: let the model answer each question without a culture, and as each culture.

    Example: milieu culturespa answer --questions spa/2/questions.jsonl --out spa/3 -c US -c CN
    """
    jobs.run_answer(out, options, questions, as_json=as_json)


@culturespa.command()
@take_options("collect", "ratio", "seed")
def collect(
    questions: Questions,
    answers: Annotated[Path, typer.Option("--answers", help="answers.jsonl of step 3.")],
    out: Out,
    options: RunOptions,
    ratio: Annotated[float, typer.Option(help="Share of the examples to keep.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Step 4: keep the answers as a culture that differ from those without one.

    Example: milieu culturespa collect --questions spa/2/questions.jsonl --answers
    spa/3/answers.jsonl --out spa/4
    """
    options = replace(options, ratios=(ratio,))
    jobs.run_collect(out, options, questions, answers, as_json=as_json)


@culturespa.command()
@take_options(
    "train", "mode", "cultures", "base_folder", "base_name", "seed", "n_threads", "sources",
    "licence",
)  # fmt: skip
def train(
    examples: Annotated[Path, typer.Option("--examples", help="examples.jsonl of step 4.")],
    questions: Questions,
    out: Out,
    options: RunOptions,
    mode: Annotated[
        Mode, typer.Option(help="One adapter for all cultures, or one for each.")
    ] = Mode.JOINT,
    as_json: AsJson = False,
) -> None:
    """Step 5: train LoRA adapters on the examples, for vLLM to serve.

    Without --culture, on all cultures that there are examples of.

    Example: milieu culturespa train --examples spa/4/examples.jsonl --questions
    spa/2/questions.jsonl --out spa/5 --no-train-end --learning-rate 1e-3
    """
    jobs.run_train(out, options, questions, examples, mode=mode, as_json=as_json)


@culturespa.command()
@take_options()
def run(
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; each step gets one in it.")
    ],
    options: RunOptions,
) -> None:
    """Run all steps at once, from questions to adapters in the registry.

    Example: milieu culturespa run --out spa --from-survey -c US -c CN --control --no-train-end
    --learning-rate 1e-3
    """
    jobs.run_all(out, options)
