"""Tables that a user brings, row by row, whatever wrote them: CSV, SPSS or Stata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from survey_data.delimited import read_delimited_rows, read_layout
from survey_data.labelled import LabelledTable

_BATCH_ROWS = 10_000


class _DelimitedTable:
    def __init__(self, path: Path, *, encoding: str | None) -> None:
        self._path, self._layout = path, read_layout(path, encoding=encoding)
        self.columns, self.separator = self._layout.columns, self._layout.separator

    def __str__(self) -> str:
        return str(self._layout)

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each row with its number; see `read_delimited_rows`."""
        return read_delimited_rows(self._path, self._layout)


class _LabelledTable:
    separator = ","

    def __init__(self, path: Path, *, encoding: str | None) -> None:
        self._table = LabelledTable(path, encoding=encoding)
        self.columns = self._table.columns

    def __str__(self) -> str:
        return f"{self._table.form} file"

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each row with its number; a value is its label, if it has one, else its text."""
        table = self._table
        for batch in table.read_batches(self.columns, n_rows=_BATCH_ROWS):
            texts = [table.label_texts(batch[name]) for name in self.columns]
            for number, *values in zip(batch[table.row_name].to_list(), *texts, strict=True):
                yield number, dict(zip(self.columns, values, strict=True))


def open_table(path: Path, *, encoding: str | None = None) -> _DelimitedTable | _LabelledTable:
    """Return the table at `path`, its columns read; `str` of it says how it is read.

    Args:
        path: the file; a name in `.sav`, `.zsav` or `.dta` is that of SPSS or Stata.
        encoding: of its text, if it is not to be found by its first bytes.

    Raises:
        PackInvalid: it is missing, or has no header or not the form that its name tells.
        ImporterUnavailable: it is labelled and pyreadstat is not installed.
    """
    form = _LabelledTable if LabelledTable.reads(path) else _DelimitedTable
    return form(path, encoding=encoding)
