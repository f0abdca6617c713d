"""All answers of a library as arrays: questions by cultures by options."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from estimation.shares import log_ratios
from survey_data.arrays import Floats, Ints
from survey_data.library import SurveyLibrary
from survey_data.model import Question

Flags: TypeAlias = NDArray[np.bool_]


class AnswerTable:
    """How every culture answered every question, as far as it is known.

    Rows are questions, columns cultures. What was not asked, and the places behind a question's
    last option, are 0 in `shares` and `logits`.

    Attributes:
        questions: in the order of the rows.
        cultures: alpha-3 codes, in the order of the columns.
        n_options: int64[rows].
        shares: float64[rows, columns, most options].
        logits: the shares as centred log-ratios, of the same shape.
        asked: bool[rows, columns].
        wordings: the texts of all options, each once.
        wording_of: which of them each option has, int64[rows, most options]; 0 behind the last.
    """

    def __init__(self, library: SurveyLibrary) -> None:
        """Take all answers of `library`."""
        self.questions: tuple[Question, ...] = tuple(library.questions.values())
        self.cultures = library.cultures
        self.n_options: Ints = np.array([len(q.options) for q in self.questions], dtype=np.int64)
        self._rows = {question.key: row for row, question in enumerate(self.questions)}
        self._columns = {culture: column for column, culture in enumerate(self.cultures)}
        most = int(self.n_options.max(initial=0))
        shape = (len(self.questions), len(self.cultures))
        self.shares: Floats = np.zeros((*shape, most))
        self.logits: Floats = np.zeros((*shape, most))
        self.asked: Flags = np.zeros(shape, dtype=bool)
        texts = dict.fromkeys(option for q in self.questions for option in q.options)
        self.wordings: tuple[str, ...] = tuple(texts)
        self.wording_of: Ints = np.zeros((len(self.questions), most), dtype=np.int64)
        places = {text: place for place, text in enumerate(self.wordings)}
        for row, question in enumerate(self.questions):
            self.wording_of[row, : len(question.options)] = [places[o] for o in question.options]
        for pack in library.packs:
            for cell in pack.distributions:
                place = self._rows[cell.question], self._columns[cell.culture]
                shares = np.asarray(cell.shares) / sum(cell.shares)
                self.shares[place][: len(shares)] = shares
                self.logits[place][: len(shares)] = log_ratios(shares)
                self.asked[place] = True

    def row(self, key: str) -> int:
        """Return the row of the question `key`; KeyError for one that is not there."""
        return self._rows[key]

    def column(self, culture: str) -> int:
        """Return the column of a culture; KeyError for one that answered nothing."""
        return self._columns[culture]

    def known(self, row: int, culture: int) -> Floats:
        """Return the shares that the culture in this column answered, float64[options]."""
        shares: Floats = self.shares[row, culture, : self.n_options[row]]
        return shares

    def rows(self, keys: Collection[str]) -> frozenset[int]:
        """Return the rows of those `keys` that are there."""
        return frozenset(self._rows[key] for key in keys if key in self._rows)

    def restrict(self, columns: Collection[int]) -> AnswerTable:
        """Return the table as if only the cultures in these columns had been asked."""
        few = copy(self)
        for name in ("surveyed", "n_asked"):
            few.__dict__.pop(name, None)
        left_out = np.setdiff1d(np.arange(len(self.cultures)), list(columns))
        few.shares, few.logits, few.asked = (
            self.shares.copy(),
            self.logits.copy(),
            self.asked.copy(),
        )
        for values in (few.shares, few.logits, few.asked):
            values[:, left_out] = 0
        return few

    @cached_property
    def n_asked(self) -> Ints:
        """How many cultures were asked each question, int64[rows]."""
        counts: Ints = self.asked.sum(axis=1)
        return counts

    @cached_property
    def surveyed(self) -> dict[str, tuple[int, ...]]:
        """The columns of the cultures of each pack, by pack id."""
        surveyed: dict[str, set[int]] = {}
        for row, question in enumerate(self.questions):
            surveyed.setdefault(question.pack, set()).update(np.flatnonzero(self.asked[row]))
        return {pack: tuple(sorted(map(int, columns))) for pack, columns in surveyed.items()}
