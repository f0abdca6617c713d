"""Errors of `prompting`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations


class PromptingError(Exception):
    """Root of every error that `prompting` raises on purpose."""


class LabelLogprobsInvalid(PromptingError):
    """Log-probabilities do not fit the option orders they were asked for, or are not numbers."""

    def __init__(self, found: str, *, expected: str) -> None:
        super().__init__(
            f"Label log-probabilities: found {found}, expected {expected}. Pass one list per "
            "option order, each with one natural log-probability per option."
        )
        self.found = found
        self.expected = expected
