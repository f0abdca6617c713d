"""The engine: vLLM as a child of a replica, which gateways reach through Ray alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import aiohttp
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from app.logs import configure_logging
from app.model_files import prepare_model_files
from app.resources import Resources, open_resources
from app.settings import Settings
from app.state.local_vllm import ParentsVllm, make_local_vllm
from app.telemetry import Metrics
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, vllm_command
from deploy.ray.bridge import RETRY_AFTER_S, Asked, Bridge, Head, strip_headers
from deploy.ray.settings import read_engine_settings

CONNECT_S = 5.0
Command = Callable[[LocalVllmOptions, int], Sequence[str]]


class EngineReplica:
    """A vLLM with the model of the settings. The child is started again where it dies."""

    def __init__(self, command: Command = vllm_command) -> None:
        """Take the command of the child; `ready` starts it."""
        settings = read_engine_settings()
        configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
        local = make_local_vllm(settings, prepare_model_files(settings))
        assert local is not None, "the settings name no servers"
        # Several engines may be on one machine.
        log = settings.cache_folder / f"vllm-{os.getpid()}.log"
        self._vllm = LocalVllm(replace(local.options, log_file=log), command=command)
        self._session: aiohttp.ClientSession | None = None
        self._starting = asyncio.Lock()

    async def ready(self) -> None:
        """Return when vLLM answers.

        Raises:
            VllmStartFailed: it does not start.
        """
        async with self._starting:
            if self._session is None:
                await self._vllm.start()
                timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
                self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)

    async def forward(self, asked: Asked) -> AsyncIterator[Head | bytes]:
        """Yield vLLM's reply: its head, then the parts of its body as they come."""
        await self.ready()
        assert self._session is not None
        headers = {**asked.headers, "Authorization": f"Bearer {self._vllm.api_key}"}
        url = self._vllm.url + asked.path
        try:
            response = await self._session.request(
                asked.method, url, data=asked.body or None, headers=headers
            )
        except aiohttp.ClientConnectionError as exc:
            # It is being started again. Clients of vLLM come back on a 503.
            yield Head(503, {"retry-after": str(RETRY_AFTER_S), "content-type": "text/plain"})
            yield f"vLLM does not answer: {exc}".encode()
            return
        async with response:
            yield Head(response.status, strip_headers(response.headers))
            async for part in response.content.iter_any():
                yield part

    async def __del__(self) -> None:
        """End vLLM; Serve awaits this. Where it cannot, the supervisor of the child does it."""
        if self._session is not None:
            await self._session.close()
        await self._vllm.stop()


@asynccontextmanager
async def open_with_engine(
    engine: DeploymentHandle, settings: Settings, metrics: Metrics
) -> AsyncIterator[Resources]:
    """Open a gateway's resources, with the replicas of `engine` for its vLLM."""
    bridge = Bridge(
        partial(_forward, engine),
        wait_until_ready=lambda: engine.ready.remote(),
        lost=(RayError, RayServeException),
    )
    async with bridge:
        # Ray counts how often an engine is started again.
        started = ParentsVllm(bridge.address, lambda: 0)
        opening = open_resources(settings, metrics, is_service=True, started=started)
        async with opening as resources:
            yield resources


@asynccontextmanager
async def _forward(
    engine: DeploymentHandle, asked: Asked
) -> AsyncIterator[AsyncIterator[Head | bytes]]:
    parts = engine.options(stream=True).forward.remote(asked)
    try:
        yield parts
    finally:
        # After a whole reply this does nothing; otherwise it is how vLLM learns to stop.
        parts.cancel()
