"""The store hangs or is gone while the service answers: no answer waits or fails for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from prometheus_client import generate_latest

from app.answering.recording import NOT_YET
from app.telemetry import Metrics
from experiments.events import Receipt
from experiments.stores.event_store import open_postgres
from experiments.stores.group_commit import StoreLimits
from tests.app.databases import new_database
from tests.app.experiments_by_http import (
    ADMIN,
    KEY,
    PATH,
    ask,
    give_feedback,
    start,
    until,
)
from tests.app.service import RELIGION, counted, opened
from tests.experiments.events import an_exposure
from tests.experiments.postgres_server import PostgresMissing, PostgresServer, postgres_server
from tests.fakes.vllm import MODEL
from tests.fixtures.service import MakeSettings

WAIT_S = 0.2
# What a busy machine may take on top; less than any other bound of a store.
BUSY_S = 1.0
# The longest that a call waits for which the store has to answer.
STATEMENT_S = 5.0
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


class Outage(NamedTuple):
    """A store as the settings name it, and how it goes away for the time of a block."""

    store: str
    begins: Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other module needs; each test leaves it running."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as exc:
        pytest.skip(str(exc))


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Have no server for the time of the block, as after a crash."""
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


@contextmanager
def hanging(server: PostgresServer) -> Iterator[None]:
    """Let every process of the server stand still for the time of the block."""
    port = server.dsn.rpartition(":")[2].partition("/")[0]
    [main] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"-D", "-p", port} <= set(process.info["cmdline"] or ())
    ]
    processes = [main, *main.children(recursive=True)]
    with ExitStack() as held:
        for process in processes:
            process.suspend()
            held.callback(process.resume)
        yield


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let another process write to a SQLite file, without an end, for the time of the block."""
    command = [sys.executable, "-c", LOCK, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield


@pytest.fixture(params=["sqlite locked", "postgres stopped", "postgres hanging"])
async def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Outage:
    if request.param == "sqlite locked":
        return Outage("", partial(locked, tmp_path / "experiments.db"))
    server: PostgresServer = request.getfixturevalue("own_postgres")
    goes = stopped if request.param == "postgres stopped" else hanging
    return Outage(await new_database(server), partial(goes, server))


@pytest.fixture
async def client(
    outage: Outage, make_settings: MakeSettings, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service on that store, with the experiment running."""
    of = {"store": outage.store, "wait_s": WAIT_S, "unit_secret": "of the tests of outages"}
    settings = make_settings(data_folder=tmp_path, admin_keys=KEY, experiments=of)
    async with opened(settings) as client:
        await start(client)
        yield client


async def asked(client: httpx.AsyncClient, n_users: int) -> list[dict[str, Any]]:
    return [await ask(client, f"u{i}") for i in range(n_users)]


async def n_exposures(client: httpx.AsyncClient, became: str) -> float:
    """Return how many exposures are `queued`, `late_total` or `dropped_total`."""
    reply = await client.get("/metrics", headers=ADMIN)
    return counted(reply.text, f"milieu_exposures_{became}")


async def test_an_answer_waits_no_longer_than_the_bound_and_says_that_it_is_not_recorded(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    # Of the users that come during the outage half are known.
    before = await asked(client, 5)
    usual_ms = max(answer["timings_ms"]["total"] for answer in before)

    with outage.begins():
        began = time.perf_counter()
        during = await asked(client, 10)
        took_s = time.perf_counter() - began

    # The store is asked for the arm, and to record.
    bound_ms = usual_ms + 2.0 * WAIT_S * 1000.0 + BUSY_S * 1000.0
    assert max(answer["timings_ms"]["total"] for answer in during) < bound_ms
    # Once it is known to be away nobody waits.
    assert took_s < 10 * usual_ms / 1000.0 + 4.0 * WAIT_S + BUSY_S
    assert [NOT_YET in answer["warnings"] for answer in during] == [True] * 10


async def test_users_keep_their_arms_through_an_outage(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    before = await asked(client, 10)

    with outage.begins():
        during = await asked(client, 20)
    await until(partial(all_is_written, client))
    after = await asked(client, 20)

    def arms(answers: list[dict[str, Any]]) -> list[str]:
        return [answer["experiment"]["arm"] for answer in answers]

    assert arms(before) == arms(during)[:10]
    assert arms(during) == arms(after)


async def test_what_came_late_is_in_the_store_in_the_end_and_counted(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    assert (await give_feedback(client, await ask(client, "known"))).status_code == 200
    n_late = await n_exposures(client, "late_total")

    with outage.begins():
        answers = await asked(client, 10)
        assert await n_exposures(client, "queued") == 10

    await until(partial(all_is_written, client))
    assert await n_exposures(client, "late_total") == n_late + 10
    assert await n_exposures(client, "dropped_total") == 0
    replies = [await give_feedback(client, answer) for answer in answers]
    assert [reply.status_code for reply in replies] == [200] * 10


async def test_feedback_is_put_off_during_an_outage_and_taken_after_it(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    first, second = await ask(client, "u0"), await ask(client, "u1")
    # With it, what was recorded before is on the disk.
    assert (await give_feedback(client, first)).status_code == 200

    with outage.begins():
        refused = await give_feedback(client, second)

    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:milieu:problem:store-unavailable"
    assert refused.json()["title"] == "The store of events does not answer"

    async def is_taken() -> bool:
        reply = await give_feedback(client, second)
        assert reply.status_code in (200, 503), reply.text
        return reply.status_code == 200

    await until(is_taken)


async def test_feedback_waits_no_longer_than_the_bound(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    answer = await ask(client, "u0")

    with outage.begins():
        began = time.perf_counter()
        await give_feedback(client, answer)
        took_s = time.perf_counter() - began

    assert took_s < STATEMENT_S + BUSY_S


async def test_a_streamed_chat_says_that_it_is_not_recorded(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    messages = [{"role": "user", "content": RELIGION}]
    body = {"model": f"{MODEL}@DE", "messages": messages, "user": "u0", "stream": True}

    with outage.begins():
        reply = await client.post("/v1/chat/completions", json=body)

    assert reply.text.endswith("data: [DONE]\n\n")
    assert NOT_YET in reply.text


async def test_outside_of_experiments_feedback_waits_for_its_answer_and_nothing_is_said(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    of = {"wait_s": WAIT_S, "unit_secret": "of the tests of outages"}
    async with opened(make_settings(data_folder=tmp_path, experiments=of)) as client:
        await ask(client, "u0")
        with locked(tmp_path / "experiments.db"):
            answer = await ask(client, "u0")
            sent = asyncio.create_task(give_feedback(client, answer))
            await asyncio.wait({sent}, timeout=WAIT_S)
        reply = await sent

    assert answer["experiment"] is None
    assert answer["warnings"] == []
    assert reply.status_code == 200, reply.text


# SQLite can be read while another process writes.
@pytest.mark.parametrize("outage", ["postgres stopped", "postgres hanging"], indirect=True)
async def test_a_report_says_what_is_wrong_during_an_outage(
    client: httpx.AsyncClient, outage: Outage
) -> None:
    with outage.begins():
        refused = await client.get(f"{PATH}/report", headers=ADMIN)

    assert refused.status_code == 503
    assert "Try again" in refused.json()["detail"]


async def test_what_waits_too_long_is_dropped_and_counted(own_postgres: PostgresServer) -> None:
    limits = StoreLimits(wait_s=WAIT_S, keep_s=0.5, retry_s=0.05, max_retry_s=0.1)
    metrics, dsn = Metrics(), await new_database(own_postgres)
    async with await open_postgres(dsn, limits=limits) as store:
        metrics.watch_store(store)
        with stopped(own_postgres):
            receipts = [await store.record(an_exposure(f"a{i}")) for i in range(3)]
            await until(partial(has_dropped, metrics, 3))

    assert receipts == [Receipt.LATE] * 3


async def has_dropped(metrics: Metrics, n_exposures: int) -> bool:
    text = generate_latest(metrics.registry).decode()
    name = "milieu_exposures_dropped_total"
    return counted(text, name, reason="waited-too-long") == counted(text, name) == n_exposures


async def all_is_written(client: httpx.AsyncClient) -> bool:
    return await n_exposures(client, "queued") == 0
