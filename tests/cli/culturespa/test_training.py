"""Training as a child process: its progress, its failures, and that it never outlives its parent.

The child here is a script that prints what training prints.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from adapters.culturespa.collect import Example
from adapters.culturespa.errors import (
    NothingToTrain,
    QuestionsInvalid,
    StepFileInvalid,
    TrainingFailed,
)
from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.recipe import TrainingBase
from adapters.culturespa.settings import Mode
from app.errors import OptionInvalid
from cli.culturespa.training import Training, train_in_child
from files.journal import write_lines
from tests.tiny_llama import tiny_llama

QUESTION = GeneratedQuestion("generated:0", "Life", "Good?", ("Yes", "No"))
FAILS = """
import sys
print("Traceback (most recent call last):", file=sys.stderr)
print('  File "train.py", line 1, in <module>', file=sys.stderr)
print("adapters.culturespa.errors.BaseUnfit: found no chat template", file=sys.stderr)
sys.exit(1)
"""
LASTS = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""
TELLS = """
for lines in (2, 1):
    for step in range(lines):
        print('{"step": %d, "of": %d}' % (step + 1, lines), flush=True)
print("no JSON")
"""


@pytest.fixture
def training(tmp_path: Path) -> Training:
    write_lines(tmp_path / "questions.jsonl", [QUESTION])
    examples = [Example(culture, QUESTION.key, 0) for culture in ("DEU", "KEN")]
    write_lines(tmp_path / "examples.jsonl", examples)
    return Training(
        examples=tmp_path / "examples.jsonl",
        questions=tmp_path / "questions.jsonl",
        base=TrainingBase(tiny_llama(), "tiny-llama"),
        out=tmp_path / "out",
        mode=Mode.SPECIFIC,
    )


def script(source: str, *arguments: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", source, *map(str, arguments))


async def test_a_failure_is_told_by_its_last_lines(training: Training) -> None:
    with pytest.raises(TrainingFailed, match="ended with status 1, expected 0") as failed:
        await train_in_child(training, command=script(FAILS))

    assert failed.value.log_lines == ("BaseUnfit: found no chat template",)


async def test_cancelled_training_is_ended(training: Training, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    doing = asyncio.create_task(train_in_child(training, command=script(LASTS, told)))
    async with asyncio.timeout(20.0):
        while not (told.exists() and told.read_text()):  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.02)
    child = psutil.Process(int(told.read_text()))

    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing

    assert not child.is_running()


async def test_progress_says_which_adapter_it_is_of(training: Training) -> None:
    told: list[tuple[int, int, str]] = []

    def on_step(done: int, total: int, /, *, part: str = "") -> None:
        told.append((done, total, part))

    # The script writes no adapter.
    with pytest.raises(StepFileInvalid, match="no file"):
        await train_in_child(training, on_step=on_step, command=script(TELLS))

    assert told == [(1, 2, "DEU"), (2, 2, "DEU"), (1, 1, "KEN")]


async def test_what_cannot_be_trained_is_seen_before_a_process_starts(
    training: Training, tmp_path: Path
) -> None:
    def changed(**fields: object) -> Training:
        return Training(**{**vars(training), **fields})

    with pytest.raises(OptionInvalid, match="--base: found"):
        await train_in_child(changed(base=TrainingBase(tmp_path, "mine")))
    with pytest.raises(OptionInvalid, match="--culture: found USA, expected one with examples"):
        await train_in_child(changed(cultures=("USA",)))
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(NothingToTrain, match="found no example"):
        await train_in_child(changed(examples=tmp_path / "none.jsonl"))
    write_lines(tmp_path / "other.jsonl", [GeneratedQuestion("b", "", "?", ("1", "2"))])
    with pytest.raises(QuestionsInvalid, match="no question 'generated:0', which"):
        await train_in_child(changed(questions=tmp_path / "other.jsonl"))
