"""Whether a store holds what clients were promised: everything, once, and one arm per unit.

An answer that the store kept waiting for its arm is by the hash alone, and says so (`settled`);
after a change of weights that may be another arm. It is counted, and the analysis must know it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.restart_clients import Given, Noted
from experiments.analysis.analyse import analyse
from experiments.stores.event_store import EventStore
from experiments.stores.schema import TABLES
from experiments.unit import Unit, UnitHasher, UnitKind

Row = Mapping[str, Any]
CROSSED = "… and were given by another arm than their unit's"


@dataclass
class Checked:
    """What was counted, and what breaks a promise, in words."""

    counts: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, is_kept: bool, what: str) -> None:
        """Note `what` unless the promise is kept."""
        if not is_kept:
            self.broken.append(what)


async def checked(store: EventStore, hasher: UnitHasher, noted: Noted, experiment: str) -> Checked:
    """Compare the store with what clients wrote down."""
    found = Checked(broken=list(noted.failed))
    exposures, outcomes = await _rows(store, "exposures"), await _rows(store, "outcomes")
    assignments = await _rows(store, "assignments")
    _check_answers(found, noted, exposures, hasher, experiment)
    _check_outcomes(found, noted, outcomes)
    # Others may have been answered before it was started.
    ours = [row for row in exposures if row["experiment"] == experiment]
    _check_units(found, noted, ours, assignments, hasher)
    await _check_analysis(found, store, experiment, exposures, outcomes)
    return found


async def _rows(store: EventStore, table: str) -> list[Row]:
    names = [name for name, _ in TABLES[table]]
    return [dict(zip(names, row, strict=True)) async for rows in store.rows(table) for row in rows]


def _check_answers(
    found: Checked, noted: Noted, exposures: list[Row], hasher: UnitHasher, experiment: str
) -> None:
    kept = {row["answer_id"]: row for row in exposures}
    times = Counter(row["answer_id"] for row in exposures)
    promised = [given for given in noted.answers if given.is_promised]
    for given in promised:
        found.expect(times[given.id] == 1, f"{given} is {times[given.id]} times in the store")
        if times[given.id]:
            _check_answer(found, given, kept[given.id], hasher, experiment)
    found.expect(max(times.values(), default=0) <= 1, "an answer is there twice")
    late = [given for given in noted.answers if not given.is_promised]
    acknowledged = {given.id for given in noted.answers}
    found.counts |= {
        "answers acknowledged": len(promised),
        "exposures in the store": len(exposures),
        "… of answers that no client got": len(kept.keys() - acknowledged),
        "answers that said 'not recorded yet'": len(late),
        "… and are in the store": sum(given.id in kept for given in late),
    }


def _check_answer(
    found: Checked, given: Given, row: Row, hasher: UnitHasher, experiment: str
) -> None:
    unit = hasher.hash(Unit(UnitKind.USER, given.user))
    expected = (experiment, given.arm, unit, UnitKind.USER)
    names = ("experiment", "arm", "unit", "unit_kind")
    kept = tuple(row[name] for name in names)
    found.expect(given.experiment == experiment, f"{given} was given outside of '{experiment}'")
    found.expect(kept == expected, f"{given} is in the store as {kept}")


def _check_outcomes(found: Checked, noted: Noted, outcomes: list[Row]) -> None:
    times = Counter((row["key"], row["answer_id"]) for row in outcomes)
    for receipt in noted.receipts.items():
        found.expect(times[receipt] == 1, f"{receipt} is {times[receipt]} times in the store")
    found.expect(len(outcomes) == len(times), "an outcome is there twice")
    found.counts |= {
        "outcomes acknowledged": len(noted.receipts),
        "outcomes in the store": len(outcomes),
        "… acknowledged at the second try": noted.n_repeated,
        "outcomes refused after 'not recorded yet'": noted.n_forgone,
    }


def _check_units(
    found: Checked,
    noted: Noted,
    exposures: list[Row],
    assignments: list[Row],
    hasher: UnitHasher,
) -> None:
    arms = {row["unit"]: row["arm"] for row in assignments}
    found.expect(len(arms) == len(assignments), "a unit is assigned twice")
    unsettled = {row["answer_id"]: row for row in exposures if not row["settled"]}
    for row in exposures:
        unit, arm = row["unit"], row["arm"]
        is_kept = arm == arms.get(unit) or row["answer_id"] in unsettled
        found.expect(is_kept, f"unit {unit[:8]} of '{arms.get(unit)}' was answered by '{arm}'")
    for given in noted.answers:
        arm = arms.get(hasher.hash(Unit(UnitKind.USER, given.user)), "")
        is_kept = given.arm == arm or given.id in unsettled
        found.expect(is_kept, f"{given} is of a unit in '{arm}'")
    by_arm = Counter(arms.values())
    found.counts |= {"units": len(arms)}
    found.counts |= {f"… in arm {arm}": by_arm[arm] for arm in sorted(by_arm)}
    found.counts |= {
        "answers whose arm the store did not settle in time": len(unsettled),
        CROSSED: sum(row["arm"] != arms.get(row["unit"]) for row in unsettled.values()),
    }


async def _check_analysis(
    found: Checked,
    store: EventStore,
    experiment: str,
    exposures: list[Row],
    outcomes: list[Row],
) -> None:
    analysis = await analyse(store, experiment, now_ms=time.time_ns() // 1_000_000)
    n_answers = sum(arm.n_answers for arm in analysis.arms)
    n_crossed, crossed = sum(arm.n_crossed for arm in analysis.arms), found.counts[CROSSED]
    n_expected = sum(row["experiment"] == experiment for row in exposures)
    n_values = sum([len(piece) async for piece in store.outcomes(experiment)])
    found.expect(n_answers == n_expected, f"the analysis has {n_answers} of {n_expected} answers")
    found.expect(n_crossed == crossed, f"it says that {n_crossed} answers crossed, not {crossed}")
    found.expect(n_values == len(outcomes), f"it has {n_values} of {len(outcomes)} outcomes")
    found.counts |= {"answers in the analysis": n_answers, "outcomes in the analysis": n_values}
