"""The respondents of an official World Values Survey file, counted in one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from survey_data.arrays import Floats, Ints, Truths
from survey_data.cultures import CultureCatalogue
from survey_data.delimited import (
    Layout,
    describe_length,
    describe_nearest,
    find_misshapen,
    read_layout,
    require_columns,
)
from survey_data.errors import ConditionInvalid, PackInvalid
from survey_data.importers.culturespa import OFF_SCALE, option_codes
from survey_data.importers.report import N_EXAMPLES, Faults, QuestionDropped
from survey_data.importers.subset import RowCondition
from survey_data.importers.weighted_counts import WeightedCounts
from survey_data.model import Question

COUNTRY, WEIGHT, YEAR = "B_COUNTRY_ALPHA", "W_WEIGHT", "A_YEAR"
MIN_SIZE = 100
# Codes of the file that are not ISO 3166-1.
_COUNTRY_CODES = {"MOR": "MAR"}
_BATCH_ROWS = 10_000
# Columns added to those of the file, whose names have no blanks.
_ROW, _CULTURE, _WEIGHT = "row number", "index of culture", "weight as a number"
_NO_OPTION, _OFF_SCALE = -1, -2


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingRules:
    """Whom to count and how.

    Attributes:
        weighted: by `W_WEIGHT`; otherwise everyone counts alike.
        where: conditions that all must hold.
        min_size: effective respondents that a population needs; smaller ones are left out.
        strict: whether the first bad value ends the import.
    """

    weighted: bool = True
    where: tuple[RowCondition, ...] = ()
    min_size: float = MIN_SIZE
    strict: bool = False


class _Numbers(NamedTuple):
    """A column: float64[n], NaN for what is not a number, and its text without blanks."""

    values: Floats
    texts: pl.Series

    @property
    def bad(self) -> Truths:
        """bool[n], whether there is text that is not a number."""
        return np.asarray((self.texts != "").to_numpy() & ~np.isfinite(self.values))


class Item(NamedTuple):
    """A question of the file and the index of the option for each code from 0."""

    question: Question
    index_of: Ints


class _Bad(NamedTuple):
    row: int
    column: str
    reason: str
    message: str


class Respondents:
    """The people of `file` that `choice` counts, and what was left out and dropped.

    Attributes:
        items: the questions that the file has, in their order.
        dropped: those that it lacks.
        cultures: alpha-3 codes, by index the populations of `counts`.
        counts: what was answered.
        faults: what was dropped.
    """

    def __init__(
        self,
        file: Path,
        catalogue: CultureCatalogue,
        choice: CountingRules,
        questions: list[Question],
    ) -> None:
        """Read the header of `file`; `questions` name their items in `source_item`.

        Raises:
            PackInvalid: the file has no header, or lacks a column that is needed.
            ConditionInvalid: a condition names a column that the file lacks.
        """
        self.file, self.choice = file, choice
        raw = read_layout(file)
        # Files of single countries say "Q1: Important in life: Family".
        names = tuple(name.partition(":")[0].strip() for name in raw.columns)
        self.layout = Layout(names, raw.separator)
        _check_columns(names, choice, file)
        self.items = [_item(q) for q in questions if q.source_item in names]
        self.dropped = [
            QuestionDropped(q.source_item, "no such column in the file")
            for q in questions
            if q.source_item not in names
        ]
        if not self.items:
            require_columns([q.source_item for q in questions] or ["Q1"], names, file=file)
        self.cultures = sorted(culture.code for culture in catalogue)
        n_options = [len(item.question.options) for item in self.items]
        self.counts = WeightedCounts(n_options, len(self.cultures))
        self._first_year = np.full(len(self.cultures), np.inf)
        self._last_year = np.full(len(self.cultures), -np.inf)
        self.faults = Faults(file, strict=choice.strict)
        self._bad: list[_Bad] = []
        self.n_read = self.n_used = self.n_left_out = 0

    def count(self) -> None:
        """Count every row of the file.

        Raises:
            PackInvalid: it has no rows or is no CSV, or a value is bad and the choice is strict.
        """
        misshapen = find_misshapen(self.file, self.layout)
        for batch in self._batches():
            rows = batch.filter(~pl.col(_ROW).is_in(misshapen.blank))
            self._count_batch(rows, n_values=misshapen.n_values)
            for fault in sorted(self._bad):
                self.faults.add(**fault._asdict())
            self._bad.clear()
        if not self.n_read:
            raise PackInvalid("found no row below the header", file=self.file, row=1)
        if self.n_read != misshapen.n_rows:
            found = f"{self.n_read} rows were read, but the file has {misshapen.n_rows}"
            message = f"{found}; save it without line breaks inside values"
            raise PackInvalid(message, file=self.file)

    def years(self, population: int) -> str:
        """Return the year or years of interviews (``"2017-2018"``), empty if no row says."""
        first, last = self._first_year[population], self._last_year[population]
        if not np.isfinite(first):
            return ""
        return f"{first:.0f}" if first == last else f"{first:.0f}-{last:.0f}"

    def _batches(self) -> Iterator[pl.DataFrame]:
        names = self.layout.columns
        wanted = {COUNTRY, YEAR, *(condition.column for condition in self.choice.where)}
        wanted |= {item.question.source_item for item in self.items}
        if self.choice.weighted:
            wanted.add(WEIGHT)
        try:
            yield from (
                pl.scan_csv(
                    self.file,
                    separator=self.layout.separator,
                    has_header=False,
                    skip_lines=1,
                    schema=dict.fromkeys(names, pl.String),
                    # Short and long rows are found, and left out, by their length.
                    missing_columns="insert",
                    extra_columns="ignore",
                    truncate_ragged_lines=True,
                    # A byte that is not UTF-8 makes its own value unreadable and no other.
                    encoding="utf8-lossy",
                    row_index_name=_ROW,
                    row_index_offset=2,
                )
                .select(_ROW, *(name for name in names if name in wanted))
                .collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True)
            )
        except pl.exceptions.PolarsError as exc:
            reason = str(exc).splitlines()[0]
            raise PackInvalid(f"cannot be read as CSV: {reason}", file=self.file) from exc

    def _count_batch(self, batch: pl.DataFrame, *, n_values: dict[int, int]) -> None:
        self.n_read += len(batch)
        whole = ~np.isin(batch[_ROW].to_numpy(), list(n_values))
        for row in batch[_ROW].filter(~pl.Series(whole)):
            message = describe_length(n_values[row], self.layout)
            self._bad.append(_Bad(row, COUNTRY, "row of a wrong length", message))
        batch = self._add_weight(self._add_culture(batch.filter(whole)))
        holds = np.ones(len(batch), dtype=bool)
        for condition in self.choice.where:
            column = _numbers(batch[condition.column])
            if condition.numeric:
                self._note(batch, condition.column, column.bad, "no number")
            holds &= condition.mask(column.values, column.texts.to_numpy())
        self.n_left_out += int((~holds).sum())
        batch = batch.filter(holds)

        self.n_used += len(batch)
        cultures, weights = batch[_CULTURE].to_numpy(), batch[_WEIGHT].to_numpy()
        self.counts.add_people(cultures, weights)
        self._count_years(batch, cultures)
        for index, item in enumerate(self.items):
            options = self._options(batch, item)
            gave = options >= 0
            self.counts.add_answers(index, cultures[gave], weights[gave], options=options[gave])

    def _add_culture(self, batch: pl.DataFrame) -> pl.DataFrame:
        codes = batch[COUNTRY].str.strip_chars().replace(_COUNTRY_CODES)
        known = codes.cast(pl.Enum(self.cultures), strict=False).to_physical().cast(pl.Int64)
        batch = batch.with_columns(known.alias(_CULTURE))
        return self._drop(batch, COUNTRY, known.is_null().to_numpy(), "unknown country code")

    def _add_weight(self, batch: pl.DataFrame) -> pl.DataFrame:
        if not self.choice.weighted:
            return batch.with_columns(pl.lit(1.0).alias(_WEIGHT))
        texts = batch[WEIGHT]
        if self.layout.separator == ";":
            texts = texts.str.replace(",", ".", literal=True)
        weights = _numbers(texts).values
        unsound = ~(np.isfinite(weights) & (weights >= 0.0))
        batch = batch.with_columns(pl.Series(_WEIGHT, weights))
        return self._drop(batch, WEIGHT, unsound, "weight missing, negative or no number")

    def _count_years(self, batch: pl.DataFrame, cultures: Ints) -> None:
        column = _numbers(batch[YEAR])
        self._note(batch, YEAR, column.bad, "no number")
        given = column.values > 0
        np.minimum.at(self._first_year, cultures[given], column.values[given])
        np.maximum.at(self._last_year, cultures[given], column.values[given])

    def _options(self, batch: pl.DataFrame, item: Item) -> Ints:
        """Return int64[n], the index of the option that each person gave, negative for none."""
        name = item.question.source_item
        column = _numbers(batch[name])
        self._note(batch, name, column.bad, "no number")
        values = np.where(np.isfinite(column.values), column.values, -1.0)
        inside = (values >= 0) & (values < len(item.index_of)) & (values == np.floor(values))
        options = np.full(len(values), _NO_OPTION, dtype=np.int64)
        options[inside] = item.index_of[values[inside].astype(np.int64)]
        no_option = (values >= 0) & (options == _NO_OPTION)
        self._note(batch, name, no_option, "code that the question has no option for")
        return options

    def _drop(self, batch: pl.DataFrame, column: str, at: Truths, reason: str) -> pl.DataFrame:
        self._note(batch, column, at, reason)
        return batch.filter(~at)

    def _note(self, batch: pl.DataFrame, column: str, at: Truths, reason: str) -> None:
        """Remember the first rows `at` which `column` is bad and count the others at once."""
        where = np.flatnonzero(at).tolist()
        for index in where[:N_EXAMPLES]:
            message = f"{reason} (found '{batch[column][index] or ''}')"
            self._bad.append(_Bad(batch[_ROW][index], column, reason, message))
        self.faults.count(reason, max(0, len(where) - N_EXAMPLES))


def _check_columns(names: Sequence[str], choice: CountingRules, file: Path) -> None:
    require_columns([COUNTRY, YEAR, *([WEIGHT] if choice.weighted else [])], names, file=file)
    for condition in choice.where:
        if condition.column not in names:
            near = describe_nearest(condition.column, names)
            raise ConditionInvalid(f"'{condition}': {file} has no such column;{near}.")


def _item(question: Question) -> Item:
    codes = option_codes(question)
    off_scale = OFF_SCALE.get(question.source_item)
    index_of = np.full(max(*codes, off_scale or 0) + 1, _NO_OPTION, dtype=np.int64)
    index_of[codes] = np.arange(len(codes))
    if off_scale is not None:
        index_of[off_scale] = _OFF_SCALE
    return Item(question, index_of)


def _numbers(column: pl.Series) -> _Numbers:
    texts = column.str.strip_chars().fill_null("")
    values = texts.cast(pl.Float64, strict=False).fill_null(np.nan)
    return _Numbers(values.to_numpy(), texts)
