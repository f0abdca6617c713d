"""What a training depends on besides its code: data, base model, hyper-parameters; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from adapters.culturespa.card import AdapterCard, read_card
from adapters.culturespa.collect import Example
from adapters.culturespa.errors import NothingToTrain, StepChanged
from adapters.culturespa.questions import GeneratedQuestion, check_answered, read_questions
from adapters.culturespa.settings import Mode, TrainSettings
from adapters.culturespa.steps import hash_step_file, read_step_lines


class TrainingBase(NamedTuple):
    """The model that is adapted: its folder, and the name that it is served by."""

    folder: Path
    served_name: str


@dataclass(frozen=True)
class TrainingData:
    """What adapters are trained on.

    Attributes:
        examples: of all cultures.
        questions: by key, every one that an example names.
        digests: sha256 of the files that they come from, by name.
        sources: terms of each source of the data, by its name.
    """

    examples: tuple[Example, ...]
    questions: Mapping[str, GeneratedQuestion]
    digests: Mapping[str, str]
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def cultures(self) -> tuple[str, ...]:
        """The cultures that there are examples of, in order."""
        return tuple(sorted({example.culture for example in self.examples}))

    def of(self, cultures: Sequence[str]) -> tuple[Example, ...]:
        """Return the examples of `cultures`."""
        return tuple(example for example in self.examples if example.culture in cultures)


class TrainedAdapter(NamedTuple):
    """An adapter on disk, and what its card says."""

    folder: Path
    card: AdapterCard


def read_data(
    examples: Path, questions: Path, *, sources: Mapping[str, str] | None = None
) -> TrainingData:
    """Return the data in the files of the steps before.

    Raises:
        StepFileInvalid: `examples` is missing or not as it was written.
        QuestionsInvalid: `questions` is, or lacks a question of the examples.
        NothingToTrain: there is no example.
    """
    read, asked = read_step_lines(examples, Example), read_questions(questions)
    if not read:
        raise NothingToTrain(str(examples), "no example")
    check_answered((example.question for example in read), questions, asked, by=examples)
    return TrainingData(
        examples=read,
        questions={question.key: question for question in asked},
        digests={"examples": hash_step_file(examples), "questions": hash_step_file(questions)},
        sources=sources or {},
    )


def compute_learning_rate(step: int, n_steps: int, settings: TrainSettings) -> float:
    """Return the rate at `step`, from 0: linear warm-up, then a cosine to 0."""
    warm_up = math.ceil(settings.warm_up_share * n_steps)
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, n_steps - warm_up)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def start_card(
    data: TrainingData,
    base: TrainingBase,
    *,
    mode: Mode,
    settings: TrainSettings,
    cultures: tuple[str, ...],
    licence: str,
) -> AdapterCard:
    """Return the card of an adapter before it is trained."""
    return AdapterCard(
        mode=mode.value,
        base_model=base.served_name,
        base_config_sha256=hash_step_file(base.folder / "config.json"),
        cultures=cultures,
        n_examples={},
        left_out={},
        data=dict(data.digests),
        sources=dict(data.sources),
        licence=licence,
        settings=asdict(settings),
        n_steps=0,
        losses=(),
        label_logprob={},
        versions={name: version(name) for name in ("peft", "torch", "transformers")},
    )


def check_card(folder: Path, card: AdapterCard) -> AdapterCard:
    """Return the card in `folder` if it describes the same training as `card`.

    Raises:
        StepChanged: it describes another.
    """
    there = read_card(folder)
    decisive = ("mode", "base_model", "base_config_sha256", "cultures", "data", "settings")
    differing = [name for name in decisive if getattr(there, name) != getattr(card, name)]
    if differing:
        raise StepChanged(folder, ", ".join(differing))
    return there


def choose_batch_size(settings: TrainSettings, mode: Mode) -> TrainSettings:
    """Return `settings` with the batch size of the mode if they have none."""
    return replace(settings, batch_size=settings.batch_size or mode.batch_size)
