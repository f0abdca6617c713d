"""The respondents of an official World Values Survey file, counted batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from survey_data.arrays import Floats, Ints, Truths
from survey_data.cultures import CultureCatalogue
from survey_data.delimited import describe_nearest, require_columns
from survey_data.errors import ConditionInvalid, PackInvalid
from survey_data.importers.culturespa import OFF_SCALE, option_codes
from survey_data.importers.populations import Populations
from survey_data.importers.report import N_EXAMPLES, Faults, QuestionDropped
from survey_data.importers.respondent_files import (
    MISSING_NAMES,
    NOT_ASKED,
    ROW,
    Batch,
    Missing,
    open_respondents,
)
from survey_data.importers.subset import RowCondition
from survey_data.importers.weighted_counts import WeightedCounts
from survey_data.model import Question
from survey_data.numbers import DecimalSign, describe_sign

COUNTRY, WEIGHT, YEAR = "B_COUNTRY_ALPHA", "W_WEIGHT", "A_YEAR"
MIN_SIZE = 100
# Columns added to those of the file, whose names have no blanks.
_CULTURE, _WEIGHT = "index of culture", "weight as a number"
_NO_OPTION, _OFF_SCALE, _NOT_ASKED = -1, -2, -3


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingRules:
    """Whom to count and how.

    Attributes:
        weighted: by `W_WEIGHT`; otherwise everyone counts alike.
        where: conditions that all must hold.
        min_size: effective respondents that a population needs; smaller ones are left out.
        strict: whether the first bad value ends the import.
        encoding: of the file's text, if it is not to be found by its first bytes.
    """

    weighted: bool = True
    where: tuple[RowCondition, ...] = ()
    min_size: float = MIN_SIZE
    strict: bool = False
    encoding: str | None = None


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
        source: the file.
        items: the questions that the file has, in their order.
        dropped: those that it lacks.
        cultures: alpha-3 codes, by index the populations of `counts`.
        populations: what the file calls them, and those that are left out.
        counts: what was answered.
        missing: how often somebody gave no option, over all questions, by the file's reason.
        faults: what was dropped.
        n_bad: how many values of a column were.
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
        self.source = open_respondents(file, encoding=choice.encoding)
        names = self.source.columns
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
        self.populations = Populations(catalogue)
        n_options = [len(item.question.options) for item in self.items]
        self.counts = WeightedCounts(n_options, len(self.cultures))
        self._first_year = np.full(len(self.cultures), np.inf)
        self._last_year = np.full(len(self.cultures), -np.inf)
        self.faults = Faults(file, strict=choice.strict)
        self.missing: Counter[Missing] = Counter()
        self.n_bad: Counter[str] = Counter()
        self._bad: list[_Bad] = []
        self.n_read = self.n_used = self.n_left_out = 0

    def count(self) -> None:
        """Count every row of the file.

        Raises:
            PackInvalid: it has no rows or is no CSV, or a value is bad and the choice is strict.
        """
        for batch in self._batches():
            self._count_batch(batch)
            for fault in sorted(self._bad):
                self.faults.add(**fault._asdict())
            self._bad.clear()
        if not self.n_read:
            raise PackInvalid("found no row below the header", file=self.file, row=1)

    def describe_missing(self) -> str:
        """Return how often somebody gave no option and why; empty if everybody did."""
        if not self.missing:
            return ""
        counts = [f"{self.missing[kind]} {MISSING_NAMES[kind]}" for kind in self.missing]
        outside = " and ".join(MISSING_NAMES[kind] for kind in NOT_ASKED)
        return (
            f"Answers without an option, over all questions: {', '.join(counts)}; "
            f"{outside} are no non-response"
        )

    def years(self, population: int) -> str:
        """Return the year or years of interviews (``"2017-2018"``), empty if no row says."""
        first, last = self._first_year[population], self._last_year[population]
        if not np.isfinite(first):
            return ""
        return f"{first:.0f}" if first == last else f"{first:.0f}-{last:.0f}"

    def _batches(self) -> Iterator[Batch]:
        wanted = {COUNTRY, YEAR, *(condition.column for condition in self.choice.where)}
        wanted |= {item.question.source_item for item in self.items}
        weight = WEIGHT if self.choice.weighted else None
        return self.source.batches(wanted | ({weight} if weight else set()), weight=weight)

    def _count_batch(self, read: Batch) -> None:
        self.n_read += len(read.rows) + len(read.n_values)
        for row, n in read.n_values.items():
            message = f"{n} values, but the header has {len(self.source.columns)}"
            self._bad.append(_Bad(row, COUNTRY, "row of a wrong length", message))
        batch = self._add_weight(self._add_culture(read.rows))
        holds = np.ones(len(batch), dtype=bool)
        for condition in self.choice.where:
            column = self._numbers(batch[condition.column])
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
            asked, gave = options != _NOT_ASKED, options >= 0
            self.counts.add_asked(index, cultures[asked], weights[asked])
            self.counts.add_answers(index, cultures[gave], weights[gave], options=options[gave])

    def _add_culture(self, batch: pl.DataFrame) -> pl.DataFrame:
        names = batch[COUNTRY].str.strip_chars()
        index_of = {code: index for index, code in enumerate(self.cultures)}
        known = {}
        for name, n in names.value_counts().iter_rows():
            code = self.populations.find(name)
            if code is None:
                self.populations.refuse(name, n)
            else:
                known[name] = index_of[code]
        indexes = names.replace_strict(known, default=None, return_dtype=pl.Int64)
        batch = batch.with_columns(indexes.alias(_CULTURE))
        return self._drop(batch, COUNTRY, indexes.is_null().to_numpy(), "unknown country code")

    def _add_weight(self, batch: pl.DataFrame) -> pl.DataFrame:
        if not self.choice.weighted:
            return batch.with_columns(pl.lit(1.0).alias(_WEIGHT))
        self._check_decimal_sign(batch)
        weights = self._numbers(batch[WEIGHT]).values
        unsound = ~(np.isfinite(weights) & (weights >= 0.0))
        batch = batch.with_columns(pl.Series(_WEIGHT, weights))
        return self._drop(batch, WEIGHT, unsound, "weight missing, negative or no number")

    def _check_decimal_sign(self, batch: pl.DataFrame) -> None:
        """Raise for a weight with another decimal sign than the first that has one."""
        decimal = self.source.decimal
        other = r"^\s*[-+]?\d*\.\d+\s*$" if decimal == "," else r"^\s*[-+]?\d*,\d+\s*$"
        wrong = batch.filter(pl.col(WEIGHT).str.contains(other))
        if len(wrong):
            found, row = wrong[WEIGHT][0], wrong[ROW][0]
            message = f"'{found}', but the file has {describe_sign(decimal)}; expected one of them"
            raise PackInvalid(message, file=self.file, row=row, column=WEIGHT)

    def _count_years(self, batch: pl.DataFrame, cultures: Ints) -> None:
        column = self._numbers(batch[YEAR])
        self._note(batch, YEAR, column.bad, "no number")
        given = column.values > 0
        np.minimum.at(self._first_year, cultures[given], column.values[given])
        np.maximum.at(self._last_year, cultures[given], column.values[given])

    def _options(self, batch: pl.DataFrame, item: Item) -> Ints:
        """Return int64[n], the index of the option that each person gave, negative for none."""
        name = item.question.source_item
        column = self._numbers(batch[name])
        self._note(batch, name, column.bad, "no number")
        values = np.where(np.isfinite(column.values), column.values, -1.0)
        inside = (values >= 0) & (values < len(item.index_of)) & (values == np.floor(values))
        options = np.full(len(values), _NO_OPTION, dtype=np.int64)
        options[inside] = item.index_of[values[inside].astype(np.int64)]
        no_option = (values >= 0) & (options == _NO_OPTION)
        self._note(batch, name, no_option, "code that the question has no option for")
        for reason in Missing:
            at = values == reason
            if reason in NOT_ASKED:
                options[at] = _NOT_ASKED
            # Neither a blank nor a value that is no number says why it is missing.
            if n := int((at & np.isfinite(column.values)).sum()):
                self.missing[reason] += n
        return options

    def _numbers(self, column: pl.Series) -> _Numbers:
        return _numbers(column, self.source.decimal)

    def _drop(self, batch: pl.DataFrame, column: str, at: Truths, reason: str) -> pl.DataFrame:
        self._note(batch, column, at, reason)
        return batch.filter(~at)

    def _note(self, batch: pl.DataFrame, column: str, at: Truths, reason: str) -> None:
        """Remember the first rows `at` which `column` is bad and count the others at once."""
        where = np.flatnonzero(at).tolist()
        self.n_bad[column] += len(where)
        for index in where[:N_EXAMPLES]:
            message = f"{reason} (found '{batch[column][index] or ''}')"
            self._bad.append(_Bad(batch[ROW][index], column, reason, message))
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


def _numbers(column: pl.Series, decimal: DecimalSign) -> _Numbers:
    texts = column.str.strip_chars().fill_null("")
    plain = texts
    if decimal == ",":
        # The other sign makes a text that is no number.
        plain = texts.str.replace_all(".", "?", literal=True).str.replace(",", ".", literal=True)
    values = plain.cast(pl.Float64, strict=False).fill_null(np.nan)
    return _Numbers(values.to_numpy(), texts)
