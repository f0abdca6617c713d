"""Errors of `evaluation`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from pathlib import Path


class EvaluationError(Exception):
    """Root of every error that `evaluation` raises on purpose."""


class RunFolderInvalid(EvaluationError):
    """A results folder does not hold the run that it is opened for."""

    def __init__(
        self, place: Path, found: str, expected: str, *, remedy: str = "Name another folder."
    ) -> None:
        super().__init__(f"{place}: found {found}, expected {expected}. {remedy}")


class RespondentFailed(EvaluationError):
    """A respondent did not answer, although it was asked several times."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"'{name}' does not answer: {reason} What it answered is kept; run the same command to "
            "go on from there."
        )


class TooFewAnswers(EvaluationError):
    """There are too few answers for an interval."""

    def __init__(self, found: str, where: str) -> None:
        super().__init__(
            f"{where}: found {found}, expected at least 2 questions in 1 culture. Ask more "
            "questions, or name a pack that the cultures answered."
        )


class RecordingInvalid(EvaluationError):
    """A file of recorded answers cannot be read; names the file, and the row (1-based) if known.

    In a JSON list the row is the place in the list, in JSON lines the line of the file.
    """

    def __init__(self, message: str, *, file: Path, row: int | None = None) -> None:
        place = str(file) if row is None else f"{file}, row {row}"
        super().__init__(f"{place}: {message}")
        self.file = file
        self.row = row


class AnswerNotRecorded(EvaluationError):
    """A file of recorded answers has none to a question that is asked."""

    def __init__(self, question: str, culture: str, *, file: Path) -> None:
        super().__init__(
            f"{file}: found no answer to {question} for {culture}. Record one, with that culture "
            "or without any, or leave the question out of the run."
        )


class AnswersMissing(EvaluationError):
    """A run is scored before it is finished."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The run is not finished: found {found}. Run it again; what was answered is kept."
        )


class GeneralQuestionsChanged(EvaluationError):
    """A run asked other general questions than this version makes."""

    def __init__(self) -> None:
        super().__init__(
            "The general questions of the run are not those of this version. Score it with the "
            "version that asked them, or start a new run."
        )


class BaselineInvalid(EvaluationError):
    """A gate has no figures to compare with."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The gate cannot be checked: {found}. Take figures.json of an earlier run with the "
            "same pack and at least one method."
        )
