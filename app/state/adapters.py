"""Adapters on the vLLM servers of the settings: registry, hot swap and canaries, wired up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

from adapters.base_model import AdapterBase, declare_base_model, read_base_model
from adapters.claims import ClaimedServer, VersionClaims
from adapters.errors import AdapterLoadFailed, LoraServerSilent
from adapters.hot_swap import HotSwap
from adapters.registry import AdapterRegistry
from adapters.serving import AdapterServing
from adapters.verification import Verifier
from app.errors import SettingsInvalid, UpstreamError, UpstreamInvalid, UpstreamRejected
from app.model_files import ModelFiles
from app.settings import Settings
from app.vllm.client import VllmClient
from app.vllm.lora import VllmLora
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from survey_data.cultures import CultureCatalogue

# A server that was started anew is noticed after this, or by the first request for an adapter.
WATCH_INTERVAL_S = 1.0


class VllmCanaries:
    """One vLLM server as `adapters.canary.CanaryServer`."""

    def __init__(self, url: str, vllm: VllmClient, *, base_model: str) -> None:
        self._url, self._vllm, self._base_model = url, vllm, base_model

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme:
        """Return how to label the options of `asked`.

        Raises:
            LoraServerSilent: the server does not answer.
            AdapterLoadFailed: the model has no tokens of its own for numbers, nor for letters.
        """
        with self._asking(self._base_model):
            scheme = await self._vllm.choose_labels(self._base_model, asked)
        if scheme is None:
            reason = "its tokenizer has no single tokens for numbers, nor for letters"
            raise AdapterLoadFailed(self._base_model, reason=reason)
        return scheme

    async def score(
        self, model: str, messages: Sequence[Message], labels: Sequence[str]
    ) -> Sequence[float]:
        """Return the labels' log-probabilities.

        Raises:
            LoraServerSilent: the server does not answer.
            AdapterLoadFailed: the model has no token of its own for a label, or the server refuses
                the canary, as one that is longer than it reads.
        """
        with self._asking(model):
            scored = await self._vllm.score(
                messages, labels, model=model, base_model=self._base_model
            )
        if scored is None:
            reason = f"its tokenizer has no single token for one of {', '.join(labels)}"
            raise AdapterLoadFailed(model, reason=reason)
        return scored.logprobs

    @contextmanager
    def _asking(self, model: str) -> Iterator[None]:
        try:
            yield
        except (UpstreamRejected, UpstreamInvalid) as exc:
            # It would say so again, which is not to be waited for.
            raise AdapterLoadFailed(model, reason=str(exc)) from exc
        except UpstreamError as exc:
            raise LoraServerSilent(self._url, str(exc)) from exc


class _OpenServer(NamedTuple):
    """One vLLM server, for its adapters and for canaries."""

    lora: VllmLora
    canaries: VllmCanaries


def load_adapter_base(files: ModelFiles, name: str) -> AdapterBase:
    """Return what adapters are checked against. Reads the model's weights, if they are here.

    Raises:
        BaseModelInvalid: the files in the model's folder do not say what it is made of.
        SettingsInvalid: there is no such folder: the model is on servers only.
    """
    folder = files.folder
    if folder is None:
        raise SettingsInvalid(
            "adapters are checked against the model's files; set MILIEU_VLLM__MODEL_PATH to a "
            f"folder with the config.json of '{name}'"
        )
    if any(folder.glob("*.safetensors")):
        return read_base_model(folder, name=name)
    return declare_base_model(folder / "config.json", name=name)


@asynccontextmanager
async def open_adapters(
    settings: Settings,
    files: ModelFiles,
    urls: Sequence[str],
    *,
    api_key: str,
    catalogue: CultureCatalogue,
) -> AsyncIterator[AdapterServing]:
    """Open the registry of the settings on the vLLM servers at `urls`.

    Raises:
        BaseModelInvalid: the files of the base model cannot be read.
        RegistryInvalid: what is active cannot be read.
    """
    registry = await asyncio.to_thread(open_registry, settings)
    base = await asyncio.to_thread(load_adapter_base, files, settings.model)
    claims = VersionClaims(settings.claims_folder)
    async with AsyncExitStack() as stack:
        servers = await _open_servers(stack, urls, api_key=api_key, base_model=base.name)
        verifier = Verifier(
            registry, base, catalogue=catalogue, canary_server=lambda url: servers[url].canaries
        )
        hot = HotSwap(
            [ClaimedServer(server.lora, claims) for server in servers.values()],
            locate=verifier.locate,
            verify=verifier.verify,
            identify=lambda server: servers[server.url].lora.identify_run(),
            capacity=settings.vllm.max_cpu_loras,
        )
        live = AdapterServing(registry, hot, verifier, claims=claims)
        await live.open()
        watching = asyncio.create_task(live.watch(WATCH_INTERVAL_S), name="watch-adapters")
        try:
            yield live
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await live.close()


async def _open_servers(
    stack: AsyncExitStack, urls: Sequence[str], *, api_key: str, base_model: str
) -> dict[str, _OpenServer]:
    servers = {}
    for url in urls:
        lora = await stack.enter_async_context(VllmLora(url, api_key=api_key))
        client = await stack.enter_async_context(VllmClient([url], api_key=api_key))
        servers[lora.url] = _OpenServer(lora, VllmCanaries(url, client, base_model=base_model))
    return servers


def open_registry(settings: Settings) -> AdapterRegistry:
    """Return the registry of the settings, for who changes its files and serves none of them."""
    return AdapterRegistry(settings.adapters_folder)
