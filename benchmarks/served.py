"""The real service on a free port of this machine, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from app.listening import open_listener
from app.main import create_app
from app.resources import Resources
from app.serving import make_server
from app.settings import Settings


class Served(NamedTuple):
    """What the service stands on, and where it is."""

    resources: Resources
    url: str


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Served]:
    """Serve for the time of the block."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        listener = open_listener("127.0.0.1", 0)
        server = make_server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield Served(app.state.resources, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            await serving
