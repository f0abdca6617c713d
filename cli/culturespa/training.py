"""Training in a process of its own: the one that Milieu runs in imports no torch."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from adapters.culturespa.card import AdapterCard
from adapters.culturespa.errors import TrainingFailed, TrainingUnavailable
from adapters.culturespa.recipe import (
    TrainedAdapter,
    TrainingBase,
    TrainingData,
    check_card,
    choose_batch_size,
    read_data,
    start_card,
)
from adapters.culturespa.settings import Mode, TrainSettings
from adapters.manifest import TRAINING
from app.errors import OptionInvalid
from app.process.supervised import SupervisedProcess, read_last_lines
from cli.culturespa.options import RunOptions

MODULE = "adapters.culturespa.train"
NEEDED = ("torch", "peft", "transformers")
N_LOG_LINES = 8
GRACE_S = 5.0
# Empty lines, and a traceback without its last line.
_NOISE = re.compile(r" |\s*$|Traceback")
_KNOWN_ERRORS = "adapters.culturespa.errors."


class OnStep(Protocol):
    """Is told of the progress of a step."""

    def __call__(self, done: int, total: int, /, *, part: str = "") -> None:
        """`done` of `total` are done in the `part` of the step, such as one adapter."""


@dataclass(frozen=True)
class Training:
    """What is trained, on what, and where it goes.

    Attributes:
        examples: file of the collect step.
        questions: file with the questions that they answer.
        out: folder for the adapters: `joint`, or one per culture.
        options: hyper-parameters, seed, licence and CPU threads.
        cultures: alpha-3 codes; none for all that there are examples of.
        sources: terms of each source of the data, by its name.
    """

    examples: Path
    questions: Path
    base: TrainingBase
    out: Path
    mode: Mode = Mode.JOINT
    options: RunOptions = field(default_factory=RunOptions)
    cultures: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """The folder of checkpoints and log, removed when all is trained."""
        return self.out / ".work"

    @property
    def settings(self) -> TrainSettings:
        """The hyper-parameters, with the seed of all steps."""
        return choose_batch_size(replace(self.options.train, seed=self.options.seed), self.mode)

    @property
    def n_threads(self) -> int:
        """CPU threads; under a container's limit, fewer than the machine has."""
        return self.options.n_threads or len(os.sched_getaffinity(0))


async def train_in_child(
    training: Training, *, on_step: OnStep | None = None, command: Sequence[str] = ()
) -> tuple[TrainedAdapter, ...]:
    """Train what has not been trained yet, and return all adapters.

    When this is cancelled, or its process killed, training ends at once; the same call resumes
    from its last checkpoint.

    Args:
        training: what, on what, and where to.
        on_step: is told the progress.
        command: trains, instead of Milieu's own; takes the same arguments.

    Raises:
        OptionInvalid: there is no base model, or no example of a culture.
        NothingToTrain: there is no example.
        QuestionsInvalid: the questions are not those of the examples.
        StepChanged, StepFileInvalid: there is an adapter made from something else.
        TrainingUnavailable: a package for training is not installed.
        TrainingFailed: the process ended before it was done; its last lines are shown.
    """
    check_base(training.base)
    check_installed()
    data = _read_data(training)
    codes = training.cultures or data.cultures
    cards = _start_cards(training, data, codes)
    pending = [name for name in cards if not (training.out / name / TRAINING).exists()]
    for name in cards.keys() - pending:
        check_card(training.out / name, cards[name])
    if pending:
        await _train(training, codes, _make_reader(pending, on_step), command)
    shutil.rmtree(training.work, ignore_errors=True)
    return tuple(
        TrainedAdapter(training.out / name, check_card(training.out / name, card))
        for name, card in cards.items()
    )


def _start_cards(
    training: Training, data: TrainingData, codes: tuple[str, ...]
) -> dict[str, AdapterCard]:
    """Return the card of each adapter before it is trained, by the name of its folder."""
    base, mode, licence = training.base, training.mode, training.options.licence
    start = partial(start_card, data, base, mode=mode, settings=training.settings, licence=licence)
    return {name: start(cultures=cultures) for name, cultures in mode.divide(codes).items()}


def check_base(base: TrainingBase) -> None:
    """Refuse a folder that holds no model.

    Raises:
        OptionInvalid: it has no config.json or no weights.
    """
    if not (base.folder / "config.json").is_file() or not any(base.folder.glob("*.safetensors")):
        expected = "the folder of the base model, with config.json and *.safetensors"
        raise OptionInvalid("--base", str(base.folder), expected)


def check_installed() -> None:
    """Refuse to begin a training that cannot be completed.

    Raises:
        TrainingUnavailable: a package is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingUnavailable(" and no ".join(missing))


def _read_data(training: Training) -> TrainingData:
    data = read_data(training.examples, training.questions, sources=training.sources)
    for code in training.cultures:
        if code not in data.cultures:
            known = ", ".join(data.cultures)
            raise OptionInvalid("--culture", code, f"one with examples: {known}")
    return data


def _make_reader(names: Sequence[str], on_step: OnStep | None) -> Callable[[bytes], None]:
    """Return what reads the lines that training prints: steps of one adapter after the other."""
    others, name, last = iter(names), "", 0

    def read(line: bytes) -> None:
        nonlocal name, last
        try:
            told = json.loads(line)
            step, total = int(told["step"]), int(told["of"])
        except (ValueError, KeyError, TypeError):
            return
        if not name or step <= last:
            name = next(others, name)
        last = step
        if on_step is not None:
            on_step(step, total, part=name)

    return read


async def _train(
    training: Training, codes: Sequence[str], read: Callable[[bytes], None], command: Sequence[str]
) -> None:
    training.work.mkdir(parents=True, exist_ok=True)
    log = training.work / "train.log"
    # -P: the current folder must not take precedence over Milieu's packages.
    command = command or (sys.executable, "-P", "-m", MODULE)
    with log.open("wb") as errors:
        process = await SupervisedProcess.spawn(
            (*command, *_make_arguments(training, codes)),
            grace_s=GRACE_S,
            env=_make_environment(training.n_threads),
            stderr=errors,
        )
    try:
        async for line in process.lines():
            read(line)
        status = await process.wait()
    finally:
        await process.end()
    if status != 0:
        lines = read_last_lines(log, N_LOG_LINES, noise=_NOISE)
        said = [line.removeprefix(_KNOWN_ERRORS) for line in lines]
        raise TrainingFailed(status, log_lines=said, log_file=log)


def _make_arguments(training: Training, codes: Sequence[str]) -> list[str]:
    arguments = [
        f"--examples={training.examples}",
        f"--questions={training.questions}",
        f"--base={training.base.folder}",
        f"--base-name={training.base.served_name}",
        f"--mode={training.mode}",
        f"--out={training.out}",
        f"--work={training.work}",
        f"--licence={training.options.licence}",
        f"--threads={training.n_threads}",
        *("--cultures", *codes),
    ]
    if training.sources:
        arguments += ["--source", *(f"{n}={terms}" for n, terms in training.sources.items())]
    for name, value in asdict(training.settings).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            arguments.append(f"--{flag}={value}")
    return arguments


def _make_environment(n_threads: int) -> dict[str, str]:
    """Return this process's environment without Milieu's settings, keys among them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILIEU_")}
    return kept | {"OMP_NUM_THREADS": str(n_threads), "HF_HUB_OFFLINE": "1"}
