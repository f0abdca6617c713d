"""A service of this process alone, for answers that no running service is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from app.listening import open_listener
from app.main import create_app
from app.serving import make_server
from app.settings import Settings

LOOPBACK = "127.0.0.1"
ENDING_S = 60.0


@contextmanager
def own_service(settings: Settings) -> Iterator[Settings]:
    """Run the service in a thread, on a free port of loopback; yields its settings.

    Raises:
        AppError, SurveyDataError, RetrievalError: what the service stands on cannot be had.
    """
    listener = open_listener(LOOPBACK, 0)
    own = settings.model_copy(update={"host": LOOPBACK, "port": listener.getsockname()[1]})
    app = create_app(own)
    server = make_server(app)
    is_ready: Future[None] = Future()

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            listener.listen()
            is_ready.set_result(None)
            await server.serve(sockets=[listener])

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as exc:
            if is_ready.done():
                raise
            is_ready.set_exception(exc)

    thread = threading.Thread(target=run, name="own-service", daemon=True)
    thread.start()
    try:
        is_ready.result()
        yield own
    finally:
        server.should_exit = True
        thread.join(ENDING_S)
        listener.close()
