"""vLLM as a supervised child of the service, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from app.errors import UpstreamError, VllmStartFailed
from app.process.supervised import SupervisedProcess, read_last_lines
from app.vllm.child_command import LocalVllmOptions, vllm_command, vllm_environment
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest
from prompting.messages import Message

logger = logging.getLogger(__name__)

N_LOG_LINES = 12
N_LOGS_KEPT = 3
N_PORTS = 3
START_POLL_S = 0.1
# Empty lines, and a traceback's frames, which are indented; vLLM puts the name of the process, and
# often level, time and place, before each line.
_NOISE = re.compile(r"(?>\(\w+ pid=\d+\) (?:[A-Z]+ [\d-]+ [\d:]+ \[[^]]*\] ?)?)?+(?:\s|$)")
_WARM_UP = (Message("user", "?"),)
_WARM_UP_LABELS = ("1", "2")


class LocalVllm:
    """Starts vLLM, waits until it answers, and starts it again when it dies or falls ill.

    Address and key stay the same over restarts. The child runs under a supervisor
    (`SupervisedProcess`), so that none of its processes outlives the service, even a killed one.
    Used as `async with LocalVllm(options) as vllm`, or by `start` and `stop`.
    """

    def __init__(
        self,
        options: LocalVllmOptions,
        *,
        command: Callable[[LocalVllmOptions, int], Sequence[str]] = vllm_command,
    ) -> None:
        self.options = options
        self.api_key = secrets.token_urlsafe(24)
        self._command = command
        self._port = 0
        self._ready = False
        self._n_restarts = 0
        self._process: SupervisedProcess | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The base URL; known once `start` was called."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ready(self) -> bool:
        """Whether vLLM answered when last looked at."""
        return self._ready

    @property
    def n_restarts(self) -> int:
        """How often vLLM was started again since `start`."""
        return self._n_restarts

    async def start(self) -> None:
        """Start vLLM and return when it has answered a first request; then watch over it.

        Raises:
            VllmStartFailed: it died, or was not ready in time; the last log lines are shown.
        """
        if not (self.options.model_dir / "config.json").is_file():
            # vLLM would take seconds to say that this is no name on the hub.
            raise self._failed(f"there is no model (config.json) in {self.options.model_dir}")
        for n_left in reversed(range(N_PORTS)):
            self._port = _free_port()
            try:
                await self._launch()
                break
            except VllmStartFailed as exc:
                # Another process may take a port that was free before vLLM listens on it.
                is_taken = any("Address already in use" in line for line in exc.log_lines)
                if not is_taken or not n_left:
                    raise
        self._watching = asyncio.create_task(self._watch(), name="watch-vllm")

    async def stop(self) -> None:
        """End vLLM, in good order if it will, and stop watching. Does nothing when it is ended."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self._end()

    async def _launch(self) -> None:
        started = asyncio.get_running_loop().time()
        log = self.options.log_file
        _rotate(log)
        options, command = self.options, self._command(self.options, self._port)
        with log.open("wb") as output:
            self._process = await SupervisedProcess.spawn(
                command,
                grace_s=options.stop_grace_s,
                env=vllm_environment(options, api_key=self.api_key),
                stdout=output,
                stderr=output,
            )
        try:
            await self._until_ready(self._process)
        except BaseException:
            await self._end()
            raise
        self._ready = True
        took_s = round(asyncio.get_running_loop().time() - started, 1)
        logger.info("vllm_started", extra={"fields": {"url": self.url, "took_s": took_s}})

    async def _until_ready(self, process: SupervisedProcess) -> None:
        try:
            async with asyncio.timeout(self.options.start_deadline_s), self._client() as client:
                while not (await client.health())[0].is_healthy:
                    if process.status is not None:
                        raise self._failed(f"it ended with status {process.status}")
                    await asyncio.sleep(START_POLL_S)
                await self._warm_up(client)
        except TimeoutError as exc:
            limit_s = self.options.start_deadline_s
            raise self._failed(f"it was not ready within {limit_s:g} s") from exc
        except UpstreamError as exc:
            raise self._failed(f"it does not answer a first request: {exc}") from exc

    async def _warm_up(self, client: VllmClient) -> None:
        """Ask what the service will ask: the first request takes two seconds longer than others."""
        model = self.options.served_name
        if await client.score(_WARM_UP, _WARM_UP_LABELS, model=model) is None:
            await client.chat(ChatRequest(model, _WARM_UP, max_tokens=1))

    async def _watch(self) -> None:
        loop, options = asyncio.get_running_loop(), self.options
        backoff_s = options.first_backoff_s
        while True:
            started = loop.time()
            reason = await self._until_broken()
            if loop.time() - started >= options.longest_backoff_s:
                backoff_s = options.first_backoff_s
            await self._end()
            while not self._ready:
                fields = {"reason": reason, "restart_in_s": backoff_s, "log": options.log_file}
                logger.warning("vllm_broke_down", extra={"fields": fields})
                await asyncio.sleep(backoff_s)
                backoff_s = min(options.longest_backoff_s, 2.0 * backoff_s)
                self._n_restarts += 1
                try:
                    await self._launch()
                except (VllmStartFailed, OSError) as exc:
                    reason = str(exc)

    async def _until_broken(self) -> str:
        """Return, when the child died or stays ill, what was seen."""
        assert self._process is not None, "only a launched child is watched"
        died = asyncio.create_task(self._process.wait())
        n_failed = 0
        try:
            async with self._client() as client:
                while n_failed < self.options.n_failed_health:
                    await asyncio.wait({died}, timeout=self.options.health_interval_s)
                    if died.done():
                        return f"it ended with status {died.result()}"
                    is_healthy = (await client.health())[0].is_healthy
                    n_failed = 0 if is_healthy else n_failed + 1
            return f"it was not healthy {n_failed} times in a row"
        finally:
            died.cancel()
            self._ready = False

    async def _end(self) -> None:
        self._ready = False
        process, self._process = self._process, None
        if process is None:
            return
        await process.end()
        logger.info("vllm_ended", extra={"fields": {"url": self.url}})

    def _client(self) -> VllmClient:
        return VllmClient([self.url], api_key=self.api_key)

    def _failed(self, reason: str) -> VllmStartFailed:
        log = self.options.log_file
        lines = read_last_lines(log, N_LOG_LINES, noise=_NOISE)
        return VllmStartFailed(reason, log_lines=lines, log_file=str(log))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _rotate(log: Path) -> None:
    """Move `log` to `log.1`, that to `log.2`, and forget the oldest."""
    log.parent.mkdir(parents=True, exist_ok=True)
    for age in range(N_LOGS_KEPT - 1, 0, -1):
        earlier = log if age == 1 else log.with_name(f"{log.name}.{age - 1}")
        if earlier.exists():
            earlier.replace(log.with_name(f"{log.name}.{age}"))
