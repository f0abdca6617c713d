"""Nothing acknowledged is lost when a process is killed, and nothing is there twice."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from experiments.events import Receipt
from experiments.stores.event_store import EventStore, open_postgres
from experiments.stores.group_commit import StoreLimits
from tests.experiments.conftest import opened
from tests.experiments.events import an_exposure, an_outcome
from tests.experiments.postgres_server import PostgresMissing, PostgresServer, postgres_server

ROOT = Path(__file__).parents[2]
N_KILLS = 5


def start(place: str, name: str, arm: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.experiments.gateway_child", place, name, arm]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def killed_after(child: subprocess.Popen[str], n_lines: int) -> Sequence[list[str]]:
    """What a child said until it was killed, at some moment after so many lines."""
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(n_lines)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    assert all(line.endswith("\n") for line in lines)
    return [line.split() for line in lines]


def said(lines: Iterable[Sequence[str]], what: str) -> list[str]:
    return [line[1] for line in lines if line[0] == what]


async def in_store(store: EventStore, table: str, column: int) -> Counter[str]:
    rows: AsyncIterator[Sequence[Sequence[str]]] = store.rows(table)
    return Counter([row[column] async for piece in rows for row in piece])


async def check(place: str, lines: Sequence[Sequence[str]]) -> None:
    async with await opened(place) as store:
        answers = await in_store(store, "exposures", 0)
        outcomes = await in_store(store, "outcomes", 0)
        assignments = [row async for piece in store.rows("assignments") for row in piece]
    arms = defaultdict(set)
    for line in lines:
        if line[0] == "unit":
            arms[line[1]].add(line[2])

    assert not said(lines, "lost")
    assert set(said(lines, "answer")) <= answers.keys()
    assert set(said(lines, "outcome")) <= outcomes.keys()
    assert set(answers.values()) == set(outcomes.values()) == {1}
    assert all(len(found) == 1 for found in arms.values())
    kept = {row[1]: row[3] for row in assignments}
    assert len(kept) == len(assignments)
    assert {unit: {arm} for unit, arm in kept.items()}.items() >= arms.items()


async def test_a_killed_process_loses_nothing_that_it_acknowledged(place: str) -> None:
    draw = random.Random(7)
    lines: list[list[str]] = []
    for i in range(N_KILLS):
        # Each time other weights, so that the hash alone would move units.
        child = start(place, f"g{i}", f"arm{i}")
        lines += killed_after(child, draw.randrange(40, 2000))

    await check(place, lines)
    assert len(said(lines, "answer")) > 100


async def test_two_processes_on_one_store_lose_nothing_and_agree(place: str) -> None:
    children = [start(place, f"g{i}", f"arm{i}") for i in range(2)]

    lines = [line for child in children for line in killed_after(child, 1500)]

    await check(place, lines)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other test needs."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as exc:
        pytest.skip(str(exc))


async def test_a_crash_of_postgres_loses_nothing_synced_and_is_waited_out(
    own_postgres: PostgresServer,
) -> None:
    limits = StoreLimits(wait_s=5.0, statement_s=5.0, max_retry_s=0.1)
    async with await open_postgres(own_postgres.dsn, sync=True, limits=limits) as store:
        for i in range(50):
            assert await store.record(an_exposure(f"a{i:02}")) is Receipt.RECORDED
        own_postgres.stop("immediate")
        # The first one finds out; those after it do not wait for what is known to be down.
        assert await store.record(an_exposure("b0")) is Receipt.LATE
        assert await store.record(an_exposure("b1")) is Receipt.LATE
        own_postgres.start()
        while store.counts.n_queued:  # noqa: ASYNC110  # nobody is told of what is late
            await asyncio.sleep(0.02)
        assert await store.record(an_exposure("c")) is Receipt.RECORDED
        assert store.counts.n_dropped == {}
        answers = await in_store(store, "exposures", 0)
        assert answers.keys() == {f"a{i:02}" for i in range(50)} | {"b0", "b1", "c"}


async def test_a_crash_of_postgres_loses_no_outcome_and_nothing_before_it(
    own_postgres: PostgresServer,
) -> None:
    limits = StoreLimits(wait_s=5.0, statement_s=5.0)
    async with await open_postgres(own_postgres.dsn, limits=limits) as store:
        for i in range(50):
            assert await store.record(an_exposure(f"a{i:02}")) is Receipt.RECORDED
        await store.add_outcome(an_outcome("a49"))
        own_postgres.stop("immediate")
    own_postgres.start()

    async with await open_postgres(own_postgres.dsn, limits=limits) as store:
        assert len(await in_store(store, "exposures", 0)) == 50
        assert await in_store(store, "outcomes", 0) == {"key-of-a49": 1}
