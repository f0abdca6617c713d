"""What a people answer to a question, by the best source that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from estimation.conformal import is_void
from estimation.fitting import OTHER_SURVEYS, OWN_SURVEY, Intervals, classify
from estimation.related import HeldOut, RelatedModel
from estimation.sampling import Interval, sampling_intervals
from estimation.source import Source
from estimation.table import AnswerTable
from estimation.transfer import TransferModel, Transferred
from retrieval.likeness import SAME_QUESTION
from survey_data.arrays import Floats
from survey_data.library import SurveyLibrary
from survey_data.model import Question

# Cultures with less weight than this, and questions that pull less, are not worth a mention.
MIN_WEIGHT, MIN_PULL = 0.01, 0.01
# In a library of more questions than the first number, one is estimated from those nearest to it,
# as many as the second: the time that a fit takes grows with the cube of their number.
MAX_QUESTIONS, N_NEAREST = 400, 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a people answer to a question.

    Attributes:
        source: what it stands on; never `model`.
        shares: one per option, in the order asked, together 1.
        intervals: of each share, to 90 %; None where the survey tells no number of people.
        confident: whether the intervals say anything.
        donors: of `transfer`, the cultures by alpha-3 code with their weights, heaviest first.
        moved_by: of `transfer`, the keys of the culture's own questions that moved it most; of
            `related`, the nearest one.
        evidence: of `related`, the class of what like questions tell, see `classify`; 0 is most.
    """

    source: Source
    shares: tuple[float, ...]
    intervals: tuple[Interval, ...] | None
    confident: bool = True
    donors: tuple[tuple[str, float], ...] = ()
    moved_by: tuple[str, ...] = ()
    evidence: int | None = None

    @property
    def option(self) -> int:
        """Index of the option with the largest share; of equal ones the first."""
        return max(range(len(self.shares)), key=lambda i: (self.shares[i], -i))


class HeldOutEstimate(NamedTuple):
    """An estimate of a survey question from like ones, as if nobody had been asked it.

    Attributes:
        shares: float64[options] for each culture that was asked it, by alpha-3 code.
        evidence: as in `Estimate`.
    """

    shares: dict[str, Floats]
    evidence: int


def thin_out(n_questions: int) -> frozenset[int]:
    """Return the rows to leave out so that a fit is quick: of a large library all but some."""
    if n_questions <= MAX_QUESTIONS:
        return frozenset()
    kept = np.linspace(0, n_questions - 1, N_NEAREST).round().astype(np.int64)
    return frozenset(range(n_questions)) - frozenset(kept.tolist())


class Estimator:
    """Estimates what the cultures of a library answer. Safe to share between threads.

    Attributes:
        table: the answers that it was fitted on.
        transfer_model: what tells an answer from other cultures'.
    """

    def __init__(
        self,
        library: SurveyLibrary,
        table: AnswerTable,
        *,
        transfer: TransferModel,
        make_related: Callable[[frozenset[int]], RelatedModel],
        intervals: Intervals,
        alike: Sequence[frozenset[int]],
    ) -> None:
        """Take what was fitted on the answers of `library`.

        `make_related` returns what tells an answer from like questions, without those in some
        rows; it is called for every one that is estimated so, and keeps what it made last. `alike`
        are the rows that count as the same question as each row, its own among them.
        """
        self._library, self.table = library, table
        self.transfer_model, self._intervals = transfer, intervals
        self._make_related = make_related
        self._alike = alike

    @cached_property
    def related(self) -> RelatedModel:
        """What tells an answer from like questions; fitted, in about a second, when first used.

        In a large library from questions spread evenly over it.
        """
        return self._make_related(thin_out(len(self.table.questions)))

    def prepare(self) -> None:
        """Fit what is fitted when first used, so that no request waits for it."""
        self.related  # noqa: B018  # a property that is kept

    def find_people(self, question: Question, culture: str) -> Estimate | None:
        """Return what the people of `culture` answered; None where they were not asked."""
        cell = self._library.distribution(question.key, culture)
        if cell is None:
            return None
        shares = np.asarray(cell.shares) / sum(cell.shares)
        return Estimate(Source.SURVEY, tuple(shares.tolist()), sampling_intervals(cell))

    def transfer(
        self, question: Question, culture: str, *, withhold: bool = False
    ) -> Estimate | None:
        """Return what `culture` would answer by how others did; None where nobody else was asked.

        What it answered to this very question is never used; with `withhold` nor is what it
        answered to those that count as the same.
        """
        table, row = self.table, self.table.row(question.key)
        column = table.column(culture)
        barred = self._alike[row] if withhold else frozenset[int]()
        found = self.transfer_model.estimate(row, column, barred=barred)
        if found is None:
            return None
        is_surveyed = column in table.surveyed[question.pack]
        evidence = OWN_SURVEY if is_surveyed else OTHER_SURVEYS
        intervals = self._intervals.transfer.intervals(found.shares, column, evidence)
        donors, moved_by = self._name_evidence(found)
        return Estimate(
            Source.TRANSFER,
            tuple(found.shares.tolist()),
            intervals,
            confident=not is_void(intervals, self._intervals.void),
            donors=donors,
            moved_by=moved_by,
        )

    def relate(
        self, question: Floats, options: Floats, culture: str, *, withhold: bool = False
    ) -> Estimate:
        """Return what `culture` would answer by how it answered like questions.

        Args:
            question: unit vector of the question, float64[dim].
            options: unit vectors of its options in scale order, float64[options, dim].
            culture: alpha-3 code.
            withhold: whether answers to what counts as the same question are left out, which
                takes a fit of about a second.
        """
        column = self.table.column(culture)
        barred = self._find_far(question)
        if withhold:
            near = self.related.find_near(question, SAME_QUESTION)
            barred = barred.union(near, *(self._alike[row] for row in near))
        found = self._make_related(barred).estimate(question, options, column)
        evidence = classify(found.variance)
        intervals = self._intervals.related.intervals(found.shares, column, evidence)
        return Estimate(
            Source.RELATED,
            tuple(found.shares.tolist()),
            intervals,
            confident=not is_void(intervals, self._intervals.void),
            moved_by=(self.table.questions[found.nearest[0]].key,),
            evidence=evidence,
        )

    def hold_out(self, groups: Sequence[tuple[Question, frozenset[str]]]) -> list[HeldOutEstimate]:
        """Return what `relate` would say of survey questions if nobody had been asked them.

        Each group is a question and the keys of others that are not used either, besides those
        that count as the same. It takes seconds, about as many for one question as for all.
        """
        table = self.table
        rows = [
            (table.row(question.key), self._alike[table.row(question.key)] | table.rows(unknown))
            for question, unknown in groups
        ]
        return [
            HeldOutEstimate(
                {
                    table.cultures[column]: held.shares[column]
                    for column in np.flatnonzero(table.asked[held.row]).tolist()
                },
                classify(held.variance),
            )
            for held in self.hold_out_rows(rows)
        ]

    def hold_out_rows(self, groups: Sequence[tuple[int, frozenset[int]]]) -> list[HeldOut]:
        """Return `hold_out` by rows of the table, each with the rows that are not used for it.

        In a large library it takes a fit for each.
        """
        if len(self.table.questions) <= MAX_QUESTIONS:
            return self.related.hold_out(groups)
        return [self._hold_out_row(row, barred) for row, barred in groups]

    def _hold_out_row(self, row: int, barred: frozenset[int]) -> HeldOut:
        question, options = self.related.find_vectors(row)
        related = self._make_related(self._find_far(question) | barred | {row})
        shares = np.full((len(self.table.cultures), len(options)), np.nan)
        variance = 0.0
        for column in np.flatnonzero(self.table.asked[row]).tolist():
            found = related.estimate(question, options, column)
            shares[column], variance = found.shares, found.variance
        return HeldOut(row, shares, variance)

    def _find_far(self, question: Floats) -> frozenset[int]:
        """Return the rows of all questions but those that one is estimated from."""
        if len(self.table.questions) <= MAX_QUESTIONS:
            return frozenset()
        return self.related.find_far(question, N_NEAREST)

    def _name_evidence(
        self, found: Transferred
    ) -> tuple[tuple[tuple[str, float], ...], tuple[str, ...]]:
        table = self.table
        donors = tuple(
            (table.cultures[column], weight)
            for column, weight in found.donors
            if abs(weight) >= MIN_WEIGHT
        )
        strongest = (pull for pull in found.pulls if pull.strength >= MIN_PULL)
        return donors, tuple(table.questions[pull.row].key for pull in strongest)
