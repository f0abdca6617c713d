"""Errors of `survey_data`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class SurveyDataError(Exception):
    """Root of every error that `survey_data` raises on purpose."""


class PackInvalid(SurveyDataError):
    """A pack breaks the format; names file, row (1-based, the header is row 1) and column."""

    def __init__(
        self, message: str, *, file: Path, row: int | None = None, column: str | None = None
    ) -> None:
        place = str(file)
        if row is not None:
            place += f", row {row}"
        if column is not None:
            place += f", column '{column}'"
        super().__init__(f"{place}: {message}")
        self.message = message
        self.file = file
        self.row = row
        self.column = column

    def moved(self, made: Path, folder: Path) -> PackInvalid:
        """Return the error as it reads once the folder `made` lies where `folder` does."""
        file = folder / self.file.relative_to(made) if self.file.is_relative_to(made) else self.file
        message = f"{self.message} (nothing was written)"
        return PackInvalid(message, file=file, row=self.row, column=self.column)

    @classmethod
    def from_validation(
        cls, exc: ValidationError, *, file: Path, row: int | None = None, lead: str = ""
    ) -> PackInvalid:
        """Return the error for the first fault that pydantic found, its message after `lead`."""
        fault = exc.errors(include_url=False, include_context=False)[0]
        found = "" if fault["type"] == "missing" else f" (found {str(fault['input'])[:60]!r})"
        column = ".".join(map(str, fault["loc"])) or None
        return cls(f"{lead}{fault['msg']}{found}", file=file, row=row, column=column)


class PackTermsRefused(SurveyDataError):
    """A pack's terms do not allow the use that the settings declare."""


class PackMissing(SurveyDataError):
    """No pack folder has a pack that was named."""


class CultureUnknown(SurveyDataError):
    """No culture of the catalogue, or more than one, has the given code, name or language tag.

    Attributes:
        nearest: names of cultures that may be meant, likeliest first.
        reason: why it names no single culture, where that is known ("part of the United Kingdom").
        is_place: whether it is a place that no culture stands for, rather than a slip.
    """

    def __init__(
        self, asked: str, nearest: tuple[str, ...], *, reason: str = "", is_place: bool = False
    ) -> None:
        hint = f" Did you mean {', '.join(nearest)}?" if nearest else ""
        fault = reason or "no ISO 3166-1 code, country name or language tag with a region"
        super().__init__(f"'{asked}' is {fault}.{hint}")
        self.nearest = nearest
        self.reason = reason
        self.is_place = is_place


class CultureNotCovered(SurveyDataError):
    """The culture is known, but no loaded pack surveyed its people.

    It is told of the covered cultures that are near, by name, and in what; `nearest` is the first.
    """

    def __init__(
        self, culture: str, *, packs: tuple[str, ...], nearest: Mapping[str, tuple[str, ...]]
    ) -> None:
        where = ", ".join(packs) or "none"
        hints = [f"{name} {' and '.join(reasons)}" for name, reasons in nearest.items()]
        hint = f" The nearest covered culture is {', and '.join(hints)}." if hints else ""
        super().__init__(f"No loaded survey asked people of {culture}; packs: {where}.{hint}")
        self.nearest = next(iter(nearest), None)


class ConditionInvalid(SurveyDataError):
    """A condition on respondents cannot be read, or names a column that the file lacks."""


class FolderTaken(SurveyDataError):
    """A pack would replace a folder that already holds something."""


class ImporterUnavailable(SurveyDataError):
    """An importer needs an optional package that is not installed."""
