"""One of the processes of a service: it serves as the only one would, and reports to the parent."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import uvicorn

from adapters.errors import AdapterError
from app.errors import AppError
from app.logs import configure_logging
from app.main import create_app
from app.resources import Resources, open_resources
from app.serving import make_server, settle, write_welcome
from app.settings import Settings
from app.state.local_vllm import ParentsVllm
from app.state.run_folder import share_run_folder
from app.state.shared import SharedFile
from app.telemetry import Metrics
from app.workers.terms import BEAT_S, News, Report, Said, WorkerTerms
from app.workers.turns import open_retrieval_in_turn
from embedded_model.errors import EmbeddedModelError
from experiments.errors import ExperimentError
from retrieval.errors import RetrievalError
from survey_data.errors import SurveyDataError

logger = logging.getLogger(__name__)

BACKLOG = 2048
FAILED = 3
# Their message says all.
_EXPLAINED = (
    *(AppError, AdapterError, EmbeddedModelError, ExperimentError, RetrievalError),
    *(SurveyDataError, OSError),
)


class SharedListener(socket.socket):
    """A socket of several workers, with room for many connections whatever it is asked for.

    asyncio accepts as many connections in a row as it asks room for. With one, each worker takes
    one and then serves it, while the others take theirs.
    """

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """Listen with room for `BACKLOG` connections."""
        super().listen(BACKLOG)


def serve_as_worker(terms: WorkerTerms) -> None:
    """Serve until SIGTERM or the parent's end; what stops it at its start is reported."""
    settings = terms.settings
    configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
    # Of Ctrl-C, which all processes of a terminal get, the parent tells its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with share_run_folder(terms.folder):
            asyncio.run(_Worker(terms).serve())
    except Exception as exc:
        if not isinstance(exc, _EXPLAINED):
            logger.exception("worker_failed")
        terms.pipe.send(Report(Said.FAILED, str(exc) or type(exc).__name__))
        sys.exit(FAILED)


class _Worker:
    def __init__(self, terms: WorkerTerms) -> None:
        self._terms = terms
        self._news = News()
        self._told_of_vllm = asyncio.Event()
        self._server: uvicorn.Server | None = None
        self._starting: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Open everything, serve, and close it again."""
        terms, loop = self._terms, asyncio.get_running_loop()
        self._starting = asyncio.current_task()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_reader(terms.pipe.fileno(), self._read_news)
        metrics, shared = Metrics(terms.metrics_folder), SharedFile(terms.folder)
        vllm = ParentsVllm(self._wait_for_vllm, lambda: self._news.n_vllm_restarts)

        @asynccontextmanager
        async def opener(settings: Settings, metrics: Metrics) -> AsyncIterator[Resources]:
            started = vllm if terms.has_vllm else None
            retrieve = partial(open_retrieval_in_turn, terms.folder)
            opening = open_resources(
                settings, metrics, is_service=True, retrieve=retrieve, started=started
            )
            async with opening as resources:
                yield replace(resources, shared=shared)

        app = create_app(terms.settings, opener=opener, metrics=metrics, shared=shared)
        self._server = make_server(app, backlog=1)
        listener = _share(terms.listener)
        try:
            async with app.router.lifespan_context(app):
                settle()
                listener.listen()
                welcome = write_welcome(terms.settings, app.state.resources.library)
                terms.pipe.send(Report(Said.READY, welcome))
                beating = asyncio.create_task(self._beat(metrics), name="beat")
                await self._server.serve(sockets=[listener])
                beating.cancel()
        except asyncio.CancelledError:
            logger.info("worker_stopped_while_starting")
        finally:
            metrics.publish()
            shared.close()

    async def _wait_for_vllm(self) -> tuple[str, str]:
        await self._told_of_vllm.wait()
        return self._news.vllm_url, self._news.vllm_key

    async def _beat(self, metrics: Metrics) -> None:
        while True:
            metrics.worker_restarts.set(self._news.n_worker_restarts)
            metrics.publish()
            try:
                self._terms.pipe.send(Report(Said.ALIVE))
            except OSError:
                self._stop()
            await asyncio.sleep(BEAT_S)

    def _read_news(self) -> None:
        try:
            news: News = self._terms.pipe.recv()
        except (EOFError, OSError):
            # The parent is gone.
            asyncio.get_running_loop().remove_reader(self._terms.pipe.fileno())
            self._stop()
            return
        self._news = news
        if news.vllm_url:
            self._told_of_vllm.set()

    def _stop(self) -> None:
        if self._server is not None and self._server.started:
            self._server.should_exit = True
        elif self._starting is not None:
            self._starting.cancel()


def _share(listener: socket.socket) -> SharedListener:
    family, kind, proto = listener.family, listener.type, listener.proto
    return SharedListener(family, kind, proto, fileno=listener.detach())
