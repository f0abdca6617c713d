"""What an import did: what was used, what was left out, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from survey_data.errors import PackInvalid
from survey_data.model import Pack

N_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class BadRow:
    """One value of a source file that could not be used; `row` is 1-based, the header is row 1."""

    file: Path
    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}, column '{self.column}': {self.message}"


class FaultTally(NamedTuple):
    """How often something was dropped for one reason."""

    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class PopulationRefused:
    """A population of the source that the pack does not have.

    Attributes:
        name: as the source has it, or its alpha-3 code.
        reason: why it is left out.
        n_effective: its effective number of respondents, if respondents are known.
        n_cells: its cells that are left out, if the source has cells.
        n_rows: its rows that are left out, if it has a row per respondent or share.
    """

    name: str
    reason: str
    n_effective: float | None = None
    n_cells: int | None = None
    n_rows: int | None = None


class QuestionDropped(NamedTuple):
    """A question of the source that the pack does not have."""

    question: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of one import. Rows read are rows used, left out and dropped, together.

    Attributes:
        n_rows_read: rows of the source, its header and blank lines not among them.
        n_rows_used: rows that the figures are made of.
        n_rows_left_out: sound rows that the import was told to leave out.
        n_rows_dropped: rows that could not be used.
        n_cells_written: distributions in the pack.
        n_cells_empty: cells that nobody answered or was asked; they are not written.
        faults: how often a row or a value was dropped, by reason, most often first.
        examples: the first of them, by row.
        populations_refused: what was left out of the pack, largest first.
        questions_dropped: in source order.
        checks: what the import was compared with, and the result.
        notes: how the source was read, and what else there is to know of it.
    """

    n_rows_read: int
    n_rows_used: int
    n_cells_written: int
    n_cells_empty: int = 0
    n_rows_left_out: int = 0
    n_rows_dropped: int = 0
    faults: tuple[FaultTally, ...] = ()
    examples: tuple[BadRow, ...] = ()
    populations_refused: tuple[PopulationRefused, ...] = ()
    questions_dropped: tuple[QuestionDropped, ...] = ()
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ImportedPack(NamedTuple):
    """A pack that is not written yet, and how it came about."""

    pack: Pack
    report: ImportReport


class Faults:
    """Counts what is dropped and keeps the first few examples.

    With `strict` the first fault is an error instead.
    """

    def __init__(self, file: Path, *, strict: bool = False) -> None:
        self._file = file
        self._strict = strict
        self._counts: Counter[str] = Counter()
        self._examples: list[BadRow] = []

    def add(self, reason: str, *, row: int, column: str, message: str) -> None:
        """Count one fault of `row`.

        Raises:
            PackInvalid: faults are errors here (`strict`).
        """
        if self._strict:
            raise PackInvalid(message, file=self._file, row=row, column=column)
        self.count(reason)
        if len(self._examples) < N_EXAMPLES:
            self._examples.append(BadRow(self._file, row, column, message))

    def count(self, reason: str, n: int = 1) -> None:
        """Count `n` faults that belong to no row, or that have examples enough."""
        self._counts[reason] += n

    @property
    def tallies(self) -> tuple[FaultTally, ...]:
        """Counts by reason, most often first."""
        return tuple(FaultTally(reason, n) for reason, n in self._counts.most_common() if n)

    @property
    def examples(self) -> tuple[BadRow, ...]:
        """The first faults, by row."""
        return tuple(sorted(self._examples, key=lambda bad: bad.row))
