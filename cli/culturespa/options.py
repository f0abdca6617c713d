"""The options that several commands of `milieu culturespa` have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from adapters.culturespa.settings import (
    AnswerReading,
    AnswerStepSettings,
    CollectSettings,
    GenerateSettings,
    Mode,
    TrainSettings,
)
from app.errors import OptionInvalid
from prompting.recipe import Method

GENERATE, ANSWER, COLLECT = GenerateSettings(), AnswerStepSettings(), CollectSettings()


class AnswerMethod(StrEnum):
    """How a culture-aware prompt names a culture; `cross-culture` is the CCT variant."""

    PERSONA = "persona"
    CROSS_CULTURE = "cross-culture"

    @property
    def method(self) -> Literal[Method.PERSONA, Method.CROSS_CULTURE]:
        """The prompt method."""
        return Method.PERSONA if self is AnswerMethod.PERSONA else Method.CROSS_CULTURE


class Modes(StrEnum):
    """One adapter for all cultures, one for each, or both kinds."""

    JOINT = "joint"
    SPECIFIC = "specific"
    BOTH = "both"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes to train in."""
        return tuple(Mode) if self is Modes.BOTH else (Mode(self.value),)


Out = Annotated[Path, typer.Option("--out", help="Folder of the step; created if missing.")]
Questions = Annotated[Path, typer.Option("--questions", help="questions.jsonl of the step before.")]
Pack = Annotated[str, typer.Option(help="Survey pack to take questions or topics from.")]
Topic = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Topic of the survey. Repeatable; default: all."),
]
PerTopic = Annotated[
    int, typer.Option("--per-topic", min=1, help="Questions to generate on each topic.")
]
AnswerBy = Annotated[
    AnswerMethod,
    typer.Option("--method", help="Name the culture in the prompt, or compare it with others."),
]
ReadBy = Annotated[
    AnswerReading,
    typer.Option("--reading", help="Read answers from label log-probabilities or from samples."),
]
Repeats = Annotated[
    int, typer.Option("--repeats", min=1, help="Samples of each answer, with --reading sampling.")
]
MinVariation = Annotated[
    float,
    typer.Option(
        "--min-total-variation",
        help="With log-probabilities: least distance (0 to 1) at which answers differ.",
    ),
]
MaxP = Annotated[
    float,
    typer.Option("--max-p-value", help="With samples: largest p-value at which answers differ."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
BaseFolder = Annotated[
    Path | None,
    typer.Option("--base", help="Folder of the base model; default: that of the settings."),
]
BaseName = Annotated[
    str | None,
    typer.Option(
        "--base-name", help="Name that vLLM serves the base model by; default: the settings'."
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; default: all cores.")
]
Source = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=TERMS",
        help="A source of the data and its terms, for the adapter's card. Repeatable.",
    ),
]
Licence = Annotated[
    str, typer.Option("--licence", help="Licence of the adapters, for their cards.")
]

# The seed is not among them: it is an option of its own, of the whole command.
TRAIN_OPTIONS = {
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
        out: its folder; that of a run has one folder for each step.
        cultures: as they were named.
        pack: survey that questions are generated from, or taken from.
        questions: file to take them from instead.
        from_survey: take the survey's own, less those held out of the embedded model's training.
        topics: of the survey; none for all.
        ratios: shares of the examples, each for a training of its own.
        control: train on as many random answers as well.
        base_folder, base_name: what is trained, and its name; None for those of the settings.
        sources: terms of each source of the data, by its name, besides the known ones.
        name: first part of the adapters' names.
        adds: whether the adapters go into the registry.
    """

    out: Path
    cultures: tuple[str, ...] = ()
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
    base_folder: Path | None = None
    base_name: str | None = None
    train: TrainSettings = field(default_factory=TrainSettings)
    n_threads: int = 1
    n_concurrent: int = 64
    seed: int = 0
    name: str = "culturespa"
    sources: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    adds: bool = True


def make_collect_settings(min_total_variation: float, max_p_value: float) -> CollectSettings:
    """Return the settings of the collect step.

    Raises:
        OptionInvalid: a threshold is not within its bounds.
    """
    if not 0.0 <= min_total_variation <= 1.0:
        expected = "a number from 0 to 1"
        raise OptionInvalid("--min-total-variation", f"{min_total_variation:g}", expected)
    if not 0.0 < max_p_value <= 1.0:
        raise OptionInvalid("--max-p-value", f"{max_p_value:g}", "a number above 0, and 1 at most")
    return CollectSettings(min_total_variation, max_p_value)


def parse_sources(given: Sequence[str]) -> dict[str, str]:
    """Return the terms of each source by its name.

    Raises:
        OptionInvalid: one is not NAME=TERMS.
    """
    for text in given:
        name, sign, _ = text.partition("=")
        if not sign or not name.strip():
            raise OptionInvalid("--source", text, "NAME=TERMS")
    return dict(text.split("=", 1) for text in given)


def count_cores() -> int:
    """Return the cores that this process may use, which a container's limit leaves fewer of."""
    return len(os.sched_getaffinity(0))
