"""Training in a process of its own: the one that Milieu runs in imports no torch."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from adapters.culturespa.card import CARD, AdapterCard
from adapters.culturespa.errors import (
    NothingToTrain,
    QuestionsInvalid,
    TrainingFailed,
    TrainingUnavailable,
)
from adapters.culturespa.recipe import (
    TrainedAdapter,
    TrainingBase,
    TrainingData,
    check_card,
    read_data,
    start_card,
    with_batch_size,
)
from adapters.culturespa.settings import Mode, TrainSettings
from app.errors import OptionInvalid
from app.process.supervised import SupervisedProcess, read_last_lines
from cli.culturespa.question_files import check_questions

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
        cultures: alpha-3 codes; none for all that there are examples of.
        sources: terms of each source of the data, by its name.
        n_threads: of a CPU.
    """

    examples: Path
    questions: Path
    base: TrainingBase
    out: Path
    mode: Mode = Mode.JOINT
    settings: TrainSettings = field(default_factory=TrainSettings)
    cultures: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    n_threads: int = 1

    @property
    def work(self) -> Path:
        """The folder of checkpoints and log, removed when all is trained."""
        return self.out / ".work"


async def train_in_child(
    training: Training, *, on_step: OnStep | None = None, command: Sequence[str] = ()
) -> tuple[TrainedAdapter, ...]:
    """Train what has not been trained yet, and return all adapters.

    When this is cancelled, or its process killed, training ends at once; the same call goes on
    from its last checkpoint.

    Args:
        training: what, on what, and where to.
        on_step: is told how it goes.
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
    codes = training.cultures or tuple(sorted({e.culture for e in data.examples}))
    jobs = {"joint": codes} if training.mode is Mode.JOINT else {code: (code,) for code in codes}
    cards = {name: _start_card(training, data, cultures) for name, cultures in jobs.items()}
    pending = [name for name in cards if not (training.out / name / CARD).exists()]
    for name in cards.keys() - pending:
        check_card(training.out / name, cards[name])
    if pending:
        await _train(training, codes, _Steps(pending, on_step), command)
    shutil.rmtree(training.work, ignore_errors=True)
    return tuple(
        TrainedAdapter(training.out / name, check_card(training.out / name, card))
        for name, card in cards.items()
    )


def _start_card(training: Training, data: TrainingData, cultures: tuple[str, ...]) -> AdapterCard:
    return start_card(
        data,
        training.base,
        mode=training.mode,
        settings=with_batch_size(training.settings, training.mode),
        cultures=cultures,
        licence=training.licence,
    )


def check_base(base: TrainingBase) -> None:
    """Refuse a folder that holds no model.

    Raises:
        OptionInvalid: it has no config.json or no weights.
    """
    if not (base.folder / "config.json").is_file() or not any(base.folder.glob("*.safetensors")):
        expected = "the folder of the base model, with config.json and *.safetensors"
        raise OptionInvalid("--base", str(base.folder), expected)


def check_installed() -> None:
    """Refuse to begin what cannot be completed.

    Raises:
        TrainingUnavailable: a package is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingUnavailable(" and no ".join(missing))


def _read_data(training: Training) -> TrainingData:
    check_questions(training.questions)
    data = read_data(training.examples, training.questions, sources=training.sources)
    if not data.examples:
        raise NothingToTrain(str(training.examples), "no example")
    for example in data.examples:
        if example.question not in data.questions:
            found = f"no question '{example.question}', which {training.examples} answers"
            raise QuestionsInvalid(training.questions, found)
    known = sorted({example.culture for example in data.examples})
    for code in training.cultures:
        if code not in known:
            raise OptionInvalid("--culture", code, f"one with examples: {', '.join(known)}")
    return data


class _Steps:
    """Reads the lines that training prints: steps of one adapter after the other."""

    def __init__(self, names: Sequence[str], on_step: OnStep | None) -> None:
        self._names, self._on_step = iter(names), on_step
        self._name, self._last = "", 0

    def read(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            self._tell(int(told["step"]), int(told["of"]))

    def _tell(self, step: int, total: int) -> None:
        if not self._name or step <= self._last:
            self._name = next(self._names, self._name)
        self._last = step
        if self._on_step is not None:
            self._on_step(step, total, part=self._name)


async def _train(
    training: Training, codes: Sequence[str], steps: _Steps, command: Sequence[str]
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
            steps.read(line)
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
        f"--licence={training.licence}",
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
