"""Errors of `evaluation`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations


class EvaluationError(Exception):
    """Root of every error that `evaluation` raises on purpose."""


class LabelLogprobsInvalid(EvaluationError):
    """Log-probabilities do not fit the option orders they were asked for, or are none."""

    def __init__(self, found: str, *, expected: str) -> None:
        super().__init__(
            f"Label log-probabilities: found {found}, expected {expected}. Pass one list per "
            "option order, each with one natural log-probability per option."
        )
        self.found = found
        self.expected = expected
