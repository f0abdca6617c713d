"""PostgreSQL: gateways that start together, servers that are not there, and no secret in errors."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from experiments.errors import StoreUnavailable
from experiments.events import Receipt
from experiments.stores.database import Script, Step
from experiments.stores.event_store import open_postgres
from experiments.stores.group_commit import DropReason
from experiments.stores.postgres import PostgresDatabase
from tests.experiments.conftest import LIMITS
from tests.experiments.events import an_exposure
from tests.experiments.postgres_server import PostgresServer


async def test_gateways_that_start_together_make_one_schema(postgres: PostgresServer) -> None:
    opening = (open_postgres(postgres.dsn, schema='odd "name', limits=LIMITS) for _ in range(5))
    stores = await asyncio.gather(*opening)
    receipts = await asyncio.gather(*(store.record(an_exposure()) for store in stores))
    rows = [row async for piece in stores[0].rows("exposures") for row in piece]
    await asyncio.gather(*(store.close() for store in stores))

    assert set(receipts) == {Receipt.RECORDED}
    assert len(rows) == 1


async def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await open_postgres("postgresql://milieu:secret@127.0.0.1:1/events")
    assert "postgresql://127.0.0.1/events (milieu)" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_driver_that_lost_count_is_a_store_that_is_away(postgres: PostgresServer) -> None:
    # What it says where the server is killed between a statement and its commit.
    def lose_count() -> Script[None]:
        yield Step("SELECT 1")
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2)")

    def answer() -> Script[int]:
        [(found,)] = yield Step("SELECT 2")
        return int(found)

    database = await PostgresDatabase.open(postgres.dsn)
    try:
        with pytest.raises(StoreUnavailable, match="cannot switch to state 15"):
            await database.run(lose_count)
        assert await database.run(answer) == 2
    finally:
        await database.close()


async def test_a_row_that_is_not_taken_is_dropped_and_not_quoted(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="experiments")
    async with await open_postgres(postgres.dsn, schema="refusing", limits=LIMITS) as store:
        bad = an_exposure("bad", model="something private\x00")
        found = tuple(await asyncio.gather(store.record(bad), store.record(an_exposure("good"))))
        assert found == (Receipt.DROPPED, Receipt.RECORDED)
        assert store.counts.n_dropped == {DropReason.REFUSED: 1}
    assert "event_refused_by_store" in caplog.text
    assert "private" not in caplog.text
