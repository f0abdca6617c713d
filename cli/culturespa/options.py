"""The options of `milieu culturespa`, which several of its commands have."""

from __future__ import annotations

import os
from collections.abc import Sequence
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

GENERATE, ANSWER, COLLECT, TRAIN = (
    GenerateSettings(),
    AnswerStepSettings(),
    CollectSettings(),
    TrainSettings(),
)


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


Out = Annotated[Path, typer.Option("--out", help="Folder of the step; made if it is absent.")]
Questions = Annotated[Path, typer.Option("--questions", help="Questions of the step before.")]
Pack = Annotated[str, typer.Option(help="The survey.")]
Topic = Annotated[
    list[str] | None, typer.Option("--topic", help="Of the survey. Repeatable; default: all.")
]
PerTopic = Annotated[int, typer.Option("--per-topic", min=1, help="Questions on each topic.")]
Cultures = Annotated[
    list[str] | None, typer.Option("--culture", "-c", help="Code, name or tag. Repeatable.")
]
AnswerBy = Annotated[
    AnswerMethod, typer.Option("--method", help="How cultures are named; or compared (CCT).")
]
ReadBy = Annotated[
    AnswerReading, typer.Option("--reading", help="Label log-probabilities, or sampled replies.")
]
Repeats = Annotated[int, typer.Option("--repeats", min=1, help="Replies, for sampling.")]
MinVariation = Annotated[
    float,
    typer.Option("--min-total-variation", help="Of log-probabilities: how far, from 0 to 1."),
]
MaxP = Annotated[
    float, typer.Option("--max-p-value", help="Of samples: how likely by chance, up to 1.")
]
Seed = Annotated[int, typer.Option("--seed", help="Decides what is drawn.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=1024, help="Requests at a time.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")]
BaseFolder = Annotated[
    Path | None, typer.Option("--base", help="Folder of the model; default: the settings'.")
]
BaseName = Annotated[
    str | None, typer.Option("--base-name", help="What it is served as; default: the settings'.")
]
Rank = Annotated[int, typer.Option("--rank", min=1, help="Of the LoRA.")]
Alpha = Annotated[int, typer.Option("--alpha", min=1, help="Of the LoRA.")]
Dropout = Annotated[float, typer.Option("--dropout", min=0.0, max=0.9)]
Rate = Annotated[float, typer.Option("--learning-rate", min=0.0, help="At its highest.")]
WarmUp = Annotated[float, typer.Option("--warm-up-share", min=0.0, max=1.0, help="Of the steps.")]
Epochs = Annotated[int, typer.Option("--epochs", min=1)]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Default: 128 joint, 8 specific.")
]
MicroBatch = Annotated[
    int, typer.Option("--micro-batch-size", min=1, help="Computed at a time; memory hangs on it.")
]
Decay = Annotated[float, typer.Option("--weight-decay", min=0.0)]
GradNorm = Annotated[float, typer.Option("--max-grad-norm", min=0.0)]
TrainEnd = Annotated[
    bool, typer.Option("--train-end/--no-train-end", help="Train the end of the turn as well.")
]
Checkpoint = Annotated[int, typer.Option("--checkpoint-steps", min=1, help="Between two.")]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=8, help="Longer examples are left out.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Of a CPU; default: its cores.")
]
Source = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME=TERMS", help="For the adapter's card. Repeatable."),
]
Licence = Annotated[str, typer.Option("--licence", help="Of the adapters, for their cards.")]


def collect_settings(min_total_variation: float, max_p_value: float) -> CollectSettings:
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


def named_sources(given: Sequence[str]) -> dict[str, str]:
    """Return the terms of each source by its name.

    Raises:
        OptionInvalid: one is not NAME=TERMS.
    """
    for text in given:
        name, sign, _ = text.partition("=")
        if not sign or not name.strip():
            raise OptionInvalid("--source", text, "NAME=TERMS")
    return dict(text.split("=", 1) for text in given)


def n_cores() -> int:
    """Return the cores that this process may use, which a container's limit leaves fewer of."""
    return len(os.sched_getaffinity(0))
