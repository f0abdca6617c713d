"""What a store keeps beside events, on both databases: revisions, attachments, the secret."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.definition import State, change_state, revise
from experiments.definition_file import dump_experiment
from experiments.errors import ExperimentUnknown, RevisionConflict, SecretChanged
from experiments.stores.event_store import EventStore
from experiments.stores.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    SET_VERSION,
    TABLES,
    for_postgres,
    insert,
)
from experiments.stores.scripts import to_row
from experiments.unit import UnitHasher
from tests.experiments.conftest import opened
from tests.experiments.events import an_experiment, an_exposure, an_outcome

OpenStore = Callable[[], Awaitable[EventStore]]


async def test_revisions_are_kept_in_their_order(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    first = an_experiment(state=State.DRAFT, cultures=("DEU",), testers=("user:qa",))
    second = revise(first, replace(first, salt="s"))
    third = change_state(second, State.RUNNING)

    for each in (first, first, second, third):
        await one.save(each)

    assert [each.experiment for each in await other.revisions("ways")] == [first, second, third]
    assert [each.experiment for each in await other.experiments()] == [third]


async def test_two_changes_at_once_are_not_both_kept(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    first = an_experiment()
    await one.save(first)
    changes = [revise(first, replace(first, max_duration_s=days)) for days in (1.0, 2.0)]

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
    with pytest.raises(ExperimentUnknown, match="No experiment is named 'ways'; there are: other"):
        await store.revisions("ways")


async def test_only_running_experiments_run_and_the_first_started_is_first(
    store: EventStore,
) -> None:
    drafts = [an_experiment(name=name, state=State.DRAFT) for name in ("a", "b", "c", "d")]
    for draft in drafts:
        await store.save(draft)
    a, b, c, _ = [change_state(draft, State.RUNNING) for draft in drafts]
    for each in (c, a, b):
        await store.save(each)
        # Started at another millisecond.
        await asyncio.sleep(0.002)
    changed = replace(c, revision=3, traffic_share=1.0, testers=("user:qa",))
    await store.save(changed)
    await store.save(change_state(b, State.STOPPED))

    assert await store.running() == (changed, a)


async def test_nothing_runs_in_a_new_store(store: EventStore) -> None:
    assert await store.running() == ()


async def test_an_answer_names_the_experiments_it_was_in(store: EventStore) -> None:
    for experiment in ("ways", "others"):
        await store.record(an_exposure("a1", experiment=experiment))
    await store.record(an_exposure("a2", experiment="", arm="", revision=0))

    assert await store.find_experiments("a1") == (("others", False, 1000), ("ways", False, 1000))
    assert await store.find_experiments("a2") == (("", False, 1000),)
    assert await store.find_experiments("a3") == ()


async def test_an_answer_tells_since_when_its_unit_is_answered(store: EventStore) -> None:
    for answer_id, time_ms, changes in (
        ("a1", 1000, {"overridden": True}),
        ("a2", 3000, {"failed": True}),
        ("a3", 2000, {"experiment": "others"}),
        ("a4", 1500, {"unit": "u2", "overridden": True}),
        ("a5", 4000, {}),
    ):
        await store.record(an_exposure(answer_id, **({"time_ms": time_ms} | changes)))

    found = [await store.find_experiments(f"a{n}") for n in (1, 4, 5)]

    # The unit of a4 was answered by an override only.
    assert found == [(("ways", True, 3000),), (("ways", True, 1500),), (("ways", False, 3000),)]


async def test_outcomes_are_counted_by_metric_since_a_time(store: EventStore) -> None:
    for n, (metric, time_ms) in enumerate((("helpful", 1999), ("stars", 2000), ("stars", 2001))):
        await store.record(an_exposure(f"a{n}"))
        await store.add_outcome(an_outcome(f"a{n}", metric=metric, time_ms=time_ms))

    assert await store.count_sent(since_ms=0) == {"helpful": 1, "stars": 2}
    assert await store.count_sent(since_ms=2000) == {"stars": 2}
    assert await store.count_sent(since_ms=3000) == {}


async def test_what_is_attached_replaces_what_was_of_its_kind(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    for kind, content in (("plan", "{}"), ("replay", "[1]"), ("plan", '{"n": "ü"}')):
        await one.attach("ways", kind, content)
    await one.attach("others", "plan", "[]")

    assert await other.attachments("ways") == {"plan": '{"n": "ü"}', "replay": "[1]"}
    assert await other.attachments("none") == {}


async def test_the_first_secret_of_a_store_stays(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    first, second = (UnitHasher(secret * 16).fingerprint for secret in (b"a", b"b"))

    for store in (one, other, one):
        await store.check_secret(first)

    with pytest.raises(SecretChanged, match=rf"found the secret of fingerprint {second}, expected"):
        await other.check_secret(second)
    await one.check_secret(first)


async def test_of_two_secrets_at_once_one_is_refused(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(2)]

    found = await asyncio.gather(
        *(store.check_secret(f"{n:016x}") for n, store in enumerate(stores)),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in found) == ["NoneType", "SecretChanged"]


# The columns of exposures that a version did not have yet.
KNOWN = ("source", "best_source", "model_asked", "question_key", "similarity")
MISSING = {1: ("failed", *KNOWN), 2: KNOWN}


async def _make_version(place: str, version: int, definition: str) -> None:
    """A store as an earlier version made it, with one experiment, answer and outcome."""
    experiment = ("ways", 1, "0123456789abcdef", "running", definition, 1000)
    names = [name for name, _ in TABLES["exposures"]]
    row = zip(names, to_row(an_exposure(fallbacks=("none",)), "exposures"), strict=True)
    exposure = {name: value for name, value in row if name not in MISSING[version]}
    outcome = ("k", "helpful", "boolean", 1.0, "a1", "", "", "", "", 2000)
    places = ", ".join(f"?{n}" for n in range(1, 1 + len(exposure)))
    values: dict[str, Sequence[Any]] = {
        insert("experiments"): experiment,
        f"INSERT INTO exposures ({', '.join(exposure)}) VALUES ({places})": [*exposure.values()],
        insert("outcomes"): outcome,
        SET_VERSION: (version,),
    }
    migrations = [statement for each in MIGRATIONS[:version] for statement in each]
    statements = [*migrations, *values]
    if not place.startswith("postgresql:"):
        connection = sqlite3.connect(place)
        for statement in statements:
            connection.execute(statement, values.get(statement, ()))
        connection.commit()
        connection.close()
        return
    import asyncpg

    dsn, _, schema = place.partition("#")
    server = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    await server.execute(f"CREATE SCHEMA {schema}")
    for statement in statements:
        await server.execute(for_postgres(statement), *values.get(statement, ()))
    await server.close()


@pytest.mark.parametrize("version", MISSING)
async def test_a_store_of_an_earlier_version_becomes_one_of_now(place: str, version: int) -> None:
    experiment = an_experiment()
    fields = dump_experiment(experiment)
    del fields["unit_value"]
    await _make_version(place, version, json.dumps(fields))

    for _ in range(2):
        async with await opened(place) as store:
            assert await store.running() == (experiment,)
            await store.attach("ways", "plan", "{}")
            await store.check_secret("0" * 16)
            [[version]] = await _versions(place)
            assert version == SCHEMA_VERSION
            assert (await store.find_experiments("a1")) == (("ways", False, 1000),)
            [found] = [each async for each in store.answers("ways")]
            assert found.recorded["failed"].tolist() == [0.0]
            for column in (found.source, found.best_source, found.model_asked):
                assert np.isnan(column).all()
            [[exposure]] = [rows async for rows in store.rows("exposures")]
            assert exposure[-len(KNOWN) :] == ("", "", None, "", None)
            [sent] = [each async for each in store.outcomes("ways")]
            assert sent.value.tolist() == [1.0]
            assert (await store.add_outcome(an_outcome(key="k", time_ms=2001))).repeated


async def _versions(place: str) -> list[tuple[int]]:
    if not place.startswith("postgresql:"):
        connection = sqlite3.connect(place)
        found = connection.execute("SELECT version FROM schema_version").fetchall()
        connection.close()
        return found
    import asyncpg

    dsn, _, schema = place.partition("#")
    server = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    found = [tuple(row) for row in await server.fetch("SELECT version FROM schema_version")]
    await server.close()
    return found
