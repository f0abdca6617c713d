"""What an analysis reads of an experiment, as one numpy array per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.stores.database import Row
from experiments.stores.schema import RECORDED
from survey_data.arrays import Floats, Ints, Strings, Truths


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one experiment; one array per column, n long. See `Exposure` for what they hold.

    They come in the order of `time_ms` and then of their ids, which is the same in both databases.

    Attributes:
        arm: the arm that the unit was assigned, by intention to treat.
        answered_arm: the arm whose answer it got; another one if two gateways crossed.
        revision: the one that assigned the unit.
        recorded: by `RECORDED_METRICS`; NaN if there is no value. Booleans are 0 and 1.
    """

    unit: Strings
    unit_kind: Strings
    arm: Strings
    answered_arm: Strings
    culture: Strings
    revision: Ints
    time_ms: Ints
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

    `of_unit` is whether it is an outcome of the unit itself, and not of an answer.
    """

    metric: Strings
    unit: Strings
    of_unit: Truths
    time_ms: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.time_ms)


def answers_of(rows: Sequence[Row]) -> Answers:
    """Return the rows of `schema.ANSWERS` as columns."""
    columns: list[Any] = list(zip(*rows, strict=True))
    kinds = (np.str_,) * 5 + (np.int64,) * 2 + (np.bool_,) * 2
    about: list[Any] = list(map(np.array, columns, kinds))
    # None becomes NaN.
    recorded = (np.array(column, np.float64) for column in columns[len(kinds) :])
    about.append(dict(zip(RECORDED, recorded, strict=True)))
    return Answers(*about)


def outcomes_of(rows: Sequence[Row]) -> OutcomeValues:
    """Return the rows of `schema.OUTCOME_VALUES` as columns."""
    of_unit, _, _, metric, unit, time_ms, value = zip(*rows, strict=True)
    return OutcomeValues(
        metric=np.array(metric, np.str_),
        unit=np.array(unit, np.str_),
        of_unit=np.array(of_unit, np.bool_),
        time_ms=np.array(time_ms, np.int64),
        value=np.array(value, np.float64),
    )
