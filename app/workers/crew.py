"""The workers of a service as processes: started, watched, started anew, ended."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import socket
from collections.abc import Coroutine
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from app.errors import WorkerFailed
from app.settings import Settings
from app.state import key_limits
from app.workers.entry import run_worker
from app.workers.terms import SILENT_S, News, Report, Said, WorkerTerms, find_metrics_folder

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
# Threads of the parent would not survive a fork.
_SPAWN = multiprocessing.get_context("spawn")


class _Member:
    """One worker process, and what it has said."""

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.ready, self.ended = asyncio.Event(), asyncio.Event()
        self.reason = self.welcome = ""
        self._loop = asyncio.get_running_loop()
        self.heard_s = self._loop.time()
        self._loop.add_reader(process.sentinel, self._end)
        self._loop.add_reader(pipe.fileno(), self._listen)

    @property
    def is_silent(self) -> bool:
        """Whether it served, and now hangs."""
        return self.ready.is_set() and self._loop.time() - self.heard_s > SILENT_S

    def tell(self, news: News) -> None:
        """Tell the worker, unless it has just ended."""
        with suppress(OSError):
            self.pipe.send(news)

    def _listen(self) -> None:
        try:
            self._take(self.pipe.recv())
        except (EOFError, OSError):
            self._loop.remove_reader(self.pipe.fileno())

    def _take(self, report: Report) -> None:
        self.heard_s = self._loop.time()
        if report.said is Said.READY:
            self.welcome = report.text
            self.ready.set()
        elif report.said is Said.FAILED:
            self.reason = report.text

    def _end(self) -> None:
        for descriptor in (self.process.sentinel, self.pipe.fileno()):
            self._loop.remove_reader(descriptor)
        with suppress(EOFError, OSError):
            while self.pipe.poll():
                self._take(self.pipe.recv())
        self.process.join()
        self.pipe.close()
        self.ended.set()


class Crew:
    """So many workers on one socket. One that ends by itself is started anew."""

    def __init__(
        self, settings: Settings, listener: socket.socket, *, folder: Path, has_vllm: bool
    ) -> None:
        self._settings, self._listener = settings, listener
        self._folder, self._has_vllm = folder, has_vllm
        self._members: dict[int, _Member] = {}
        self._news = News()
        self._is_ending = False

    @property
    def is_ready(self) -> bool:
        """Whether all workers serve."""
        found = self._members.values()
        return bool(found) and all(member.ready.is_set() for member in found)

    def start(self) -> None:
        """Start all workers."""
        for place in range(self._settings.workers):
            self._members[place] = self._spawn()

    async def wait_until_ready(self) -> str:
        """Return, when all workers serve, where the service is and how to ask it."""
        for place in range(self._settings.workers):
            await self._members[place].ready.wait()
        return self._members[0].welcome

    def tell(self, news: News) -> None:
        """Tell all workers what is new, those to come as well."""
        news = news._replace(n_worker_restarts=self._news.n_worker_restarts)
        if news != self._news:
            self._news = news
            for member in self._members.values():
                member.tell(news)

    async def watch(self) -> None:
        """Start anew whatever ends, until this is cancelled.

        Raises:
            WorkerFailed: a worker ended before it had served for the first time.
        """
        await run_first(*(self._keep(place) for place in self._members))

    async def end(self, within_s: float) -> None:
        """Let the workers finish what they do, and kill those that take longer than `within_s`."""
        self._is_ending = True
        self._signal(signal.SIGTERM)
        waiting = [asyncio.create_task(m.ended.wait()) for m in self._members.values()]
        _, late = await asyncio.wait(waiting, timeout=within_s)
        if late:
            logger.warning("workers_killed", extra={"fields": {"n": len(late)}})
            self.kill()
            await asyncio.wait(late)

    def kill(self) -> None:
        """End the workers at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for member in self._members.values():
            if member.process.pid is not None and not member.ended.is_set():
                with suppress(ProcessLookupError):
                    _send(member.process, number)

    async def _keep(self, place: int) -> None:
        backoff_s, has_served = FIRST_BACKOFF_S, False
        while True:
            member = self._members[place]
            await self._wait_for_end(member)
            has_served |= member.ready.is_set()
            if not has_served:
                ended = f"A worker ended with status {member.process.exitcode} as it started."
                raise WorkerFailed(member.reason or f"{ended} The lines above say why.")
            status = member.process.exitcode
            fields = {"pid": member.process.pid, "status": status, "reason": member.reason or "-"}
            logger.warning("worker_ended", extra={"fields": fields})
            # At once after one that served; else ever later.
            if member.ready.is_set():
                backoff_s = FIRST_BACKOFF_S
            else:
                await asyncio.sleep(backoff_s)
                backoff_s = min(LONGEST_BACKOFF_S, 2.0 * backoff_s)
            self._members[place] = self._spawn()
            self._news = self._news._replace(n_worker_restarts=self._news.n_worker_restarts + 1)
            for each in self._members.values():
                each.tell(self._news)

    async def _wait_for_end(self, member: _Member) -> None:
        while not member.ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENT_S / 10.0):
                    await member.ended.wait()
            if member.is_silent and not member.ended.is_set():
                fields = {"pid": member.process.pid, "silent_s": SILENT_S}
                logger.error("worker_hangs", extra={"fields": fields})
                _send(member.process, signal.SIGKILL)
                await member.ended.wait()
        # Its counts stay; what it had under way is no more.
        mark_process_dead(member.process.pid, str(find_metrics_folder(self._folder)))
        if member.process.pid is not None and not self._settings.limits.is_off:
            key_limits.forget_worker(self._folder, member.process.pid)

    def _spawn(self) -> _Member:
        ours, theirs = _SPAWN.Pipe()
        terms = WorkerTerms(self._settings, self._listener, theirs, self._folder, self._has_vllm)
        process = _SPAWN.Process(target=run_worker, args=(terms,), name="milieu-worker")
        process.start()
        # Its own end alone tells of its death.
        theirs.close()
        member = _Member(process, ours)
        if self._news != News():
            member.tell(self._news)
        return member


def _send(process: BaseProcess, number: signal.Signals) -> None:
    if number is signal.SIGKILL:
        process.kill()
    else:
        process.terminate()


async def run_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run all until one of them ends, and raise what it raised."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
