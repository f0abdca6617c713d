"""Files of JSON lines whose faults are told as those of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict

from adapters.culturespa.errors import StepBusy, StepFileInvalid
from files import journal

Line = TypeVar("Line")
# How the dataclasses of lines are read.
STRICT = ConfigDict(extra="forbid")


@contextmanager
def open_journal(file: Path, form: type[Line]) -> Iterator[journal.Journal[Line]]:
    """Open the journal of a step for the time of the block.

    Raises:
        StepBusy: another process has it open.
        StepFileInvalid: a whole line is not of the form.
    """
    try:
        with journal.Journal(file, form) as opened:
            yield opened
    except journal.JournalBusy as exc:
        raise StepBusy(file) from exc
    except journal.LinesInvalid as exc:
        raise _step_file_invalid(exc) from exc


def read_step_lines(file: Path, form: type[Line]) -> tuple[Line, ...]:
    """Return the lines of `file`, in their order.

    Raises:
        StepFileInvalid: the file is missing, or a line is not of the form.
    """
    try:
        return tuple(journal.read_lines(file, form))
    except journal.LinesInvalid as exc:
        raise _step_file_invalid(exc) from exc


def _step_file_invalid(error: journal.LinesInvalid) -> StepFileInvalid:
    return StepFileInvalid(error.fault, file=error.file, row=error.row or None)
