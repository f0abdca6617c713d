"""The transactions that delete: all of one unit, or what is too old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from experiments.definition import State
from experiments.stores.database import Script, Step
from experiments.stores.schema import COUNT_FORGOTTEN
from experiments.stores.scripts import Forgotten

# Rows that one transaction looks at: others wait no longer than that takes.
N_ROWS: Final = 2000

_IN_SLICE: Final = "time_ms >= ?1 AND time_ms < ?2"
# What of a row says whose experiment it is, and whether that still needs it.
_OVER: Final = (
    "experiment NOT IN (SELECT name FROM experiments WHERE name NOT IN "  # noqa: S608  # a constant
    f"(SELECT name FROM experiments WHERE state = '{State.DECIDED}'))"
)


def forget_unit(unit: str) -> Script[Forgotten]:
    """Delete all that is kept of one unit, given by its hash."""
    answers = "SELECT answer_id FROM exposures WHERE unit = ?1"
    n_texts = yield from _delete(f"texts WHERE unit = ?1 OR answer_id IN ({answers})", unit)
    n_outcomes = yield from _delete(f"outcomes WHERE unit = ?1 OR answer_id IN ({answers})", unit)
    n_exposures = yield from _delete("exposures WHERE unit = ?1", unit)
    n_assignments = yield from _delete("assignments WHERE unit = ?1", unit)
    yield Step(COUNT_FORGOTTEN)
    return Forgotten(n_exposures, n_outcomes, n_texts, n_assignments)


class Slice(NamedTuple):
    """How many rows of a slice were deleted, and where the next slice begins, None for none."""

    forgotten: Forgotten
    following: tuple[Any, ...] | None


SliceScript: TypeAlias = Callable[[int, tuple[Any, ...]], Script[Slice]]


def _slice_by_time(table: str, delete: Callable[[int, int], Script[Forgotten]]) -> SliceScript:
    """Return the script of one slice of `table`, which begins at a time, in milliseconds.

    `delete` deletes what is between two times, the first one included.
    """

    def forget(before_ms: int, start: tuple[Any, ...]) -> Script[Slice]:
        [[last]] = yield Step(
            "SELECT MAX(time_ms) FROM (SELECT time_ms FROM "  # noqa: S608  # constants
            f"{table} WHERE {_IN_SLICE} ORDER BY time_ms LIMIT ?3) AS first_rows",
            (*start, before_ms, N_ROWS),
        )
        if last is None:
            return Slice(Forgotten(), None)
        end = int(last) + 1
        return Slice((yield from delete(start[0], end)), (end,))

    return forget


def _forget_texts(start_ms: int, end_ms: int) -> Script[Forgotten]:
    n_texts = yield from _delete(f"texts WHERE {_IN_SLICE}", start_ms, end_ms)
    return Forgotten(n_texts=n_texts)


def _forget_exposures(start_ms: int, end_ms: int) -> Script[Forgotten]:
    """Delete exposures, and outcomes with them."""
    these = f"{_IN_SLICE} AND {_OVER}"
    answers = f"SELECT answer_id FROM exposures WHERE {these}"  # noqa: S608  # constants
    # An answer may have been in another experiment too.
    n_outcomes = yield from _delete(
        f"outcomes WHERE answer_id IN ({answers}) AND NOT EXISTS (SELECT 1 FROM "  # noqa: S608
        f"exposures WHERE exposures.answer_id = outcomes.answer_id AND NOT ({these}))",
        start_ms,
        end_ms,
    )
    n_exposures = yield from _delete(f"exposures WHERE {these}", start_ms, end_ms)
    return Forgotten(n_exposures=n_exposures, n_outcomes=n_outcomes)


def _forget_unit_outcomes(start_ms: int, end_ms: int) -> Script[Forgotten]:
    of_units = f"outcomes WHERE {_IN_SLICE} AND answer_id = '' AND {_OVER}"
    return Forgotten(n_outcomes=(yield from _delete(of_units, start_ms, end_ms)))


def _forget_assignments(before_ms: int, start: tuple[Any, ...]) -> Script[Slice]:
    """Delete assignments before `before_ms` of units without exposures, from a key on."""
    of_slice = "(experiment, unit) > (?1, ?2)"
    rows = yield Step(
        f"SELECT experiment, unit FROM assignments WHERE {of_slice} "  # noqa: S608  # constants
        "ORDER BY experiment, unit LIMIT ?3",
        (*start, N_ROWS),
    )
    if not rows:
        return Slice(Forgotten(), None)
    end = tuple(rows[-1])
    n_assignments = yield from _delete(
        f"assignments WHERE {of_slice} AND (experiment, unit) <= (?3, ?4) "  # noqa: S608
        "AND time_ms < ?5 "
        f"AND {_OVER} AND NOT EXISTS (SELECT 1 FROM exposures e WHERE "
        "e.experiment = assignments.experiment AND e.unit = assignments.unit)",
        *start,
        *end,
        before_ms,
    )
    return Slice(Forgotten(n_assignments=n_assignments), end)


# Each with where its first slice begins. Assignments come after the exposures that they are for.
OLD: Final[tuple[tuple[SliceScript, tuple[Any, ...]], ...]] = (
    (_slice_by_time("texts", _forget_texts), (0,)),
    (_slice_by_time("exposures", _forget_exposures), (0,)),
    (_slice_by_time("outcomes", _forget_unit_outcomes), (0,)),
    (_forget_assignments, ("", "")),
)


def _delete(what: str, *args: Any) -> Script[int]:
    # `what` is one of the texts above; values are parameters.
    [[n_deleted]] = yield Step(f"DELETE FROM {what}", args, counts=True)  # noqa: S608
    return int(n_deleted)
