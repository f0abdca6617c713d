"""Delimited text files: their header, separator, rows and numbers, and rows of a wrong length."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from survey_data.errors import PackInvalid

SEPARATORS = (",", ";", "\t")
# A quotation mark that is never closed would otherwise take in the rest of the file.
MAX_RECORD_BYTES = 1 << 20


class Layout(NamedTuple):
    """Column names, as the header has them, and the character between values."""

    columns: tuple[str, ...]
    separator: str


class Misshapen(NamedTuple):
    """Rows without the header's number of values: how many they have instead, by row.

    `blank` are empty lines, which are no rows; `n_rows` is the number of all others.
    """

    n_values: dict[int, int]
    blank: frozenset[int]
    n_rows: int


def read_layout(path: Path) -> Layout:
    """Return the layout of `path`, the separator being the most frequent one of its header.

    Raises:
        PackInvalid: the file is missing, empty or not UTF-8, or its header has a name twice.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_RECORD_BYTES)
    except OSError as exc:
        raise PackInvalid(f"cannot be read: {exc.strerror}", file=path) from exc
    try:
        header = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as exc:
        raise PackInvalid(
            f"the header is not UTF-8 ({exc.reason}); save the file as UTF-8", file=path, row=1
        ) from exc
    if not header.strip() or "\0" in header:
        message = "found no header, expected column names in the first row as UTF-8 text"
        raise PackInvalid(message, file=path, row=1)
    separator = max(SEPARATORS, key=header.count)
    columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=separator)))
    for index, name in enumerate(columns):
        if name in columns[:index]:
            raise PackInvalid("the column stands twice", file=path, row=1, column=name)
    return Layout(columns, separator)


def require_columns(names: Iterable[str], columns: Collection[str], *, file: Path) -> None:
    """Return if `columns` has all of `names`.

    Raises:
        PackInvalid: one is missing; the nearest columns there are named.
    """
    for name in names:
        if name not in columns:
            message = f"no such column;{describe_nearest(name, columns)}"
            raise PackInvalid(message, file=file, column=name)


def describe_nearest(name: str, columns: Iterable[str]) -> str:
    """Return a phrase that names the columns spelt most like `name`, if there are any."""
    folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    return " nearest are " + ", ".join(folded[n] for n in near) if near else " none is spelt so"


def read_delimited_rows(path: Path, layout: Layout) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with its number, values by column; blank lines are skipped.

    For files that fit in memory.

    Raises:
        PackInvalid: the text is not UTF-8, a row has more or fewer values than the header, or
            quotation marks do not pair; the row is named.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        row = content.count(b"\n", 0, exc.start) + 1
        raise PackInvalid(f"not UTF-8: {exc.reason}", file=path, row=row) from exc
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator, strict=True)
    n_read = 0
    try:
        for n_read, values in enumerate(reader, start=1):
            if n_read == 1 or not values:
                continue
            if len(values) != len(layout.columns):
                raise PackInvalid(describe_length(len(values), layout), file=path, row=n_read)
            yield n_read, dict(zip(layout.columns, values, strict=True))
    except csv.Error as exc:
        raise PackInvalid(f"no CSV: {exc}", file=path, row=n_read + 1) from exc


def read_number(text: str, *, file: Path, row: int, column: str, high: float = math.inf) -> float:
    """Return the number from 0 to `high` that `text` says.

    Raises:
        PackInvalid: it says none.
    """
    try:
        value = float(text)
    except ValueError as exc:
        raise PackInvalid(f"'{text}' is no number", file=file, row=row, column=column) from exc
    if not math.isfinite(value) or not 0.0 <= value <= high:
        limits = f"not in [0, {high:g}]" if high < math.inf else "negative or not finite"
        raise PackInvalid(f"{text} is {limits}", file=file, row=row, column=column)
    return value


def describe_length(n_values: int, layout: Layout) -> str:
    """Return the message about a row of `n_values`."""
    return f"{n_values} values, but the header has {len(layout.columns)}"


def find_misshapen(path: Path, layout: Layout) -> Misshapen:
    """Return the rows of `path` with more or fewer values than its header.

    A reader that pads short rows and cuts long ones can then leave them out.

    Raises:
        PackInvalid: a quotation mark is opened and not closed; the row is named.
    """
    n_values: dict[int, int] = {}
    blank: set[int] = set()
    n_rows = 0
    expected = len(layout.columns)
    separator = layout.separator.encode()
    for row, record in enumerate(_records(path), start=1):
        if row == 1:
            continue
        if not record.strip():
            blank.add(row)
            continue
        n_rows += 1
        if b'"' in record:
            text = record.decode("latin-1")
            n = len(next(csv.reader([text], delimiter=layout.separator)))
        else:
            n = record.count(separator) + 1
        if n != expected:
            n_values[row] = n
    return Misshapen(n_values, frozenset(blank), n_rows)


def _records(path: Path) -> Iterator[bytes]:
    """Yield the lines of `path`, rejoining those that a quoted line break splits."""
    parts: list[bytes] = []
    n_bytes = n_marks = n_records = 0
    with path.open("rb") as file:
        for line in file:
            n_marks += line.count(b'"')
            parts.append(line)
            n_bytes += len(line)
            if n_marks % 2 == 0:
                n_records += 1
                yield b"".join(parts)
                parts.clear()
                n_bytes = 0
            elif n_bytes > MAX_RECORD_BYTES:
                break
    if parts:
        message = "a quotation mark is opened and not closed; is the file complete?"
        raise PackInvalid(message, file=path, row=n_records + 1)
