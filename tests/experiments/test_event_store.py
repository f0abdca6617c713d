"""What a store promises, on both databases."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.definition import State, moved, revised
from experiments.errors import (
    AnswerUnknown,
    ExperimentError,
    ExperimentUnknown,
    OutcomeConflict,
    OutcomeLate,
    OutcomeTaken,
    RevisionConflict,
    UnitUnknown,
)
from experiments.events import OutcomeKind, Receipt
from experiments.stores.event_store import EventStore, Observations, UnitObservations
from tests.experiments.events import (
    WINDOW_MS,
    a_claim,
    a_text,
    an_experiment,
    an_exposure,
    an_outcome,
)

OpenStore = Callable[[], Awaitable[EventStore]]


async def observed(
    store: EventStore, metric: str, experiment: str = "ways", **options: Any
) -> Observations:
    [found] = [each async for each in store.observations(experiment, metric, **options)]
    return found


async def units(store: EventStore, metric: str = "") -> UnitObservations:
    [found] = [each async for each in store.units("ways", metric)]
    return found


async def test_what_is_recorded_is_there_for_another_gateway(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()

    assert await one.record(an_exposure()) is Receipt.RECORDED

    found = await observed(other, "helpful")
    assert found.answer_id.tolist() == ["a1"]
    assert found.arm.tolist() == ["icl"]
    assert found.culture.tolist() == ["DEU"]
    assert found.value_ms.tolist() == [-1]
    assert np.isnan(found.value).all()


async def test_the_same_answer_is_recorded_once(store: EventStore) -> None:
    for _ in range(3):
        assert await store.record(an_exposure()) is Receipt.RECORDED

    assert len(await observed(store, "helpful")) == 1


async def test_many_at_once_are_all_recorded(store: EventStore) -> None:
    exposures = [an_exposure(f"a{i:04}", unit=f"u{i % 50}", time_ms=i) for i in range(1000)]

    receipts = await asyncio.gather(*map(store.record, exposures))

    assert set(receipts) == {Receipt.RECORDED}
    found = await observed(store, "helpful")
    assert found.answer_id.tolist() == [f"a{i:04}" for i in range(1000)]
    assert store.counts.n_recorded == 1000
    assert store.counts.n_dropped == {}


async def test_what_milieu_measures_is_a_metric(store: EventStore) -> None:
    await store.record(
        an_exposure(
            readable=False,
            refused=True,
            label_mass=0.25,
            alignment=0.5,
            latency_ms=12.5,
            n_prompt_tokens=100,
            n_reply_tokens=4,
            fallbacks=("adapter: none for DEU",),
        )
    )
    await store.record(an_exposure("a2", time_ms=1001))

    values = {
        "latency_ms": [12.5, 0.0],
        "n_prompt_tokens": [100.0, 0.0],
        "n_reply_tokens": [4.0, 0.0],
        "refused": [1.0, math.nan],
        "unreadable": [1.0, 0.0],
        "label_mass": [0.25, math.nan],
        "alignment": [0.5, math.nan],
        "fell_back": [1.0, 0.0],
    }
    for metric, expected in values.items():
        found = await observed(store, metric)
        np.testing.assert_array_equal(found.value, expected, err_msg=metric)
        assert found.value_ms[0] == 1000
    assert (await observed(store, "latency_ms")).fell_back.tolist() == [True, False]


async def test_the_order_is_time_then_id_by_its_bytes(store: EventStore) -> None:
    for answer_id, time_ms in (("b", 2), ("a", 2), ("B", 2), ("z", 1), ("ä", 2), ("a-b", 2)):
        await store.record(an_exposure(answer_id, time_ms=time_ms))

    found = await observed(store, "helpful")

    assert found.answer_id.tolist() == ["z", "B", "a", "a-b", "b", "ä"]


async def test_observations_come_in_pieces(store: EventStore) -> None:
    await asyncio.gather(*(store.record(an_exposure(f"a{i}", time_ms=i)) for i in range(7)))

    pieces = [each async for each in store.observations("ways", "helpful", n_rows=3)]

    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert np.concatenate([piece.time_ms for piece in pieces]).tolist() == list(range(7))


async def test_an_experiment_without_answers_has_no_observations(store: EventStore) -> None:
    assert [each async for each in store.observations("ways", "helpful")] == []


async def test_experiments_are_kept_apart(store: EventStore) -> None:
    await store.record(an_exposure())
    await store.record(an_exposure(experiment="others", arm="plain"))

    assert (await observed(store, "helpful")).arm.tolist() == ["icl"]
    assert (await observed(store, "helpful", "others")).arm.tolist() == ["plain"]


async def test_overrides_are_left_out_unless_asked_for(store: EventStore) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", arm="adapter", overridden=True, time_ms=1001))

    assert (await observed(store, "helpful")).answer_id.tolist() == ["a1"]
    found = await observed(store, "helpful", with_overridden=True)
    assert found.arm.tolist() == ["icl", "adapter"]
    assert (await units(store)).n_answers.tolist() == [1]


async def test_the_first_claim_of_a_unit_stands(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()

    assert await one.settle(a_claim(arm="icl")) == "icl"
    assert await other.settle(a_claim(arm="plain")) == "icl"
    assert await other.settle(a_claim("u2", arm="plain")) == "plain"
    assert await other.settle(a_claim(arm="plain", experiment="others")) == "plain"


async def test_gateways_that_claim_at_once_get_one_arm(open_store: OpenStore) -> None:
    gateways = [await open_store() for _ in range(3)]
    names = [f"u{i}" for i in range(200)]

    async def settled(gateway: EventStore, arm: str) -> list[str | None]:
        # Each in another order.
        order = random.Random(arm).sample(names, len(names))
        found = await asyncio.gather(*(gateway.settle(a_claim(name, arm)) for name in order))
        arms = dict(zip(order, found, strict=True))
        return [arms[name] for name in names]

    first, *others = await asyncio.gather(
        *(settled(each, f"arm{i}") for i, each in enumerate(gateways))
    )

    assert all(found == first for found in others)
    assert set(first) <= {"arm0", "arm1", "arm2"}


async def test_an_exposure_holds_the_arm_that_it_shows(store: EventStore) -> None:
    await store.record(an_exposure(arm="icl"))

    assert await store.settle(a_claim(arm="plain")) == "icl"


async def test_analysis_is_by_the_arm_that_was_assigned(store: EventStore) -> None:
    await store.settle(a_claim(arm="plain"))
    await store.record(an_exposure(arm="icl", settled=False))

    found = await observed(store, "helpful")
    assert (found.arm.tolist(), found.answered_arm.tolist()) == (["plain"], ["icl"])


async def test_an_override_is_no_assignment(store: EventStore) -> None:
    await store.record(an_exposure(arm="adapter", overridden=True))

    assert await store.settle(a_claim(arm="plain")) == "plain"


async def test_an_outcome_stands_beside_its_answer(store: EventStore) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", time_ms=1001))

    receipt = await store.add_outcome(an_outcome("a2", number=0.0, comment="no\tgood"))

    assert (receipt.repeated, receipt.time_ms) == (False, 2000)
    found = await observed(store, "helpful")
    np.testing.assert_array_equal(found.value, [math.nan, 0.0])
    assert found.value_ms.tolist() == [-1, 2000]
    assert np.isnan((await observed(store, "rating")).value).all()


async def test_the_same_key_and_outcome_give_the_same_receipt(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    await one.record(an_exposure())

    first = await one.add_outcome(an_outcome())
    again = await other.add_outcome(an_outcome(time_ms=2000 + 2 * WINDOW_MS))

    assert again == replace(first, repeated=True)
    assert (await observed(one, "helpful")).value_ms.tolist() == [2000]


@pytest.mark.parametrize(
    ("again", "error"),
    [
        ({"number": 0.0}, OutcomeConflict),
        ({"comment": "more"}, OutcomeConflict),
        ({"answer_id": "a2"}, OutcomeConflict),
        ({"key": "another"}, OutcomeTaken),
        ({"key": "another", "number": 0.0}, OutcomeTaken),
    ],
)
async def test_a_second_outcome_is_refused_and_the_first_one_stays(
    store: EventStore, again: dict[str, Any], error: type[ExperimentError]
) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", time_ms=1001))
    await store.add_outcome(an_outcome())

    with pytest.raises(error):
        await store.add_outcome(replace(an_outcome(), **again))

    np.testing.assert_array_equal((await observed(store, "helpful")).value, [1.0, math.nan])


async def test_of_outcomes_at_once_one_is_taken(open_store: OpenStore) -> None:
    gateways = [await open_store() for _ in range(2)]
    await gateways[0].record(an_exposure())
    outcomes = [an_outcome(key=f"k{i}", number=float(i % 2)) for i in range(10)]

    found = await asyncio.gather(
        *(gateways[i % 2].add_outcome(each) for i, each in enumerate(outcomes)),
        return_exceptions=True,
    )

    assert sum(not isinstance(each, BaseException) for each in found) == 1
    assert sum(isinstance(each, OutcomeTaken) for each in found) == 9


async def test_an_outcome_of_an_unknown_answer_is_refused(store: EventStore) -> None:
    with pytest.raises(AnswerUnknown, match="'a1' is no recorded answer"):
        await store.add_outcome(an_outcome())
    await store.record(an_exposure())
    with pytest.raises(AnswerUnknown, match="'a2'"):
        await store.add_outcome(an_outcome(kind=OutcomeKind.PREFERRED, preferred="a2", number=0.0))


async def test_an_outcome_after_the_window_is_refused(store: EventStore) -> None:
    await store.record(an_exposure())
    until_ms = 1000 + WINDOW_MS

    with pytest.raises(OutcomeLate, match="found one 3 s after its window"):
        await store.add_outcome(an_outcome(time_ms=until_ms + 3000))

    assert not (await store.add_outcome(an_outcome(time_ms=until_ms))).repeated


async def test_an_answer_outside_experiments_can_have_outcomes(store: EventStore) -> None:
    await store.record(an_exposure(experiment="", arm="", revision=0))

    assert not (await store.add_outcome(an_outcome())).repeated
    assert (await observed(store, "helpful", "")).value.tolist() == [1.0]


async def test_units_have_outcomes_of_their_own(store: EventStore) -> None:
    for answer_id, unit, time_ms in (("a1", "u1", 5), ("a2", "u2", 3), ("a3", "u1", 9)):
        await store.record(an_exposure(answer_id, unit=unit, time_ms=time_ms, culture=answer_id))
    stayed = an_outcome(answer_id="", unit="u1", experiment="ways", metric="stayed", time_ms=10)

    await store.add_outcome(stayed)

    found = await units(store, "stayed")
    assert found.unit.tolist() == ["u2", "u1"]
    assert found.time_ms.tolist() == [3, 5]
    assert found.culture.tolist() == ["a2", "a1"]
    assert found.n_answers.tolist() == [1, 2]
    np.testing.assert_array_equal(found.value, [math.nan, 1.0])
    with pytest.raises(UnitUnknown):
        await store.add_outcome(replace(stayed, unit="u3", key="another"))


async def test_revisions_are_kept_in_their_order(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    first = an_experiment(state=State.DRAFT, cultures=("DEU",), testers=("user:qa",))
    second = revised(first, replace(first, salt="s"))
    third = moved(second, State.RUNNING)

    for each in (first, first, second, third):
        await one.save(each)

    assert [each.experiment for each in await other.revisions("ways")] == [first, second, third]
    assert [each.experiment for each in await other.experiments()] == [third]


async def test_two_changes_at_once_are_not_both_kept(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    first = an_experiment()
    await one.save(first)
    changes = [revised(first, replace(first, max_duration_s=days)) for days in (1.0, 2.0)]

    found = await asyncio.gather(
        one.save(changes[0]), other.save(changes[1]), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in found) == ["NoneType", "RevisionConflict"]
    assert len(await one.revisions("ways")) == 2


async def test_a_revision_out_of_order_is_refused(store: EventStore) -> None:
    with pytest.raises(RevisionConflict, match="found revision 3, expected 1"):
        await store.save(replace(an_experiment(), revision=3))


async def test_an_unknown_experiment_is_named(store: EventStore) -> None:
    await store.save(an_experiment(name="other"))
    with pytest.raises(ExperimentUnknown, match="'ways' is no experiment; there are: other"):
        await store.revisions("ways")


async def test_only_texts_with_consent_are_read(store: EventStore) -> None:
    kept = a_text("a1")
    await store.record(an_exposure("a1"), kept)
    await store.record(an_exposure("a2"), a_text("a2", consented=False))
    await store.record(an_exposure("a3"))

    assert [text async for text in store.texts()] == [kept]


async def test_a_unit_is_forgotten_whole(store: EventStore) -> None:
    for i, unit in enumerate(("u1", "u2", "u1")):
        answer_id = f"a{i}"
        await store.record(
            an_exposure(answer_id, unit=unit, time_ms=i), a_text(answer_id, unit=unit)
        )
        await store.add_outcome(an_outcome(answer_id))
    await store.add_outcome(
        an_outcome(answer_id="", unit="u1", experiment="ways", metric="stayed", key="s")
    )

    forgotten = await store.forget_unit("u1")

    assert forgotten == (2, 3, 2, 1)
    assert (await observed(store, "helpful")).unit.tolist() == ["u2"]
    assert [text.unit async for text in store.texts()] == ["u2"]
    for table in ("exposures", "assignments", "outcomes", "texts"):
        rows = [row async for piece in store.rows(table) for row in piece]
        assert len(rows) == 1
        assert "u1" not in str(rows)
    assert await store.forget_unit("u1") == (0, 0, 0, 0)


async def test_what_is_old_is_forgotten_but_for_the_arms_of_running_experiments(
    store: EventStore,
) -> None:
    await store.save(an_experiment())
    for answer_id, experiment, time_ms in (
        ("a1", "ways", 10),
        ("a2", "over", 20),
        ("a3", "over", 3000),
    ):
        await store.record(
            an_exposure(answer_id, experiment=experiment, unit=answer_id, time_ms=time_ms),
            a_text(answer_id, time_ms=time_ms),
        )
        await store.add_outcome(an_outcome(answer_id, time_ms=time_ms + 1))

    assert await store.forget_before(1000) == (2, 2, 2, 1)

    assert [text.answer_id async for text in store.texts()] == ["a3"]
    assert await store.settle(a_claim("a1", arm="plain")) == "icl"
    assert (await observed(store, "helpful", "over")).value.tolist() == [1.0]
