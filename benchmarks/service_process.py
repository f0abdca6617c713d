"""`milieu serve` as a process of its own, which can be killed and started again at one address."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp

START_S = 300.0
POLL_S = 0.05
ROOT = Path(__file__).parents[1]


class ServiceProcess:
    """The service with the settings `fields`, groups as mappings; what it logs goes to `log`."""

    def __init__(self, fields: Mapping[str, Any], log: Path) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MILIEU_")}
        self._environment = inherited | write_variables(fields)
        self._log, self._port = log, find_free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.ready_after_s = math.nan

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        """Where it is, the same after each start."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process that runs now.

        Raises:
            RuntimeError: none does.
        """
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process.pid

    async def start(self) -> None:
        """Start it and return when it can answer, after `ready_after_s`.

        Raises:
            RuntimeError: it ended, or could not answer in time; what it logged last is shown.
        """
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", "from cli.main import main; main()", "serve"),
                *("--port", str(self._port)),
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
                while not await self._is_ready(session):
                    if self._process.returncode is not None:
                        raise RuntimeError(f"the service ended: {self._said()}")
                    await asyncio.sleep(POLL_S)
            self.ready_after_s = time.perf_counter() - started
        except TimeoutError as exc:
            raise RuntimeError(f"no answer within {START_S:g} s: {self._said()}") from exc

    async def kill(self) -> None:
        """End it as `kill -9` does: it has no chance to finish anything."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz") as reply:
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def write_variables(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings `fields` as the variables that a service reads them from."""
    return {
        f"MILIEU_{name.upper()}": json.dumps(value) if isinstance(value, Mapping) else str(value)
        for name, value in fields.items()
    }


def find_free_port() -> int:
    """Return a port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
