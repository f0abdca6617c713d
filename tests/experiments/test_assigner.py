"""A unit stays in the arm that it got first: through weights, restarts and several gateways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from experiments.assigner import Assigner
from experiments.assignment import Standing, assign
from experiments.definition import Experiment, revise
from experiments.events import Claim
from experiments.stores.event_store import EventStore
from experiments.unit import Unit, UnitHasher, UnitKind
from tests.experiments.events import an_experiment

OpenStore = Callable[[], Awaitable[EventStore]]
HASHER = UnitHasher(b"a secret of tests only")
UNITS = [Unit(UnitKind.USER, f"user-{i}") for i in range(60)]


def reweighted(experiment: Experiment, *weights: float) -> Experiment:
    pairs = zip(experiment.arms, weights, strict=True)
    arms = tuple(replace(arm, weight=weight) for arm, weight in pairs)
    return revise(experiment, replace(experiment, arms=arms))


async def arms(assigner: Assigner, experiment: Experiment) -> list[str]:
    found = [await assigner.assign(experiment, unit) for unit in UNITS]
    assert all(each.settled for each in found)
    return [each.arm.name for each in found if each.arm is not None]


async def test_units_stay_through_weights_and_restarts(open_store: OpenStore) -> None:
    first = an_experiment()
    second = reweighted(first, 0.01, 0.01, 0.01, 0.97)
    before = await arms(Assigner(await open_store(), HASHER), first)

    after = await arms(Assigner(await open_store(), HASHER), second)

    assert after == before
    assert before != [arm.name for unit in UNITS if (arm := assign(second, unit).arm)]


async def test_gateways_of_different_revisions_agree(open_store: OpenStore) -> None:
    first = an_experiment()
    second = reweighted(first, 0.97, 0.01, 0.01, 0.01)
    one, other = [Assigner(await open_store(), HASHER) for _ in range(2)]

    for i, unit in enumerate(UNITS):
        turns = [(one, first), (other, second)]
        found = [await each.assign(at, unit) for each, at in turns[:: 1 - 2 * (i % 2)]]
        names = {assignment.arm.name for assignment in found if assignment.arm is not None}
        assert len(names) == 1


class Memory:
    """Answers with what it is told to, and notes what it is asked."""

    def __init__(self, arm: str | None) -> None:
        self.arm = arm
        self.asked: list[Claim] = []

    async def settle(self, claim: Claim) -> str | None:
        self.asked.append(claim)
        return self.arm


async def test_the_hash_alone_decides_where_the_store_does_not_answer() -> None:
    experiment, memory = an_experiment(), Memory(None)
    assigner = Assigner(memory, HASHER)

    found = await assigner.assign(experiment, UNITS[0])
    assert found == assign(experiment, UNITS[0])
    assert not found.settled

    memory.arm = "adapter"
    found = await assigner.assign(experiment, UNITS[0])
    assert (found.arm, found.settled) == (experiment.arm("adapter"), True)


async def test_the_store_is_asked_once_per_unit_and_gets_no_name() -> None:
    memory = Memory("icl")
    assigner = Assigner(memory, HASHER)

    for _ in range(3):
        await assigner.assign(an_experiment(), UNITS[0])
    [claim] = memory.asked
    assert claim.unit == HASHER.hash(UNITS[0])
    assert "user-0" not in str(claim)

    assigner.forget(claim.unit)
    await assigner.assign(an_experiment(), UNITS[0])
    assert len(memory.asked) == 2


async def test_no_more_is_remembered_than_set() -> None:
    memory = Memory("icl")
    assigner = Assigner(memory, HASHER, n_remembered=2)

    for at in (0, 1, 2, 0):
        await assigner.assign(an_experiment(), UNITS[at])

    assert len(memory.asked) == 4


async def test_who_does_not_take_part_or_overrides_is_not_settled() -> None:
    memory = Memory("icl")
    assigner = Assigner(memory, HASHER)
    experiment = an_experiment(testers=("user:user-0",), cultures=("DEU",))

    outside = await assigner.assign(experiment, UNITS[1], culture="BRA")
    tester = await assigner.assign(experiment, UNITS[0], override="plain")

    assert outside.standing is Standing.OTHER_CULTURE
    assert tester.overridden
    assert memory.asked == []


async def test_a_single_request_is_settled_without_the_store() -> None:
    experiment, memory = an_experiment(), Memory("icl")
    unit = Unit(UnitKind.REQUEST, "r1")

    found = await Assigner(memory, HASHER).assign(experiment, unit)

    assert found == replace(assign(experiment, unit), settled=True)
    assert memory.asked == []


async def test_what_is_recalled_is_not_asked_for_again(store: EventStore) -> None:
    experiment = reweighted(an_experiment(), 0.97, 0.01, 0.01, 0.01)
    before = await arms(Assigner(store, HASHER), an_experiment())
    memory = Memory(None)
    again = Assigner(memory, HASHER)

    again.recall(experiment.name, await store.list_remembered(experiment.name, most=1000))

    assert await arms(again, experiment) == before
    assert memory.asked == []


async def test_of_many_those_that_came_last_are_recalled(store: EventStore) -> None:
    experiment = an_experiment()
    await arms(Assigner(store, HASHER), experiment)

    recalled = await store.list_remembered(experiment.name, most=5)

    assert len(recalled) == 5
    assert len(await store.list_remembered(experiment.name, most=1000)) == len(UNITS)


async def test_after_forgetting_all_the_store_is_asked() -> None:
    memory = Memory("icl")
    assigner = Assigner(memory, HASHER)
    await assigner.assign(an_experiment(), UNITS[0])
    assigner.forget_all()
    await assigner.assign(an_experiment(), UNITS[0])
    assert len(memory.asked) == 2
