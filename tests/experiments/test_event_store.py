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

from experiments.errors import (
    AnswerUnknown,
    ExperimentError,
    OutcomeConflict,
    OutcomeLate,
    OutcomeTaken,
    UnitUnknown,
)
from experiments.events import OutcomeKind, Receipt
from experiments.metrics import RECORDED_METRICS
from experiments.stores.columns import Answers
from experiments.stores.event_store import EventStore
from tests.experiments.events import (
    WINDOW_MS,
    a_claim,
    a_text,
    an_exposure,
    an_outcome,
)

OpenStore = Callable[[], Awaitable[EventStore]]


async def answered(store: EventStore, experiment: str = "ways") -> Answers:
    [found] = [each async for each in store.answers(experiment)]
    return found


async def sent(
    store: EventStore, metric: str = "helpful", experiment: str = "ways"
) -> list[tuple[str, bool, int, float]]:
    """Unit, whether it is of the unit itself, time and value of the outcomes that count."""
    rows: list[tuple[str, str, bool, int, float]] = []
    async for piece in store.outcomes(experiment):
        columns = (piece.metric, piece.unit, piece.of_unit, piece.time_ms, piece.value)
        rows += zip(*(column.tolist() for column in columns), strict=True)
    return [row[1:] for row in rows if row[0] == metric]


async def test_what_is_recorded_is_there_for_another_gateway(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()

    assert await one.record(an_exposure()) is Receipt.RECORDED

    found = await answered(other)
    assert found.unit.tolist() == ["u1"]
    assert found.unit_kind.tolist() == ["user"]
    assert found.arm.tolist() == ["icl"]
    assert found.culture.tolist() == ["DEU"]
    assert found.revision.tolist() == [1]
    assert found.steered.tolist() == [True]
    assert await sent(other) == []


async def test_the_same_answer_is_recorded_once(store: EventStore) -> None:
    for _ in range(3):
        assert await store.record(an_exposure()) is Receipt.RECORDED

    assert len(await answered(store)) == 1


async def test_many_at_once_are_all_recorded(store: EventStore) -> None:
    exposures = [an_exposure(f"a{i:04}", unit=f"u{i % 50}", time_ms=i) for i in range(1000)]

    receipts = await asyncio.gather(*map(store.record, exposures))

    assert set(receipts) == {Receipt.RECORDED}
    found = await answered(store)
    assert found.time_ms.tolist() == list(range(1000))
    assert found.unit.tolist() == [f"u{i % 50}" for i in range(1000)]
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
        "failed": [0.0, 0.0],
    }
    recorded = (await answered(store)).recorded
    assert recorded.keys() == set(RECORDED_METRICS)
    for metric, expected in values.items():
        np.testing.assert_array_equal(recorded[metric], expected, err_msg=metric)


async def test_a_request_that_failed_has_no_other_value(store: EventStore) -> None:
    await store.record(
        an_exposure(failed=True, refused=False, label_mass=0.5, alignment=0.5, latency_ms=9.0)
    )

    recorded = (await answered(store)).recorded
    assert recorded["failed"].tolist() == [1.0]
    assert all(np.isnan(recorded[metric]) for metric in RECORDED_METRICS if metric != "failed")


async def test_the_order_is_time_then_id_by_its_bytes(store: EventStore) -> None:
    for answer_id, time_ms in (("b", 2), ("a", 2), ("B", 2), ("z", 1), ("ä", 2), ("a-b", 2)):
        await store.record(an_exposure(answer_id, unit=answer_id, time_ms=time_ms))

    assert (await answered(store)).unit.tolist() == ["z", "B", "a", "a-b", "b", "ä"]


async def test_answers_come_in_pieces(store: EventStore) -> None:
    await asyncio.gather(*(store.record(an_exposure(f"a{i}", time_ms=i)) for i in range(7)))

    pieces = [each async for each in store.answers("ways", n_rows=3)]

    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert np.concatenate([piece.time_ms for piece in pieces]).tolist() == list(range(7))


async def test_an_experiment_without_answers_has_no_pieces(store: EventStore) -> None:
    assert [each async for each in store.answers("ways")] == []
    assert [each async for each in store.outcomes("ways")] == []


async def test_experiments_are_kept_apart(store: EventStore) -> None:
    await store.record(an_exposure())
    await store.record(an_exposure(experiment="others", arm="plain"))

    assert (await answered(store)).arm.tolist() == ["icl"]
    assert (await answered(store, "others")).arm.tolist() == ["plain"]


async def test_answers_of_overrides_say_so_and_have_no_outcomes(store: EventStore) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", arm="adapter", overridden=True, time_ms=1001))
    await store.add_outcome(an_outcome("a2"))

    found = await answered(store)
    assert found.arm.tolist() == ["icl", "adapter"]
    assert found.overridden.tolist() == [False, True]
    assert await sent(store) == []


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
    await store.record(an_exposure(arm="icl", settled=False, revision=2))

    found = await answered(store)
    assert (found.arm.tolist(), found.answered_arm.tolist()) == (["plain"], ["icl"])
    assert found.revision.tolist() == [1]


async def test_an_override_is_no_assignment(store: EventStore) -> None:
    await store.record(an_exposure(arm="adapter", overridden=True))

    assert await store.settle(a_claim(arm="plain")) == "plain"


async def test_an_outcome_stands_beside_its_answer(store: EventStore) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", time_ms=1001))

    receipt = await store.add_outcome(an_outcome("a2", number=0.0, comment="no\tgood"))

    assert (receipt.repeated, receipt.time_ms) == (False, 2000)
    assert await sent(store) == [("u1", False, 2000, 0.0)]
    assert await sent(store, "rating") == []


async def test_the_same_key_and_outcome_give_the_same_receipt(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    await one.record(an_exposure())

    first = await one.add_outcome(an_outcome())
    again = await other.add_outcome(an_outcome(time_ms=2000 + 2 * WINDOW_MS))

    assert again == replace(first, repeated=True)
    assert await sent(one) == [("u1", False, 2000, 1.0)]


@pytest.mark.parametrize(
    ("again", "error"),
    [
        ({"number": 0.0}, OutcomeConflict),
        ({"comment": "more"}, OutcomeConflict),
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

    assert await sent(store) == [("u1", False, 2000, 1.0)]


async def test_a_key_is_of_one_answer_or_unit(store: EventStore) -> None:
    await store.record(an_exposure("a1"))
    await store.record(an_exposure("a2", unit="u2", time_ms=1001))
    outcomes = [
        an_outcome("a1", key="1"),
        an_outcome("a2", key="1", number=0.0),
        an_outcome(answer_id="", unit="u1", experiment="ways", key="1", number=0.0),
        an_outcome(answer_id="", unit="u2", experiment="ways", key="1"),
    ]

    first = [await store.add_outcome(each) for each in outcomes]
    again = [await store.add_outcome(each) for each in outcomes]

    assert [each.repeated for each in first] == [False] * 4
    assert again == [replace(each, repeated=True) for each in first]
    assert [value for *_, value in await sent(store)] == [1.0, 0.0, 0.0, 1.0]


async def test_a_conflict_does_not_tell_what_is_there(store: EventStore) -> None:
    await store.record(an_exposure())
    await store.add_outcome(an_outcome(metric="private"))

    with pytest.raises(OutcomeConflict) as caught:
        await store.add_outcome(an_outcome())

    assert "private" not in str(caught.value)


async def test_an_outcome_by_a_clock_that_lags_comes_with_its_answer(store: EventStore) -> None:
    await store.record(an_exposure("a1", time_ms=5000))
    await store.record(an_exposure("a2", time_ms=6000))

    receipt = await store.add_outcome(an_outcome("a2", time_ms=4000))
    again = await store.add_outcome(an_outcome("a2", time_ms=4500))

    assert (receipt.time_ms, again.time_ms, again.repeated) == (6000, 6000, True)
    assert await sent(store) == [("u1", False, 6000, 1.0)]


async def test_an_outcome_of_a_unit_comes_after_its_first_answer(store: EventStore) -> None:
    await store.record(an_exposure("a0", time_ms=3000, overridden=True))
    await store.record(an_exposure("a1", time_ms=5000))
    await store.record(an_exposure("a2", time_ms=6000))
    own = an_outcome(answer_id="", unit="u1", experiment="ways", time_ms=4000)

    assert (await store.add_outcome(own)).time_ms == 5000
    later = replace(own, metric="stayed", key="another", time_ms=5500)
    assert (await store.add_outcome(later)).time_ms == 5500


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
    with pytest.raises(AnswerUnknown, match="No answer 'a1' is recorded"):
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
    assert await sent(store, experiment="") == [("u1", False, 2000, 1.0)]


async def test_units_have_outcomes_of_their_own(store: EventStore) -> None:
    await store.record(an_exposure())
    stayed = an_outcome(answer_id="", unit="u1", experiment="ways", metric="stayed")

    await store.add_outcome(stayed)

    assert await sent(store, "stayed") == [("u1", True, 2000, 1.0)]
    with pytest.raises(UnitUnknown):
        await store.add_outcome(replace(stayed, unit="u3", key="another"))


async def test_outcomes_come_in_the_order_of_their_answers_and_then_of_units(
    store: EventStore,
) -> None:
    for answer_id, unit, time_ms in (("b", "u1", 5), ("a", "u2", 5), ("c", "u3", 3)):
        await store.record(an_exposure(answer_id, unit=unit, time_ms=time_ms))
        await store.add_outcome(an_outcome(answer_id, time_ms=time_ms + 10))
        own = an_outcome(answer_id="", unit=unit, experiment="ways", key=f"own {unit}")
        await store.add_outcome(replace(own, time_ms=9))

    found = [(unit, of_unit) for unit, of_unit, _, _ in await sent(store)]

    assert found == [
        ("u3", False),
        ("u2", False),
        ("u1", False),
        ("u1", True),
        ("u2", True),
        ("u3", True),
    ]


async def test_a_comment_alone_is_no_value(store: EventStore) -> None:
    await store.record(an_exposure())
    comment = an_outcome(kind=OutcomeKind.COMMENT, number=None, comment="nice")
    await store.add_outcome(comment)

    assert await sent(store) == []


async def test_only_texts_with_consent_are_read(store: EventStore) -> None:
    kept = a_text("a1")
    await store.record(an_exposure("a1"), kept)
    await store.record(an_exposure("a2"), a_text("a2", consented=False))
    await store.record(an_exposure("a3"))

    assert [text async for text in store.texts()] == [kept]
