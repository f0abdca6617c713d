"""What deletion takes and what it leaves, on both databases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.definition import State, change_state
from experiments.events import Receipt
from experiments.stores import forgetting
from experiments.stores.event_store import EventStore, open_sqlite
from experiments.stores.group_commit import StoreLimits
from tests.experiments.events import a_claim, a_text, an_experiment, an_exposure, an_outcome


async def kept(store: EventStore, table: str) -> list[Sequence[Any]]:
    return [row async for piece in store.rows(table) for row in piece]


async def left(store: EventStore) -> list[int]:
    """How many exposures, outcomes, texts and assignments there are."""
    tables = ("exposures", "outcomes", "texts", "assignments")
    return [len(await kept(store, table)) for table in tables]


async def fill(store: EventStore, answer_id: str, experiment: str, time_ms: int) -> None:
    """An answer of a unit of its own, with a text, an outcome, and one of the unit."""
    await store.record(
        an_exposure(answer_id, experiment=experiment, unit=answer_id, time_ms=time_ms),
        a_text(answer_id, unit=answer_id, time_ms=time_ms),
    )
    await store.add_outcome(an_outcome(answer_id, time_ms=time_ms + 1))
    own = {"answer_id": "", "unit": answer_id, "experiment": experiment, "metric": "stayed"}
    await store.add_outcome(an_outcome(**own, time_ms=time_ms + 1))


async def test_what_is_old_is_forgotten(store: EventStore) -> None:
    await fill(store, "a1", "gone", 10)
    await fill(store, "a2", "gone", 3000)
    await store.settle(a_claim("never answered", experiment="gone", time_ms=10))

    assert await store.forget_before(1000) == (1, 2, 1, 2)

    assert [row[0] for row in await kept(store, "exposures")] == ["a2"]
    assert await left(store) == [1, 2, 1, 1]
    assert await store.forget_before(1000) == (0, 0, 0, 0)


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPED, State.DECIDED])
async def test_of_an_experiment_that_is_not_decided_only_texts_are_forgotten(
    store: EventStore, state: State
) -> None:
    experiment = an_experiment()
    while experiment.state is not state:
        await store.save(experiment)
        experiment = change_state(experiment, experiment.state.next_states[0])
    await store.save(experiment)
    await fill(store, "a1", "ways", 10)

    forgotten = await store.forget_before(1000)

    if state is State.DECIDED:
        assert forgotten == (1, 2, 1, 1)
    else:
        assert forgotten == (0, 0, 1, 0)
        assert await left(store) == [1, 2, 0, 1]
        assert await store.settle(a_claim("a1", arm="plain")) == "icl"


async def test_an_outcome_stays_while_its_answer_is_in_another_experiment(
    store: EventStore,
) -> None:
    await store.save(an_experiment())
    for experiment in ("gone", "ways"):
        await store.record(an_exposure(experiment=experiment, time_ms=10))
    await store.add_outcome(an_outcome(time_ms=20))

    assert await store.forget_before(1000) == (1, 0, 0, 1)

    assert [row[1] for row in await kept(store, "exposures")] == ["ways"]


async def test_an_assignment_stays_while_there_are_later_exposures(store: EventStore) -> None:
    await store.record(an_exposure("a1", time_ms=10))
    await store.record(an_exposure("a2", time_ms=2000))

    assert await store.forget_before(1000) == (1, 0, 0, 0)
    assert await store.forget_before(2001) == (1, 0, 0, 1)


async def test_more_than_a_slice_is_forgotten(store: EventStore) -> None:
    n_rows = 2 * forgetting.N_ROWS + 10
    exposures = [an_exposure(f"a{i}", unit=f"u{i}", time_ms=i // 3) for i in range(n_rows)]
    await asyncio.gather(*map(store.record, exposures))

    assert await store.forget_before(n_rows) == (n_rows, 0, 0, n_rows)
    assert await left(store) == [0, 0, 0, 0]


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
    assert [row[5] for row in await kept(store, "exposures")] == ["u2"]
    assert [text.unit async for text in store.texts()] == ["u2"]
    for table in ("exposures", "assignments", "outcomes", "texts"):
        rows = await kept(store, table)
        assert len(rows) == 1
        assert "u1" not in str(rows)
    assert await store.forget_unit("u1") == (0, 0, 0, 0)


async def test_what_waits_of_a_unit_is_not_written_after_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with await open_sqlite(path, limits=StoreLimits(wait_s=0.05)) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await store.record(an_exposure("a1"), a_text("a1")) is Receipt.LATE
        assert await store.record(an_exposure("a2", unit="u2")) is Receipt.LATE
        assert await store.settle(a_claim("u1", experiment="others")) is None
        forgetting_it = asyncio.create_task(store.forget_unit("u1"))
        await asyncio.sleep(0.01)
        other.execute("ROLLBACK")
        other.close()
        await forgetting_it
        while store.counts.n_queued or store.claim_counts.n_queued:  # noqa: ASYNC110  # not told
            await asyncio.sleep(0.01)

        assert [row[0] for row in await kept(store, "exposures")] == ["a2"]
        assert await left(store) == [1, 0, 0, 1]
