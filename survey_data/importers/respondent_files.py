"""Files with a row per respondent: delimited text, SPSS (`.sav`, `.zsav`) and Stata (`.dta`).

All come out alike: batches of texts by column, an answer code as its number. Codes below zero are
those of the World Values Survey (`Missing`); what a labelled file marks as missing becomes one of
them, by its label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import polars as pl

from survey_data.delimited import read_layout, read_records
from survey_data.errors import PackInvalid
from survey_data.labelled import LabelledTable
from survey_data.numbers import Cell, DecimalSign, describe_sign, find_decimal_sign

BATCH_ROWS = 10_000
# Added to the columns of the file, whose names have no blanks.
ROW = "row number"


class Missing(IntEnum):
    """Why a respondent gave no option, as the World Values Survey codes it."""

    DONT_KNOW = -1
    NO_ANSWER = -2
    NOT_APPLICABLE = -3
    NOT_ASKED = -4
    UNKNOWN = -5


# Non-response is of those who were asked.
NOT_ASKED = (Missing.NOT_APPLICABLE, Missing.NOT_ASKED)
MISSING_NAMES = {
    Missing.DONT_KNOW: "don't know",
    Missing.NO_ANSWER: "no answer or refused",
    Missing.NOT_APPLICABLE: "not applicable",
    Missing.NOT_ASKED: "not asked",
    Missing.UNKNOWN: "missing for another reason",
}
_LABELS = (
    (re.compile(r"not asked", re.IGNORECASE), Missing.NOT_ASKED),
    (re.compile(r"not applicable|inapplicable|\binap\b", re.IGNORECASE), Missing.NOT_APPLICABLE),
    (re.compile(r"don.?t know|do not know|\bdk\b", re.IGNORECASE), Missing.DONT_KNOW),
    (re.compile(r"no answer|refus", re.IGNORECASE), Missing.NO_ANSWER),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file.

    Attributes:
        rows: texts by column, and `ROW`, the number of the row.
        n_values: how many values each row has instead that lacks some or has too many.
    """

    rows: pl.DataFrame
    n_values: Mapping[int, int] = field(default_factory=dict)


class RespondentFile(Protocol):
    """A file with a row per respondent.

    Attributes:
        columns: names of its columns.
        decimal: the sign in its numbers, once `batches` was called.
    """

    columns: tuple[str, ...]
    decimal: DecimalSign

    def describe(self) -> str:
        """Return how the file was read."""

    def batches(self, wanted: Collection[str], *, weight: str | None) -> Iterator[Batch]:
        """Yield the rows with the columns that are `wanted`, `weight` among them."""


def open_respondents(path: Path, *, encoding: str | None = None) -> RespondentFile:
    """Return the file at `path`, its header read.

    Raises:
        PackInvalid: it is missing, or has no header or not the form that its name tells.
        ImporterUnavailable: it is labelled and pyreadstat is not installed.
    """
    if LabelledTable.reads(path):
        return _LabelledRespondents(path, encoding=encoding)
    return _DelimitedRespondents(path, encoding=encoding)


class _DelimitedRespondents:
    def __init__(self, path: Path, *, encoding: str | None) -> None:
        self._path = path
        self._layout = read_layout(path, encoding=encoding)
        # Files of single countries say "Q1: Important in life: Family".
        names = tuple(name.partition(":")[0].strip() for name in self._layout.columns)
        for name in names:
            if names.count(name) > 1:
                raise PackInvalid("the column stands twice", file=path, row=1, column=name)
        self.columns = names
        self.decimal: DecimalSign = "."

    def describe(self) -> str:
        return f"{self._layout}, {describe_sign(self.decimal)}"

    def batches(self, wanted: Collection[str], *, weight: str | None) -> Iterator[Batch]:
        self.decimal = "," if self._layout.separator == ";" else "."
        if weight is not None:
            cells = self._cells(weight)
            self.decimal = find_decimal_sign(
                cells, file=self._path, separator=self._layout.separator, stop_early=True
            )
        names = [name for name in self.columns if name in wanted]
        pick = itemgetter(*map(self.columns.index, names), 0)  # A tuple, even of one column.
        rows: list[int] = []
        values: list[tuple[str, ...]] = []
        n_values: dict[int, int] = {}
        for row, _, found in read_records(self._path, self._layout):
            if not any(map(str.strip, found)):
                continue
            if len(found) == len(self.columns):
                rows.append(row)
                values.append(pick(found))
            else:
                n_values[row] = len(found)
            if len(rows) + len(n_values) == BATCH_ROWS:
                yield Batch(_frame(names, rows, values), n_values)
                rows, values, n_values = [], [], {}
        if rows or n_values:
            yield Batch(_frame(names, rows, values), n_values)

    def _cells(self, name: str) -> Iterator[Cell]:
        at = self.columns.index(name)
        for row, _, values in read_records(self._path, self._layout):
            if len(values) == len(self.columns):
                yield Cell(row, name, values[at])


def _frame(names: list[str], rows: list[int], values: list[tuple[str, ...]]) -> pl.DataFrame:
    columns = list(zip(*values, strict=True))[: len(names)] or [()] * len(names)
    data = {
        name: pl.Series(name, column, pl.String)
        for name, column in zip(names, columns, strict=True)
    }
    return pl.DataFrame({ROW: pl.Series(ROW, rows, pl.Int64), **data})


class _LabelledRespondents:
    decimal: DecimalSign = "."

    def __init__(self, path: Path, *, encoding: str | None) -> None:
        self._table = LabelledTable(path, encoding=encoding)
        self.columns = self._table.columns

    def describe(self) -> str:
        return f"{self._table.form} file"

    def batches(self, wanted: Collection[str], *, weight: str | None) -> Iterator[Batch]:
        del weight  # Its numbers need no reading.
        names = [name for name in self.columns if name in wanted]
        for rows in self._table.read_batches(names, n_rows=BATCH_ROWS):
            data = {
                name: self._table.code_texts(rows[name], missing=_code_missing) for name in names
            }
            frame = pl.DataFrame(data, schema=dict.fromkeys(names, pl.String))
            yield Batch(frame.insert_column(0, rows[self._table.row_name].cast(pl.Int64)))


def _code_missing(label: str, value: float | str) -> str:
    """Return the code of a missing `value`; without a telling label it is its own, if one."""
    for pattern, reason in _LABELS:
        if pattern.search(label):
            return str(int(reason))
    known = not isinstance(value, str) and value in list(Missing)
    return str(int(value)) if known else str(int(Missing.UNKNOWN))
