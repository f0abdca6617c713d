"""An append-only file of JSON lines that a kill can cut short without harm."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from files.whole import replacing

# A pydantic model, or a dataclass that pydantic can read.
Line = TypeVar("Line")


class LinesInvalid(Exception):
    """A file is missing (`row` is 0), or its line `row` has another form."""

    def __init__(self, file: Path, fault: str, *, row: int = 0) -> None:
        super().__init__(f"{file}, row {row}: {fault}")
        self.file = file
        self.fault = fault
        self.row = row


class JournalBusy(Exception):
    """Another process writes the journal."""


class Journal(Generic[Line]):
    """Opens a file of lines of one form, reads what it holds and appends. Use it in a `with`.

    A line that a kill left unfinished is cut off when the file is opened again.
    """

    def __init__(self, file: Path, form: type[Line]) -> None:
        """Open `file`, or make it, for this process alone.

        Raises:
            JournalBusy: another process, or another journal of this one, has it open.
            OSError: it cannot be opened.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._form = file, form
        self._writer = TypeAdapter(form)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
            _cut_off_unfinished(file)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def read(self) -> Iterator[Line]:
        """Yield its lines, in file order.

        Raises:
            LinesInvalid: a line is not of the form.
        """
        return read_lines(self._file, self._form)

    def add(self, line: Line) -> None:
        """Append a line, on disk at once."""
        # Unbuffered: a kill leaves whole lines, and at worst a part of the last one.
        data = _encode(line, self._writer)
        while data:
            data = data[os.write(self._descriptor, data) :]


def read_lines(file: Path, form: type[Line]) -> Iterator[Line]:
    """Yield the lines of `file`.

    Raises:
        LinesInvalid: the file is missing, or a line is not of the form.
    """
    if not file.exists():
        raise LinesInvalid(file, "no file")
    reader = TypeAdapter(form)
    with file.open("rb") as lines:
        for row, line in enumerate(lines, start=1):
            try:
                yield reader.validate_json(line)
            except ValidationError as exc:
                fault = exc.errors(include_url=False)[0]["msg"]
                raise LinesInvalid(file, fault, row=row) from exc


def write_lines(file: Path, lines: Iterable[object]) -> None:
    """Write `file`, with lines of one form, whole or not at all."""
    writer: TypeAdapter[object] | None = None
    with replacing(file) as part, part.open("wb") as out:
        for line in lines:
            writer = writer or TypeAdapter(type(line))
            out.write(_encode(line, writer))


def _encode(line: Line, writer: TypeAdapter[Line]) -> bytes:
    return writer.dump_json(line, exclude_defaults=True) + b"\n"


def _lock(descriptor: int) -> None:
    """Hold the file for this process; the lock goes with it, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise JournalBusy from exc


def _cut_off_unfinished(file: Path) -> None:
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(file, whole)
