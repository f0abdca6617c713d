"""Adapters on one vLLM server: what it has, load, unload. `adapters.replica.LoraServer`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

import aiohttp

from adapters.errors import AdapterLoadFailed, LoraServerSilent
from app.vllm.connections import Call, Connections, RawReply
from app.vllm.pool import Timeouts
from app.vllm.wire import read_json, read_models

TIMEOUT_S = 60.0
# What every Python process shows that uses prometheus_client, as vLLM does.
_STARTED = re.compile(rb"^process_start_time_seconds (\S+)$", re.MULTILINE)


class VllmLora:
    """One vLLM server, started with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.

    Name and path come from Milieu's registry, never from a request: vLLM reads any path it is told.
    Used as `async with VllmLora(url) as server`.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._connections = Connections(api_key=api_key, connect_s=Timeouts().connect_s)

    async def __aenter__(self) -> Self:
        await self._connections.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._connections.close()

    async def loaded(self) -> frozenset[str]:
        reply = await self._read(Call("GET", "/v1/models"))
        if reply.status != 200:
            raise LoraServerSilent(self.url, f"status {reply.status}")
        # A base model has no parent.
        return frozenset(card.id for card in read_models(read_json(reply.data)) if card.parent)

    async def identify_run(self) -> str | None:
        """Return when the server's process started, None where its metrics do not say.

        Raises:
            LoraServerSilent: the server cannot be reached.
        """
        reply = await self._read(Call("GET", "/metrics"))
        found = _STARTED.search(reply.data)
        return None if found is None else found[1].decode("ascii", "replace")

    async def load(self, name: str, path: Path) -> None:
        body = {"lora_name": name, "lora_path": str(path)}
        reply = await self._read(Call("POST", "/v1/load_lora_adapter", body=body))
        # Of a name that is loaded vLLM says 400; the name is the content's, so nothing is to do.
        if reply.status == 400 and b"already been loaded" in reply.data:
            return
        if reply.status != 200:
            raise _load_failed(name, reply)

    async def unload(self, name: str) -> None:
        body = {"lora_name": name}
        reply = await self._read(Call("POST", "/v1/unload_lora_adapter", body=body))
        if reply.status not in (200, 404):
            raise _load_failed(name, reply)

    async def _read(self, call: Call) -> RawReply:
        try:
            reply = await self._connections.read(self.url, call, limit_s=TIMEOUT_S)
        except (aiohttp.ClientError, OSError) as exc:
            raise LoraServerSilent(self.url, type(exc).__name__) from exc
        if reply.status in (502, 503, 504):
            raise LoraServerSilent(self.url, f"status {reply.status}")
        return reply


def _load_failed(name: str, reply: RawReply) -> AdapterLoadFailed:
    return AdapterLoadFailed(name, reason=reply.data.decode("utf-8", "replace")[:300])
