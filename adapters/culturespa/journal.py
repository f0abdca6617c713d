"""An append-only file of JSON lines that a kill can cut short without harm."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ValidationError

from adapters.culturespa.errors import StepFileInvalid

Line = TypeVar("Line", bound=BaseModel)


class Journal(Generic[Line]):
    """Opens a file of lines of one form, gives what it holds and appends. Use it in a `with`.

    A line that a kill left unfinished is cut off when the file is opened again.

    Attributes:
        lines: what the file held when it was opened, in file order.
    """

    def __init__(self, file: Path, form: type[Line]) -> None:
        """Open `file`, or make it.

        Raises:
            StepFileInvalid: a whole line is not of the form.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        _cut_off_unfinished(file)
        self.lines: tuple[Line, ...] = tuple(read_lines(file, form)) if file.exists() else ()
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def add(self, line: Line) -> None:
        """Append a line, on disk at once."""
        # Unbuffered: a kill leaves whole lines, and at worst a part of the last one.
        data = (line.model_dump_json(exclude_defaults=True) + "\n").encode()
        while data:
            data = data[os.write(self._file, data) :]


def read_lines(file: Path, form: type[Line]) -> Iterator[Line]:
    """Yield the lines of `file`.

    Raises:
        StepFileInvalid: the file is missing, or a line is not of the form.
    """
    if not file.exists():
        raise StepFileInvalid("no file", file=file)
    with file.open("rb") as lines:
        for row, line in enumerate(lines, start=1):
            try:
                yield form.model_validate_json(line)
            except ValidationError as exc:
                fault = exc.errors(include_url=False)[0]["msg"]
                raise StepFileInvalid(fault, file=file, row=row) from exc


def write_lines(file: Path, lines: Iterable[BaseModel]) -> None:
    """Write `file` whole or not at all."""
    write_text(file, "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines))


def write_text(file: Path, text: str) -> None:
    """Write `file` whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(file)


def _cut_off_unfinished(file: Path) -> None:
    if not file.exists():
        return
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(file, whole)
