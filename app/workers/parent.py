"""The parent of a service's workers: it starts them and vLLM, and starts anew what ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from rich.console import Console

from app.listening import GRACE_S, announce_start, open_listener
from app.logs import configure_logging
from app.model_files import prepare_model_files
from app.settings import Settings
from app.state.admin_key import add_admin_key
from app.state.local_vllm import make_local_vllm
from app.state.run_folder import make_run_folder
from app.vllm.child import LocalVllm
from app.workers.crew import Crew, run_first
from app.workers.terms import BEAT_S, News, find_metrics_folder

logger = logging.getLogger(__name__)

# Beyond the time that requests under way get: until everything is closed.
MARGIN_S = 10.0


def run_workers(settings: Settings, notes: Console) -> None:
    """Serve with the number of workers of the settings until SIGINT or SIGTERM.

    Raises:
        AddressTaken: another process listens on host and port.
        SecretFileInvalid: the file of the admin key can be read by others, or holds none.
        WorkerFailed: what the service stands on cannot be had.
        EmbeddedModelError, VllmStartFailed: the embedded model cannot be had, or does not start.
    """
    configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
    listener = open_listener(settings.host, settings.port)
    port = listener.getsockname()[1]
    settings = add_admin_key(settings.model_copy(update={"port": port}))
    announce_start(settings, notes)
    with make_run_folder() as folder, listener, suppress(KeyboardInterrupt):
        find_metrics_folder(folder).mkdir()
        asyncio.run(_Parent(settings, listener, folder, notes).serve())


class _Parent:
    def __init__(
        self, settings: Settings, listener: socket.socket, folder: Path, notes: Console
    ) -> None:
        self._settings, self._listener, self._notes = settings, listener, notes
        self._folder = folder
        self._stopping = asyncio.Event()
        self._crew: Crew | None = None

    async def serve(self) -> None:
        """Start all, keep it running until a signal, and end it in good order."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._stop)
        async with AsyncExitStack() as stack:
            files = await asyncio.to_thread(prepare_model_files, self._settings)
            local = make_local_vllm(self._settings, files)
            if local is not None:
                stack.push_async_callback(local.stop)
            crew = Crew(
                self._settings, self._listener, folder=self._folder, has_vllm=local is not None
            )
            self._crew = crew
            stack.push_async_callback(crew.end, GRACE_S + MARGIN_S)
            crew.start()
            # The first of these that ends ends the service, by an error or by a signal.
            await run_first(
                self._stopping.wait(), crew.watch(), self._watch_vllm(local), self._announce()
            )
            if not crew.is_ready:
                self._notes.print("Milieu was stopped before it had started.")
            # Who connects from now on is refused, rather than kept waiting for nobody.
            self._listener.close()

    def _stop(self) -> None:
        if self._stopping.is_set() and self._crew is not None:
            # Told twice: no request is waited for.
            self._crew.kill()
        self._stopping.set()

    async def _announce(self) -> None:
        assert self._crew is not None
        welcome = await self._crew.wait_until_ready()
        self._notes.print(welcome, highlight=False, markup=False, soft_wrap=True)
        await asyncio.Event().wait()

    async def _watch_vllm(self, local: LocalVllm | None) -> None:
        """Start vLLM, and tell the workers where it is and how often it was started again."""
        assert self._crew is not None
        if local is None:
            await asyncio.Event().wait()
            return
        await local.start()
        while True:
            news = News(local.url, local.api_key, local.n_restarts)
            self._crew.tell(news)
            await asyncio.sleep(BEAT_S)
