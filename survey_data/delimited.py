"""The one reader of delimited text: its encoding, header, separator, rows and quotation marks.

Text may be UTF-8 or UTF-16 with or without a byte order mark, or any encoding that is named; lines
may end in LF, CR LF or CR; a first line ``sep=;``, which Excel writes and hides, names the
separator. A value is quoted if it begins with a quotation mark and the next single mark ends it.
Every other mark is text (``5" pipe``).
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, TextIO

from survey_data.errors import PackInvalid

SEPARATORS = (",", ";", "\t")
# A quotation mark that is never closed would otherwise take in the rest of the file.
MAX_RECORD_CHARS = 1 << 20
_N_SAMPLE_LINES = 20
_SAMPLE_BYTES = 4096
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\W*', re.IGNORECASE)
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


class TableText(NamedTuple):
    """The text of a table that is in no file, and what errors call it."""

    name: Path
    text: str


class Record(NamedTuple):
    """Values of a row, its number (the header is 1), and that of the line in which it ends."""

    row: int
    line: int
    values: list[str]


class Layout(NamedTuple):
    """Column names, as the header has them, and how the file is written.

    Attributes:
        columns: names without surrounding blanks; blank ones at the end are left out.
        separator: the character between values.
        encoding: as Python's codecs know it.
        names_separator: whether the first line is ``sep=``; the header, row 1, follows it then.
    """

    columns: tuple[str, ...]
    separator: str
    encoding: str = "utf-8-sig"
    names_separator: bool = False

    def __str__(self) -> str:
        separator = _SEPARATOR_NAMES.get(self.separator, f"'{self.separator}'")
        return f"{_NAMES.get(self.encoding, self.encoding)}, separated by {separator}"


def is_encoding(name: str) -> bool:
    """Return whether text in an encoding of this name can be read."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError):
        return False
    return True


def read_layout(source: Path | TableText, *, encoding: str | None = None) -> Layout:
    """Return the layout of `source`.

    The separator is the one that the line ``sep=`` names, or the one that most lines have as often
    as the header, outside quoted values; of several the header's most frequent.

    Args:
        source: the file, or its text.
        encoding: of the file's text; by default UTF-8, or UTF-16 where the first bytes tell.

    Raises:
        PackInvalid: the file is missing, empty or in another encoding, or its header has a name
            twice.
    """
    path = _name(source)
    encoding = encoding or ("utf-8" if isinstance(source, TableText) else _find_encoding(source))
    lines = _read_first_lines(source, encoding)
    named = _SEPARATOR_LINE.fullmatch(lines[0])
    if named:
        del lines[0]
    header = lines[0]
    if fault := _find_fault(header):
        raise PackInvalid(fault, file=path, row=1)
    separator = named[1] if named else _find_separator(lines)
    columns = [name.strip() for name in _split(header, separator).values]
    while len(columns) > 1 and not columns[-1]:
        columns.pop()
    for index, name in enumerate(columns):
        if name in columns[:index]:
            raise PackInvalid("the column stands twice", file=path, row=1, column=name)
    return Layout(tuple(columns), separator, encoding, named is not None)


def _name(source: Path | TableText) -> Path:
    return source.name if isinstance(source, TableText) else source


def _open(source: Path | TableText, encoding: str, *, errors: str) -> TextIO:
    """Return the text of `source`, its lines ending in LF."""
    if isinstance(source, TableText):
        return io.StringIO(source.text, newline=None)
    return source.open(encoding=encoding, errors=errors, newline=None)


def _read_first_lines(source: Path | TableText, encoding: str) -> list[str]:
    try:
        with _open(source, encoding, errors="replace") as file:
            return [file.readline(MAX_RECORD_CHARS).rstrip("\n") for _ in range(_N_SAMPLE_LINES)]
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else f"not {encoding}: {exc}"
        raise PackInvalid(f"cannot be read: {reason}", file=_name(source)) from exc


def _find_fault(header: str) -> str | None:
    if header.startswith("PK\3\4"):
        return "this is a spreadsheet or an archive; save the table as CSV"
    if not header.strip() or "\0" in header:
        return "found no header, expected column names in the first row as text"
    if "\N{REPLACEMENT CHARACTER}" in header:
        return "the header is not UTF-8; save the file as UTF-8, or name its encoding"
    return None


def _find_encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(_SAMPLE_BYTES)
    except OSError as exc:
        raise PackInvalid(f"cannot be read: {exc.strerror}", file=path) from exc
    return find_encoding(start)


def find_encoding(start: bytes) -> str:
    """Return the encoding of a text that begins with `start`: UTF-16 or UTF-32, else UTF-8."""
    start = start[:_SAMPLE_BYTES]
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    # Names of columns are mostly Latin: in UTF-16 every other byte of theirs is zero.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[first::2]
        if len(zeros) > 1 and zeros.count(0) > len(zeros) // 2 and 0 not in start[1 - first :: 2]:
            return encoding
    return "utf-8-sig"


def _find_separator(lines: list[str]) -> str:
    """Return the separator of `lines`, the first of which is the header."""

    def fit(separator: str) -> tuple[bool, int, int]:
        counts = [len(_split(line, separator).values) for line in lines if line.strip()]
        return counts[0] > 1, counts[1:].count(counts[0]), counts[0]

    return max(SEPARATORS, key=fit)


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
    """Yield each row of a file with its number, values by column; blank rows are skipped.

    Raises:
        PackInvalid: a row is in another encoding, has more or fewer values than the header, or
            begins a quoted value that nothing ends; the row is named.
    """
    try:
        for row, _, values in read_records(path, layout, errors="strict"):
            if not any(map(str.strip, values)):
                continue
            if len(values) != len(layout.columns):
                raise PackInvalid(describe_length(len(values), layout), file=path, row=row)
            yield row, dict(zip(layout.columns, values, strict=True))
    except UnicodeError as exc:
        raise _name_row(path, layout) from exc


def _name_row(path: Path, layout: Layout) -> PackInvalid:
    """Return the error about the first line of `path` that is not in the layout's encoding."""
    with path.open(encoding=layout.encoding, errors="replace", newline=None) as file:
        lines = enumerate(file, start=0 if layout.names_separator else 1)
        row = next((row for row, line in lines if "\N{REPLACEMENT CHARACTER}" in line), None)
    name = _NAMES.get(layout.encoding, layout.encoding)
    remedy = "save the file as UTF-8, or name its encoding (--encoding latin-1)"
    return PackInvalid(f"not {name}; {remedy}", file=path, row=row)


def read_records(
    source: Path | TableText, layout: Layout, *, errors: str = "replace"
) -> Iterator[Record]:
    """Yield each row below the header; blank lines are skipped.

    A row may have more or fewer values than the header. Blank values beyond the header's columns
    are left out.

    Raises:
        PackInvalid: a value begins with a quotation mark and the file, or a million characters,
            end before the next one; the row is named.
        UnicodeError: a byte is not in the layout's encoding and `errors` is "strict".
    """
    n = len(layout.columns)
    with _open(source, layout.encoding, errors=errors) as file:
        if layout.names_separator:
            file.readline()
        for row, line, values in _records(file, layout, _name(source)):
            if len(values) > n and not any(map(str.strip, values[n:])):
                del values[n:]
            if row > 1 and (len(values) > 1 or values[0].strip()):
                yield Record(row, line, values)


def describe_length(n_values: int, layout: Layout) -> str:
    """Return the message about a row of `n_values`."""
    return f"{n_values} values, but the header has {len(layout.columns)}"


class _Split(NamedTuple):
    """Values of a text.

    `is_open`: one of them begins with a mark that no single mark follows. `is_torn`: a line ends
    within one that is not quoted.
    """

    values: list[str]
    is_open: bool = False
    is_torn: bool = False


@cache
def _quoted_value(separator: str) -> re.Pattern[str]:
    return re.compile(rf'"([^"]*(?:""[^"]*)*)"(?={re.escape(separator)}|\Z)')


def _split(text: str, separator: str) -> _Split:
    """Return the values of `text`; marks that quote nothing are text."""
    if '"' not in text:
        return _Split(text.split(separator))
    try:
        return _Split(next(csv.reader([text], delimiter=separator, strict=True)))
    except (csv.Error, StopIteration):
        pass  # A mark that quotes nothing, or a value that goes on in the next line.
    quoted, values, at = _quoted_value(separator), [], 0
    is_open = is_torn = False
    while True:
        if found := quoted.match(text, at):
            values.append(found[1].replace('""', '"'))
            at = found.end()
        else:
            end = text.find(separator, at)
            end = len(text) if end < 0 else end
            is_open |= text.startswith('"', at) and '"' not in text[at + 1 :].replace('""', "")
            is_torn |= "\n" in text[at:end]
            values.append(text[at:end])
            at = end
        if at >= len(text):
            return _Split(values, is_open, is_torn)
        at += len(separator)


def _records(file: Iterable[str], layout: Layout, path: Path) -> Iterator[Record]:
    """Yield each row of `file`, whose lines end in LF."""
    lines = iter(file)
    ahead: deque[str] = deque()

    def follow() -> Iterator[str]:
        """Yield the lines from here on and keep them for those who read after this."""
        yield from tuple(ahead)
        for line in lines:
            ahead.append(line)
            yield line

    row, n_lines = 0, int(layout.names_separator)
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        row, n_lines = row + 1, n_lines + 1
        values, is_open, _ = _split(line.removesuffix("\n"), layout.separator)
        if is_open:
            joined = _join(line, follow(), layout)
            if joined is None:
                message = (
                    "no CSV, an unexpected end: a quotation mark is opened and not closed; is the "
                    "file complete?"
                )
                raise PackInvalid(message, file=path, row=row)
            if joined.n_lines:
                values, n_lines = joined.values, n_lines + joined.n_lines
                for _ in range(joined.n_lines):
                    ahead.popleft()
        yield Record(row, n_lines, values)


class _Joined(NamedTuple):
    """Values of a row, and how many lines it has beyond its first."""

    values: list[str]
    n_lines: int


def _join(first: str, following: Iterator[str], layout: Layout) -> _Joined | None:
    """Return the row that begins in `first` with a mark that `first` does not close.

    It is `first` alone, its mark being text, if the mark that follows ends no value, or if both
    `first` and the next line are whole rows as they stand. None if no mark follows.
    """
    text = first
    is_whole = len(layout.columns) > 1 and _is_row(first, layout)
    for n_lines, line in enumerate(following, start=1):
        if n_lines == 1 and is_whole and _is_row(line, layout):
            return _Joined([], 0)
        text += line
        if '"' in line:
            values, is_open, is_torn = _split(text.removesuffix("\n"), layout.separator)
            if not is_open:
                return _Joined([], 0) if is_torn else _Joined(values, n_lines)
        if len(text) > MAX_RECORD_CHARS:
            return None
    return None


def _is_row(line: str, layout: Layout) -> bool:
    """Return whether `line` by itself has as many values as the header."""
    return len(_split(line.removesuffix("\n"), layout.separator).values) == len(layout.columns)
