"""Errors of the CultureSPA pipeline: each says what was found, expected, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from adapters.errors import AdapterError


class CultureSpaError(AdapterError):
    """Root of every error that the pipeline raises on purpose."""


class StepFileInvalid(CultureSpaError):
    """A step's file is not as it was written; names the file, and its row (1-based) if any."""

    def __init__(self, found: str, *, file: Path, row: int | None = None) -> None:
        place = str(file) if row is None else f"{file}, row {row}"
        super().__init__(
            f"{place}: found {found}, expected what the step wrote. Remove the step's folder and "
            "run it again."
        )
        self.row = row


class StepBusy(CultureSpaError):
    """Another process is at work on a step."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file}: found another process that writes it, expected one at a time. Wait until "
            "it is done."
        )


class StepChanged(CultureSpaError):
    """A step's folder was filled from other inputs or with other settings."""

    def __init__(self, folder: Path, differing: str) -> None:
        super().__init__(
            f"{folder}: found a step with other {differing}, expected those of this run. Name "
            "another folder, or remove this one if nothing in it is needed."
        )


class TopicEmpty(CultureSpaError):
    """There is no survey question to generate from."""

    def __init__(self) -> None:
        super().__init__(
            "No survey question to generate from, expected at least one with a topic. Name a pack."
        )


class NothingToTrain(CultureSpaError):
    """No collected answer can be trained on."""

    def __init__(self, what: str, found: str) -> None:
        super().__init__(
            f"{what}: found {found}, expected at least one answer to train on. Answer more "
            "questions, or collect with a lower threshold."
        )


class BaseUnfit(CultureSpaError):
    """The base model's chat template or tokenizer does not let an answer be trained."""

    def __init__(self, base: Path, found: str, expected: str) -> None:
        super().__init__(
            f"{base}: found {found}, expected {expected}. Train on another base model, or give it "
            "a chat template that puts the assistant's text right after the generation prompt."
        )


class QuestionsInvalid(CultureSpaError):
    """A file that was named as questions holds none that can be used."""

    def __init__(self, file: Path, found: str) -> None:
        super().__init__(
            f"{file}: found {found}, expected questions: JSON lines as `milieu culturespa "
            "generate` and `filter` write them. The gzip file that CultureSPA released goes "
            "through `milieu culturespa filter` first."
        )


class NoQuestionWritten(CultureSpaError):
    """The model's replies hold no question, so it cannot write a survey."""

    def __init__(self, model: str, outcomes: Counter[str]) -> None:
        found = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common() if n)
        super().__init__(
            f"{model} wrote no question in {outcomes.total()} replies (found {found}), expected "
            "JSON with a question and its options. Serve an instruct model (MILIEU_VLLM__URLS), or "
            "bring questions: `milieu culturespa run --questions FILE`, or `--from-survey`."
        )


class TrainingUnavailable(CultureSpaError):
    """A package needed for training is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"Found no {missing}, expected the packages that train adapters. Install Milieu with "
            "the extras 'train' and 'adapters'."
        )


class TrainingFailed(CultureSpaError):
    """The process that trains ended before it was done."""

    def __init__(self, status: int, *, log_lines: Sequence[str], log_file: Path) -> None:
        last = "\n".join(f"  {line}" for line in log_lines)
        super().__init__(
            f"Training ended with status {status}, expected 0; the same command resumes from the "
            f"last checkpoint. The last lines of {log_file} are:\n{last or '  (none)'}"
        )
        self.log_lines = tuple(log_lines)
