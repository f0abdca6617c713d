"""Which arm a unit gets, with the memory of the store: the arm it got first, for good.

The hash proposes, the store decides: the first arm that any gateway puts there for a unit stands,
whatever weights say later. So a unit stays in its arm through changes of weights and restarts, and
with any number of gateways on one store, also while they hold different revisions. What is settled
is kept in memory too, where it cannot become wrong. If the store does not answer in time, the hash
alone decides, and the exposure says that it was not settled; without a change of weights in between
that is the same arm.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from experiments.assignment import Assignment, assign
from experiments.definition import Experiment
from experiments.events import Claim
from experiments.unit import Unit, UnitHasher, UnitKind

N_REMEMBERED = 100_000


class ArmMemory(Protocol):
    """Where the arms of units are kept; an `EventStore`."""

    async def settle(self, claim: Claim) -> str | None:
        """Return the arm that the unit has, None if that cannot be said in time."""
        ...


class Assigner:
    """Assigns units to arms."""

    def __init__(
        self, memory: ArmMemory, hasher: UnitHasher, *, n_remembered: int = N_REMEMBERED
    ) -> None:
        """Take where arms are kept and what hashes units; `n_remembered` are kept here too."""
        self._memory, self._hasher = memory, hasher
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._n_remembered = n_remembered

    async def assign(
        self, experiment: Experiment, unit: Unit, *, culture: str = "", override: str | None = None
    ) -> Assignment:
        """Return what `unit` gets in `experiment`, or raise what `assignment.assign` does."""
        proposed = assign(experiment, unit, culture=culture, override=override)
        if proposed.arm is None or proposed.overridden:
            return proposed
        # It comes once, so nobody can give it another arm, and its exposure implies the claim.
        if unit.kind is UnitKind.REQUEST:
            return replace(proposed, settled=True)
        key = (experiment.name, self._hasher.hash(unit))
        arm = self._known.get(key)
        if arm is None:
            now_ms = time.time_ns() // 1_000_000
            claim = Claim(*key, unit.kind, proposed.arm.name, experiment.revision, now_ms)
            arm = await self._memory.settle(claim)
        if arm is None:
            return proposed
        self._remember(key, arm)
        return replace(proposed, arm=experiment.arm(arm), settled=True)

    def forget(self, unit: str) -> None:
        """Forget the arms of a unit, given by its hash, here; the store is asked by itself."""
        for key in [key for key in self._known if key[1] == unit]:
            del self._known[key]

    def forget_all(self) -> None:
        """Forget every arm here; what the store still has is asked for again."""
        self._known.clear()

    def recall(self, experiment: str, arms: Iterable[tuple[str, str]]) -> None:
        """Remember what the store has: units, given by their hashes, and their arms.

        Then units keep their arms through a restart even if the store is slow at first.
        """
        for unit, arm in arms:
            self._remember((experiment, unit), arm)

    def _remember(self, key: tuple[str, str], arm: str) -> None:
        self._known[key] = arm
        self._known.move_to_end(key)
        if len(self._known) > self._n_remembered:
            self._known.popitem(last=False)
