"""Errors of `evaluation`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from pathlib import Path


class EvaluationError(Exception):
    """Root of every error that `evaluation` raises on purpose."""


class RunFolderInvalid(EvaluationError):
    """A results folder holds something else than the run it is opened for."""

    def __init__(
        self, place: Path, found: str, expected: str, *, remedy: str = "Name another folder."
    ) -> None:
        super().__init__(f"{place}: found {found}, expected {expected}. {remedy}")
        self.place = place


class RespondentFailed(EvaluationError):
    """A respondent did not answer, although it was asked several times."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"'{name}' does not answer: {reason} What it answered is kept; the same command goes "
            "on from there."
        )
        self.name = name


class TooFewAnswers(EvaluationError):
    """There is too little to give an interval."""

    def __init__(self, found: str, where: str) -> None:
        super().__init__(
            f"{where}: found {found}, expected at least 2 questions in 1 culture. Ask more "
            "questions, or name a pack that the cultures answered."
        )


class RecordingInvalid(EvaluationError):
    """A file of recorded answers cannot be read; names file and row (1-based) where there is one.

    In a JSON list the row is the place in the list, in JSON lines the line of the file.
    """

    def __init__(self, message: str, *, file: Path, row: int | None = None) -> None:
        place = str(file) if row is None else f"{file}, row {row}"
        super().__init__(f"{place}: {message}")
        self.file = file
        self.row = row


class AnswerNotRecorded(EvaluationError):
    """A question is asked that a file of recorded answers has no answer to."""

    def __init__(self, question: str, culture: str, *, file: Path) -> None:
        super().__init__(
            f"{file}: found no answer to {question} for {culture}. Record one, with that culture "
            "or with none, or leave the question out of the run."
        )
        self.question = question
        self.culture = culture
        self.file = file


class AnswersMissing(EvaluationError):
    """A run is scored that has not been finished."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The run is not finished: found {found}. Start it again to its end; what was answered "
            "is kept."
        )


class GeneralQuestionsChanged(EvaluationError):
    """A run asked general questions that are made otherwise by now."""

    def __init__(self) -> None:
        super().__init__(
            "The general questions of the run are not those of this version. Score it with the "
            "version that asked them, or start a new run."
        )


class BaselineInvalid(EvaluationError):
    """A gate has nothing to compare with."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The gate cannot be held: {found}. Take the figures.json of an earlier run with the "
            "same pack and at least one method."
        )
