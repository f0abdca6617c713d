"""Learn how far estimates are off, by estimating what is known as if it were not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from estimation.conformal import Conformal, Errors, fit_conformal, measure_void
from estimation.related import RelatedModel
from estimation.table import AnswerTable
from estimation.transfer import TransferModel
from survey_data.arrays import Floats

# What an estimate by transfer stands on besides others' answers to the question.
OWN_SURVEY, OTHER_SURVEYS = range(2)
# What one from like questions stands on: the variances of its log-ratios that begin a class.
VARIANCES = (0.0, 0.9, 1.3)
N_FOLDS = 5
# So many fits take a few seconds.
MAX_FITS = 1000


@dataclass(frozen=True)
class Intervals:
    """How wide the intervals of estimates are.

    Attributes:
        transfer: by what is known of the culture, `OWN_SURVEY` or `OTHER_SURVEYS`.
        related: by the class of the estimate's variance, see `classify`.
        void: the width of what holds 90 % of all known shares, by number of options.
    """

    transfer: Conformal
    related: Conformal
    void: Mapping[int, float]


class _Compared(NamedTuple):
    """The estimated and the known shares of a question in a culture, float64[options]."""

    estimated: Floats
    known: Floats
    culture: int
    evidence: int


def classify(variance: float) -> int:
    """Return the class of evidence of an estimate from like questions."""
    return int(np.searchsorted(VARIANCES, variance, side="right")) - 1


def fit_intervals(
    table: AnswerTable,
    transfer: TransferModel,
    related: RelatedModel,
    alike: Sequence[frozenset[int]],
) -> Intervals:
    """Return the intervals of both kinds of estimates.

    `alike` are the rows that count as the same question as each row, its own among them; what is
    estimated is always estimated without them.
    """
    n_cultures = len(table.cultures)
    by_transfer = _join(_by_transfer(table, transfer, alike))
    by_related = _join(_by_related(table, related, alike))
    return Intervals(
        fit_conformal(by_transfer, n_cultures=n_cultures, n_evidence=2),
        fit_conformal(by_related, n_cultures=n_cultures, n_evidence=len(VARIANCES)),
        _measure_void(table),
    )


def find_batteries(table: AnswerTable) -> list[frozenset[int]]:
    """Return for each row those of its battery: of its pack and topic, with the same options."""
    batteries: dict[tuple[str, str, tuple[str, ...]], list[int]] = {}
    names = [question.battery for question in table.questions]
    for row, name in enumerate(names):
        batteries.setdefault(name, []).append(row)
    return [frozenset(batteries[name]) for name in names]


class _Task(NamedTuple):
    """Questions to estimate with one fit, while those in `barred` are unknown."""

    rows: tuple[int, ...]
    culture: int
    barred: frozenset[int]
    evidence: int


def _by_transfer(
    table: AnswerTable, transfer: TransferModel, alike: Sequence[frozenset[int]]
) -> Iterator[_Compared]:
    """Yield the errors of all that can be estimated, or of a random part where that is much.

    In a sparse table nearly every question has a fit of its own.
    """
    tasks = [*_by_folds(table, transfer, alike), *_by_surveys(table, transfer)]
    if len(tasks) > MAX_FITS:
        chosen = np.random.default_rng(0).choice(len(tasks), MAX_FITS, replace=False)
        tasks = [tasks[place] for place in sorted(chosen.tolist())]
    for task in tasks:
        estimates = transfer.estimate_all(task.rows, task.culture, barred=task.barred)
        for row, estimate in zip(task.rows, estimates, strict=True):
            if estimate is not None:
                known = table.known(row, task.culture)
                yield _Compared(estimate.shares, known, task.culture, task.evidence)


def _list_tasks(
    transfer: TransferModel,
    rows: Sequence[int],
    culture: int,
    barred: frozenset[int],
    evidence: int,
) -> Iterator[_Task]:
    for places in transfer.group_by_donors(rows, culture).values():
        yield _Task(tuple(rows[place] for place in places), culture, barred, evidence)


def _by_folds(
    table: AnswerTable, transfer: TransferModel, alike: Sequence[frozenset[int]]
) -> Iterator[_Task]:
    """Yield the tasks where a fifth of the culture's questions is unknown at a time."""
    for fold in range(N_FOLDS):
        hidden = range(fold, len(table.questions), N_FOLDS)
        barred = frozenset[int]().union(*(alike[row] for row in hidden))
        for culture in range(len(table.cultures)):
            rows = [row for row in hidden if table.asked[row, culture]]
            yield from _list_tasks(transfer, rows, culture, barred, OWN_SURVEY)


def _by_surveys(table: AnswerTable, transfer: TransferModel) -> Iterator[_Task]:
    """Yield the tasks where all that a culture said in one of its surveys is unknown."""
    packs = np.array([question.pack for question in table.questions])
    for pack, cultures in table.surveyed.items():
        in_pack = packs == pack
        for culture in cultures:
            if table.asked[~in_pack, culture].any():
                rows = [int(row) for row in np.flatnonzero(in_pack & table.asked[:, culture])]
                barred = frozenset(np.flatnonzero(in_pack).tolist())
                yield from _list_tasks(transfer, rows, culture, barred, OTHER_SURVEYS)


def _by_related(
    table: AnswerTable, related: RelatedModel, alike: Sequence[frozenset[int]]
) -> Iterator[_Compared]:
    """Yield the errors without like questions, and those without the whole battery."""
    batteries = find_batteries(table)
    rows = [row for row in related.rows.tolist() if table.asked[row].any()]
    groups = [(row, alike[row]) for row in rows]
    groups += [(row, alike[row] | batteries[row]) for row in rows]
    for held in related.hold_out(groups):
        for culture in np.flatnonzero(table.asked[held.row]):
            known = table.known(held.row, culture)
            yield _Compared(held.shares[culture], known, culture, classify(held.variance))


def _join(compared: Iterable[_Compared]) -> Errors:
    parts = list(compared)
    n_options = np.array([len(part.known) for part in parts], dtype=np.int64)
    culture = np.array([part.culture for part in parts], dtype=np.int64)
    evidence = np.array([part.evidence for part in parts], dtype=np.int64)
    return Errors(
        np.concatenate([np.zeros(0), *(part.estimated for part in parts)]),
        np.concatenate([np.zeros(0), *(part.known for part in parts)]),
        *(np.repeat(values, n_options) for values in (n_options, culture, evidence)),
    )


def _measure_void(table: AnswerTable) -> dict[int, float]:
    n_options = np.broadcast_to(table.n_options[:, None, None], table.shares.shape)
    is_option = np.arange(table.shares.shape[2]) < n_options
    chosen = table.asked[..., None] & is_option
    return measure_void(table.shares[chosen], n_options[chosen])
