"""What an analysis reads of an experiment, as one numpy array per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.stores.database import Row
from experiments.stores.schema import RECORDED
from survey_data.arrays import Floats

Strings = npt.NDArray[np.str_]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one experiment; one array per column, n long.

    They come in the order of `time_ms` and then of their ids, which is the same in both databases.

    Attributes:
        unit: hashes of units.
        arm: the arm that the unit was assigned, by intention to treat.
        answered_arm: the arm whose answer it got; another one where two gateways crossed.
        culture: alpha-3 codes, empty for none.
        revision: the one that assigned the unit.
        overridden: whether a tester chose the arm.
        steered: whether the prompt or an adapter spoke for the culture.
        recorded: by `RECORDED_METRICS`; NaN where there is no value. Truth values are 0 and 1.
    """

    unit: Strings
    unit_kind: Strings
    arm: Strings
    answered_arm: Strings
    culture: Strings
    revision: Integers
    time_ms: Integers
    overridden: Truths
    steered: Truths
    recorded: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.time_ms)


@dataclass(frozen=True, slots=True)
class OutcomeValues:
    """Outcomes with a value that count in one experiment; one array per column, n long.

    First come those of answers, in the order of the answers, then those of units themselves, in the
    order of `time_ms` and then of the units' hashes. Those of overrides are left out.

    Attributes:
        unit: hashes of units.
        of_unit: whether it is an outcome of the unit itself, and not of an answer.
        time_ms: when it came.
    """

    metric: Strings
    unit: Strings
    of_unit: Truths
    time_ms: Integers
    value: Floats

    def __len__(self) -> int:
        return len(self.time_ms)


def answers_of(rows: Sequence[Row]) -> Answers:
    """Return the rows of `schema.ANSWERS` as columns."""
    columns = list(zip(*rows, strict=True))
    unit, unit_kind, arm, answered_arm, culture = map(_strings, columns[:5])
    revision, time_ms = map(_integers, columns[5:7])
    overridden, steered = map(_truths, columns[7:9])
    recorded = dict(zip(RECORDED, map(_floats, columns[9:]), strict=True))
    return Answers(
        unit=unit,
        unit_kind=unit_kind,
        arm=arm,
        answered_arm=answered_arm,
        culture=culture,
        revision=revision,
        time_ms=time_ms,
        overridden=overridden,
        steered=steered,
        recorded=recorded,
    )


def outcomes_of(rows: Sequence[Row]) -> OutcomeValues:
    """Return the rows of `schema.OUTCOME_VALUES` as columns."""
    of_unit, _, _, metric, unit, time_ms, value = zip(*rows, strict=True)
    return OutcomeValues(
        metric=_strings(metric),
        unit=_strings(unit),
        of_unit=_truths(of_unit),
        time_ms=_integers(time_ms),
        value=_floats(value),
    )


def _strings(column: Sequence[Any]) -> Strings:
    return np.array(column, np.str_)


def _integers(column: Sequence[Any]) -> Integers:
    return np.array(column, np.int64)


def _truths(column: Sequence[Any]) -> Truths:
    return np.array(column, np.bool_)


def _floats(column: Sequence[Any]) -> Floats:
    # None becomes NaN.
    return np.array(column, np.float64)
