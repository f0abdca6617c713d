"""Run the service in this process."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import shlex
import signal
import socket
import sys
from contextlib import suppress
from urllib.parse import urlencode

import uvicorn
import uvloop
from fastapi import FastAPI
from rich.console import Console

from app.listening import GRACE_S, announce_start, open_listener
from app.logs import configure_logging
from app.main import create_app
from app.resources import Resources
from app.settings import Settings
from app.state.admin_key import add_admin_key
from app.state.examples import pick_examples
from survey_data.library import SurveyLibrary

# Longer than clients and proxies keep an idle connection, so that none sends into a closed one.
KEEP_ALIVE_S = 75
# Threads look things up in Python too. Whenever the event loop lets go of the interpreter, as in
# every system call, it may wait so long to get it back; Python's own 5 ms are more than most
# answers take.
SWITCH_INTERVAL_S = 0.0005


def run_service(settings: Settings, notes: Console) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        AddressTaken: another process listens on host and port.
        SecretFileInvalid: the file of the admin key can be read by others, or holds none.
        AppError, SurveyDataError, RetrievalError: what the service stands on cannot be had.
    """
    configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
    # Bound first: an address that is taken should not be found out after a minute of loading.
    listener = open_listener(settings.host, settings.port)
    port = listener.getsockname()[1]
    settings = add_admin_key(settings.model_copy(update={"port": port}))
    announce_start(settings, notes)
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(settings, listener, notes))


async def _serve(settings: Settings, listener: socket.socket, notes: Console) -> None:
    app = create_app(settings)
    server = make_server(app)
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    # While the resources open there is no server yet that could be told to stop.
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, _stop, server, starting)
    # The lifespan is run here rather than by uvicorn, which would swallow its errors.
    try:
        async with app.router.lifespan_context(app):
            settle()
            # Who reads the next line may ask at once; uvicorn takes a moment to listen.
            listener.listen()
            resources: Resources = app.state.resources
            welcome = write_welcome(settings, resources.library)
            notes.print(welcome, highlight=False, markup=False, soft_wrap=True)
            await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        notes.print("Milieu was stopped before it had started.")


def settle() -> None:
    """Prepare this process for requests, once everything is open that stays open."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # To look for garbage among the survey data holds up every request for a tenth of a second.
    gc.collect()
    gc.freeze()
    _give_back_memory()


def _give_back_memory() -> None:
    """Give the system what was needed to open everything and is free now, where C can do so.

    glibc keeps it otherwise: the matrices that were fitted, and the weights as they were read.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def write_welcome(settings: Settings, library: SurveyLibrary) -> str:
    """Return where the service is, and a command that asks it what its surveys know."""
    example = pick_examples(library)[0]
    query = urlencode({"culture": example.cultures[0], "question": example.text})
    command = f"curl {shlex.quote(f'{settings.url}/answer?{query}')}"
    if settings.api_keys:
        command += " -H 'Authorization: Bearer KEY'"
    return f"Milieu answers at {settings.url} - try:\n  {command}"


def make_server(app: FastAPI, *, backlog: int = 2048) -> uvicorn.Server:
    """Return a server of `app` whose lifespan the caller runs.

    It accepts up to `backlog` connections before it does anything else.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=backlog,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def _stop(server: uvicorn.Server, starting: asyncio.Task[None] | None) -> None:
    if server.started:
        server.should_exit = True
    elif starting is not None:
        starting.cancel()
