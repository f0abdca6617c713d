"""Conditions that ask no model: what the tables say about an answer that is hidden from them.

`transfer` and `related` are the service's own estimates. Two references do the same more simply:
the country whose shares are nearest on other questions, and a weighted mean of countries. None of
them uses what the asked culture answered to the asked question or to what is hidden with it.

Source: ESTIMATION, 'Splits to report on'.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from estimation.donors import fit_donors, stack
from estimation.estimator import Estimator
from estimation.related import HeldOut
from estimation.table import AnswerTable
from estimation.transfer import TransferModel, Transferred
from evaluation.asking import Condition, Response
from evaluation.references import Reference, Rule
from survey_data.arrays import Floats, Ints
from survey_data.distances import similarity_of_rows
from survey_data.library import SurveyLibrary
from survey_data.model import Question

TRANSFER, RELATED = "transfer", "related"


class Known(NamedTuple):
    """How much the tables are taken to know; None for all that they do.

    `cultures` others and `answers` of the culture's own are drawn once for each culture.
    """

    cultures: int | None = None
    answers: int | None = None

    def describe(self) -> str:
        """Return it in words; empty if all is known."""
        limits = {"other cultures asked": self.cultures, "own answers known": self.answers}
        return ", ".join(f"{n} {what}" for what, n in limits.items() if n is not None)


ALL = Known()


class _View(NamedTuple):
    """What is known for the culture in `column`; of its own `answers` the first that aren't hidden.

    Attributes:
        answers: the rows that it answered, in the order in which they are taken to be known.
    """

    column: int
    table: AnswerTable
    transfer: TransferModel
    answers: tuple[int, ...]


class TableEstimates:
    """The rules of the conditions, each from a question and a culture to a response."""

    def __init__(
        self,
        library: SurveyLibrary,
        estimator: Estimator,
        pack: str,
        *,
        vectors: Floats,
        hidden: Mapping[str, frozenset[str]],
        known: Known = ALL,
    ) -> None:
        """Estimate answers to questions of `pack` by what `estimator` was fitted on.

        Args:
            library: what people answered.
            estimator: the service's, fitted on all of it.
            pack: id of the pack whose questions are asked.
            vectors: unit vectors of the library's questions, float64[questions, dim].
            hidden: maps an asked question's key to the keys that count as unknown with it.
            known: how much else is known.
        """
        self._estimator, self._table, self._vectors = estimator, estimator.table, vectors
        self._cultures, self._known = library.pack(pack).cultures, known
        self._hidden = {
            self._table.row(key): self._table.rows({key, *others}) for key, others in hidden.items()
        }
        self._view = cache(self._make_view)
        self._alike = cache(self._compare_shares)

    def make_conditions(self) -> tuple[Condition, ...]:
        """Return the conditions.

        With one culture in the pack there is nobody to transfer from. `related` asks no others and
        needs many answers, so it is left out if little is taken to be known.
        """
        estimates: dict[str, Rule] = {}
        references: dict[str, Rule] = {}
        if len(self._cultures) > 1:
            estimates[TRANSFER] = self.transfer
            references["most similar by shares"] = self.most_similar
            references["stacked countries"] = self.stack_countries
        if self._known == ALL:
            estimates[RELATED] = self.relate
        return (
            *(Condition(name, "estimate", Reference(name, r)) for name, r in estimates.items()),
            *(Condition(name, "reference", Reference(name, r)) for name, r in references.items()),
        )

    def transfer(self, question: Question, culture: str) -> Response:
        """Return what others' answers to the question say; equal shares if nobody was asked."""
        found = self._transfer(question, culture)
        return Response.from_shares(_equal(question) if found is None else found.shares)

    def find_donors(self, question: Question, culture: str) -> tuple[tuple[str, float], ...]:
        """Return the cultures that `transfer` rests on with their weights, the heaviest first."""
        found = self._transfer(question, culture)
        donors = () if found is None else found.donors
        return tuple((self._table.cultures[column], weight) for column, weight in donors)

    def relate(self, question: Question, culture: str) -> Response:
        """Return what the culture's answers to like questions say."""
        held = self._held_out[self._table.row(question.key)]
        return Response.from_shares(held.shares[self._table.column(culture)])

    def most_similar(self, question: Question, culture: str) -> Response:
        """Return the shares of the culture whose shares are nearest on other questions."""
        view, row = self._view(culture), self._table.row(question.key)
        others, usable = _find_others(view, row), self._usable(view, row)
        if not len(others):
            return Response.from_shares(_equal(question))
        alike = self._alike(view.column)[np.ix_(usable, others)]
        compared = view.table.asked[np.ix_(usable, others)]
        total = np.where(compared, alike, 0.0).sum(axis=0)
        mean = total / np.maximum(compared.sum(axis=0), 1)
        return Response.from_shares(view.table.known(row, int(others[mean.argmax()])))

    def stack_countries(self, question: Question, culture: str) -> Response:
        """Return a mean of the others' shares, weighted by how well they predict this culture's."""
        view, row = self._view(culture), self._table.row(question.key)
        others, usable = _find_others(view, row), self._usable(view, row)
        if not len(others):
            return Response.from_shares(_equal(question))
        common = usable[view.table.asked[np.ix_(usable, others)].any(axis=1)]
        donors = fit_donors(view.table, view.column, others.tolist(), common.tolist())
        return Response.from_shares(stack(view.table, donors, row))

    def _transfer(self, question: Question, culture: str) -> Transferred | None:
        """Return what others' answers to the question say; None if nobody was asked."""
        view, row = self._view(culture), self._table.row(question.key)
        answered = frozenset(view.answers)
        barred = self._hidden[row] | (answered - frozenset(self._usable(view, row).tolist()))
        (found,) = view.transfer.estimate_all((row,), view.column, barred=barred)
        return found

    def _usable(self, view: _View, row: int) -> Ints:
        """Return the rows of the culture's answers that are known while this one is hidden."""
        hidden = self._hidden[row]
        usable = [answer for answer in view.answers if answer not in hidden]
        return np.array(sorted(usable[: self._known.answers]), dtype=np.int64)

    @cached_property
    def _held_out(self) -> dict[int, HeldOut]:
        """What like questions say, by row; all at once, which is much cheaper than one by one."""
        groups = list(self._hidden.items())
        return {held.row: held for held in self._estimator.hold_out_rows(groups)}

    def _compare_shares(self, column: int) -> Floats:
        """Return how alike a culture's shares are to all cultures', float64[rows, cultures]."""
        shares = self._table.shares
        return similarity_of_rows(np.broadcast_to(shares[:, [column]], shares.shape), shares)

    def _make_view(self, culture: str) -> _View:
        """Return what is taken to be known for `culture`; draws depend on its code alone."""
        random = np.random.default_rng(list(culture.encode()))
        table, transfer = self._table, self._estimator.transfer_model
        column = table.column(culture)
        answers = np.flatnonzero(table.asked[:, column])
        if self._known.cultures is not None:
            others = [table.column(code) for code in self._cultures if code != culture]
            drawn = random.permutation(others)[: self._known.cultures].tolist()
            table = table.restrict([column, *drawn])
            transfer = TransferModel(table, self._vectors)
        return _View(column, table, transfer, tuple(random.permutation(answers).tolist()))


def _find_others(view: _View, row: int) -> Ints:
    """Return the columns of the other cultures that were asked a question."""
    asked = view.table.asked[row].copy()
    asked[view.column] = False
    return np.flatnonzero(asked)


def _equal(question: Question) -> Floats:
    return np.full(len(question.options), 1.0 / len(question.options))
