"""The options of `milieu culturespa`: those of a run; a step has some of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adapters.culturespa.settings import (
    AnswerStepSettings,
    CollectSettings,
    GenerateSettings,
    Mode,
    TrainSettings,
)
from app.errors import OptionInvalid
from cli.options import Concurrency, CultureNames


class Modes(StrEnum):
    """One adapter for all cultures, one for each, or both kinds."""

    JOINT = "joint"
    SPECIFIC = "specific"
    BOTH = "both"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes to train in."""
        return tuple(Mode) if self is Modes.BOTH else (Mode(self.value),)


# The seed is missing from the options of a step's settings: it is one option of all steps.
_GENERATE = {
    "n_per_topic": typer.Option("--per-topic", min=1, help="Questions to generate on each topic.")
}
_ANSWER = {
    "method": typer.Option(
        "--method", help="Name the culture in the prompt, or compare it with others."
    ),
    "reading": typer.Option(
        "--reading", help="Read answers from label log-probabilities or from samples."
    ),
    "n_repeats": typer.Option(
        "--repeats", min=1, help="Samples of each answer, with --reading sampling."
    ),
}
_COLLECT = {
    "min_total_variation": typer.Option(
        "--min-total-variation",
        help="With log-probabilities: least distance (0 to 1) at which answers differ.",
    ),
    "max_p_value": typer.Option(
        "--max-p-value", help="With samples: largest p-value at which answers differ."
    ),
}
_TRAIN = {
    "rank": typer.Option("--rank", min=1, help="LoRA rank."),
    "alpha": typer.Option("--alpha", min=1, help="LoRA alpha."),
    "dropout": typer.Option("--dropout", min=0.0, max=0.9, help="LoRA dropout."),
    "learning_rate": typer.Option("--learning-rate", min=0.0, help="Peak learning rate."),
    "warm_up_share": typer.Option(
        "--warm-up-share", min=0.0, max=1.0, help="Share of the steps in which the rate rises."
    ),
    "n_epochs": typer.Option("--epochs", min=1, help="Passes over the examples."),
    "batch_size": typer.Option(
        "--batch-size", min=1, help="Examples per step; default: 128 joint, 8 specific."
    ),
    "micro_batch_size": typer.Option(
        "--micro-batch-size", min=1, help="Examples computed at once; decides memory use."
    ),
    "weight_decay": typer.Option("--weight-decay", min=0.0, help="Weight decay."),
    "max_grad_norm": typer.Option("--max-grad-norm", min=0.0, help="Gradient clipping norm."),
    "train_end": typer.Option(
        "--train-end/--no-train-end", help="Also train the end of turn after the answer."
    ),
    "checkpoint_steps": typer.Option(
        "--checkpoint-steps", min=1, help="Steps between checkpoints."
    ),
    "max_tokens": typer.Option(
        "--max-tokens", min=8, help="Longest example, in tokens; longer ones are left out."
    ),
}


@dataclass(frozen=True)
class RunOptions:
    """What a run does, or a step of it.

    Attributes:
        cultures: as they were named.
        questions: file to take them from, instead of generating them.
        from_survey: take the survey's own, less those held out of training.
        topics: of the survey; none for all.
        ratios: shares of the examples, each for a training of its own.
        base_folder, base_name: what is trained, and its name; None for those of the settings.
        n_threads: of the CPU; None for all that this process may use.
        sources: terms of sources of the data, besides the known ones, as `NAME=TERMS`.
    """

    train: Annotated[TrainSettings, _TRAIN] = field(default_factory=TrainSettings)
    cultures: CultureNames = ()
    questions: Annotated[
        Path | None,
        typer.Option(help="Use the questions in this file, filtered, instead of generating any."),
    ] = None
    from_survey: Annotated[
        bool,
        typer.Option("--from-survey", help="Use the survey's own questions, less the held-out."),
    ] = False
    pack: Annotated[str, typer.Option(help="Survey pack to take questions or topics from.")] = (
        "wvs7"
    )
    topics: Annotated[
        tuple[str, ...],
        typer.Option("--topic", help="Topic of the survey. Repeatable; default: all."),
    ] = ()
    generate: Annotated[GenerateSettings, _GENERATE] = field(default_factory=GenerateSettings)
    answer: Annotated[AnswerStepSettings, _ANSWER] = field(default_factory=AnswerStepSettings)
    collect: Annotated[CollectSettings, _COLLECT] = field(default_factory=CollectSettings)
    ratios: Annotated[
        tuple[float, ...],
        typer.Option("--ratio", help="Share of the examples to train on. Repeatable; default: 1."),
    ] = (1.0,)
    control: Annotated[
        bool, typer.Option("--control", help="Also train on as many random answers.")
    ] = False
    mode: Annotated[
        Modes, typer.Option(help="One adapter for all cultures, one for each, or both.")
    ] = Modes.JOINT
    base_folder: Annotated[
        Path | None,
        typer.Option("--base", help="Folder of the base model; default: that of the settings."),
    ] = None
    base_name: Annotated[
        str | None,
        typer.Option(help="Name that vLLM serves the base model by; default: the settings'."),
    ] = None
    n_threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads; default: all cores.")
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0
    n_concurrent: Concurrency = 64
    name: Annotated[str, typer.Option(help="First part of the adapters' names.")] = "culturespa"
    sources: Annotated[
        tuple[str, ...],
        typer.Option(
            "--source",
            metavar="NAME=TERMS",
            help="A source of the data and its terms, for the adapter's card. Repeatable.",
        ),
    ] = ()
    licence: Annotated[str, typer.Option(help="Licence of the adapters, for their cards.")] = ""
    adds: Annotated[
        bool, typer.Option("--add/--no-add", help="Add the adapters to the registry.")
    ] = True

    @property
    def source_terms(self) -> dict[str, str]:
        """The terms of each source by its name.

        Raises:
            OptionInvalid: one is not NAME=TERMS.
        """
        for text in self.sources:
            name, sign, _ = text.partition("=")
            if not sign or not name.strip():
                raise OptionInvalid("--source", text, "NAME=TERMS")
        return dict(text.split("=", 1) for text in self.sources)
