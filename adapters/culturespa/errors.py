"""Errors of the CultureSPA pipeline. Every one says what was found, expected, and what to do."""

from __future__ import annotations

from pathlib import Path

from adapters.errors import AdapterError


class CultureSpaError(AdapterError):
    """Root of every error that the pipeline raises on purpose."""


class StepFileInvalid(CultureSpaError):
    """A step's file is not as it was written; names file and row (1-based) where there is one."""

    def __init__(self, found: str, *, file: Path, row: int | None = None) -> None:
        place = str(file) if row is None else f"{file}, row {row}"
        super().__init__(
            f"{place}: found {found}, expected what the step wrote. Remove the step's folder and "
            "run it again."
        )
        self.file = file
        self.row = row


class StepChanged(CultureSpaError):
    """A step's folder was filled from other inputs or with other settings."""

    def __init__(self, folder: Path, differing: str) -> None:
        super().__init__(
            f"{folder}: found a step with other {differing}, expected those of this run. Name "
            "another folder, or remove this one if nothing in it is needed."
        )
        self.folder = folder


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
        self.base = base
