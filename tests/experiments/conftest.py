"""Stores on both databases, each test with one of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from experiments.stores.event_store import EventStore, open_postgres, open_sqlite
from experiments.stores.group_commit import StoreLimits
from tests.experiments.postgres_server import PostgresServer

OpenStore: TypeAlias = Callable[[], Awaitable[EventStore]]
# A machine that is busy with other things must not make a store look slow.
LIMITS = StoreLimits(wait_s=20.0, statement_s=20.0)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the test's database is: a file, or a server and a schema."""
    if request.param == "sqlite":
        return str(tmp_path / "events.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return f"{server.dsn}#milieu_{uuid.uuid4().hex[:12]}"


async def opened(place: str, limits: StoreLimits = LIMITS) -> EventStore:
    """The store at a place as the fixture names it."""
    if place.startswith("postgresql:"):
        dsn, _, schema = place.partition("#")
        return await open_postgres(dsn, schema=schema, limits=limits)
    return await open_sqlite(Path(place), limits=limits)


@pytest.fixture
async def open_store(place: str) -> AsyncIterator[OpenStore]:
    """Opens the test's database, each time as another gateway would."""
    async with AsyncExitStack() as stores:

        async def another() -> EventStore:
            return await stores.enter_async_context(await opened(place))

        yield another


@pytest.fixture
async def store(open_store: OpenStore) -> EventStore:
    """One store on the test's database."""
    return await open_store()
