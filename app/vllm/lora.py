"""Adapters on one vLLM server: what it has, load, unload. `adapters.hot_swap.LoraServer`."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from adapters.errors import AdapterLoadFailed, LoraServerSilent
from app.vllm.wire import read_json, read_models

TIMEOUT_S = 60.0


class VllmLora:
    """One vLLM server, started with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.

    Name and path come from Milieu's registry, never from a request: vLLM reads any path it is told.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession, *, api_key: str = "") -> None:
        self.url = url.rstrip("/")
        self._session = session
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def loaded(self) -> frozenset[str]:
        status, data = await self._call("GET", "/v1/models")
        if status != 200:
            raise LoraServerSilent(self.url, f"status {status}")
        # A base model has no parent.
        return frozenset(card.id for card in read_models(read_json(data)) if card.parent)

    async def load(self, name: str, path: Path) -> None:
        body = {"lora_name": name, "lora_path": str(path)}
        status, data = await self._call("POST", "/v1/load_lora_adapter", body)
        # Of a name that is loaded vLLM says 400; the name is the content's, so nothing is to do.
        if status == 400 and b"already been loaded" in data:
            return
        if status != 200:
            raise AdapterLoadFailed(name, reason=data.decode("utf-8", "replace")[:300])

    async def unload(self, name: str) -> None:
        status, data = await self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if status not in (200, 404):
            raise AdapterLoadFailed(name, reason=data.decode("utf-8", "replace")[:300])

    async def _call(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            async with self._session.request(
                method,
                self.url + path,
                json=body,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                if response.status in (502, 503, 504):
                    raise LoraServerSilent(self.url, f"status {response.status}")
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError) as exc:
            raise LoraServerSilent(self.url, type(exc).__name__) from exc
