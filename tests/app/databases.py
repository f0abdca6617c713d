"""Databases for services, which all use the same schema: each test gets a database of its own."""

from __future__ import annotations

import uuid

import asyncpg

from tests.experiments.postgres_server import PostgresServer


async def new_database(server: PostgresServer) -> str:
    """Make an empty database on the server; return its URL."""
    name = f"milieu_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return server.dsn.removesuffix("postgres") + name
