"""Errors of `estimation`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from pathlib import Path


class EstimationError(Exception):
    """Root of every error that `estimation` raises on purpose."""


class FitInvalid(EstimationError):
    """A saved fit cannot be used; `milieu index` writes it anew."""

    def __init__(self, folder: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"Estimates in {folder}: found {found}, expected {expected}. Run `milieu index` to "
            "fit them anew."
        )
        self.folder = folder


class FitMissing(FitInvalid):
    """There is no fit in the folder, or a part of it is not there."""


class FitOutdated(FitInvalid):
    """The fit is whole, but was made from other answers or by another encoder."""
