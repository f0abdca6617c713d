"""What an analysis reads of an experiment, as one numpy array per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimation.source import Source
from experiments.stores.database import Row
from experiments.stores.schema import RECORDED
from survey_data.arrays import Floats, Ints, Strings, Truths

# The surest first.
SOURCES = tuple(Source)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one experiment; one array per column, n long. See `Exposure` for what they hold.

    They come in the order of `time_ms` and then of their ids, which is the same in both databases.

    Attributes:
        arm: the arm that the unit was assigned, by intention to treat.
        answered_arm: the arm whose answer it got; another one if two gateways crossed.
        model: the base model; empty for what failed.
        revision: the one that assigned the unit.
        recorded: by `RECORDED_METRICS`; NaN if there is no value. Booleans are 0 and 1.
        source, best_source: indices of `SOURCES`; NaN for what failed or was not recorded.
        model_asked: 0 and 1; NaN as above.
    """

    unit: Strings
    unit_kind: Strings
    arm: Strings
    answered_arm: Strings
    culture: Strings
    model: Strings
    revision: Ints
    time_ms: Ints
    overridden: Truths
    steered: Truths
    recorded: Mapping[str, Floats]
    source: Floats
    best_source: Floats
    model_asked: Floats

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
    kinds = (np.str_,) * 6 + (np.int64,) * 2 + (np.bool_,) * 2
    about: list[Any] = list(map(np.array, columns, kinds))
    *recorded, source, best_source, model_asked = columns[len(kinds) :]
    # None becomes NaN.
    values = (np.array(column, np.float64) for column in recorded)
    about.append(dict(zip(RECORDED, values, strict=True)))
    about += map(_place_sources, (source, best_source))
    about.append(np.array(model_asked, np.float64))
    return Answers(*about)


def _place_sources(names: Sequence[str | None]) -> Floats:
    places = {str(source): float(place) for place, source in enumerate(SOURCES)}
    return np.array([places.get(name or "", np.nan) for name in names], np.float64)


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
