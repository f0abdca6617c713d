"""Adapters on the real vLLM: admitted, verified, swapped, and back after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from adapters.base_model import read_base_model
from adapters.canary import TOLERANCE_NAT, make_canary_prompts, measure, measure_difference_nat
from adapters.hot_swap import HotSwap
from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.settings import EMBEDDED_MODEL
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from app.vllm.client import VllmClient
from app.vllm.lora import VllmLora
from embedded_model.reader_files import RANK, READER_NAME, check_reader
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.conftest import MAX_CPU_LORAS, ServedVllm

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

N_ADAPTERS = 5
LORA = LoraOptions(max_loras=2, max_rank=RANK, max_cpu_loras=MAX_CPU_LORAS)
# One tells random adapters apart.
PROMPTS = make_canary_prompts()[:1]


class Scorer:
    """`adapters.canary.CanaryServer` over vLLM."""

    def __init__(self, client: VllmClient) -> None:
        self._client = client

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme:
        scheme = await self._client.choose_labels(EMBEDDED_MODEL, asked)
        assert scheme is not None
        return scheme

    async def score(
        self, model: str, messages: Sequence[Message], labels: Sequence[str]
    ) -> Sequence[float]:
        scored = await self._client.score(messages, labels, model=model)
        assert scored is not None
        return scored.logprobs


def differs(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> bool:
    return measure_difference_nat(one, other) > TOLERANCE_NAT


@pytest.fixture
async def vllm(vllm_model_dir: Path, tmp_path: Path) -> AsyncIterator[LocalVllm]:
    options = LocalVllmOptions(
        vllm_model_dir,
        EMBEDDED_MODEL,
        tmp_path / "vllm.log",
        max_model_len=2048,
        dtype="float32",
        lora=replace(LORA, fixed={READER_NAME: check_reader()}),
        first_backoff_s=0.1,
    )
    async with LocalVllm(options) as vllm:
        yield vllm


def filled(folder: Path, model_dir: Path) -> AdapterRegistry:
    base = read_base_model(model_dir, name=EMBEDDED_MODEL)
    registry = AdapterRegistry(folder / "registry")
    config = lora_config(base_model_name_or_path=EMBEDDED_MODEL)
    for seed in range(N_ADAPTERS):
        source = write_lora(folder / f"source-{seed}", lora_tensors(base, seed=seed), config)
        registry.add(
            source, base=base, max_rank=LORA.max_rank, name=f"a{seed}", cultures=[],
            about=AdapterFacts(method="random", licence="CC0"),
        )  # fmt: skip
    return registry


async def test_a_request_without_an_adapter_has_none_in_a_batch_with_others(
    bare_vllm: ServedVllm, vllm_model_dir: Path, tmp_path: Path
) -> None:
    registry = filled(tmp_path, vllm_model_dir)
    every = [entry.version_name for entry in registry.entries()]
    names = every[: LORA.max_cpu_loras]
    async with (
        VllmLora(bare_vllm.url, api_key=bare_vllm.api_key) as server,
        VllmClient([bare_vllm.url], api_key=bare_vllm.api_key) as client,
    ):
        scorer = Scorer(client)

        async def answer(name: str) -> list[Sequence[float]]:
            return await asyncio.gather(
                *(scorer.score(name, p.messages, p.labels) for p in PROMPTS)
            )

        alone = await answer(EMBEDDED_MODEL)
        # An unloaded adapter stays in its slot until another needs it, so now each slot has one.
        for name in reversed(every):
            await server.load(name, registry.path(name))
            await answer(name)
            if name not in names:
                await server.unload(name)
        # Every adapter has been in use, and is again while the model alone is asked.
        found = await asyncio.gather(*(answer(name) for name in [*names, EMBEDDED_MODEL] * 3))

        of_base = found[len(names) :: len(names) + 1]
        assert all(differs(alone, of) for of in found[: len(names)])
        assert not any(differs(alone, of) for of in of_base)


class Swapped(NamedTuple):
    """More adapters than fit into a server, and the swap through which they are asked."""

    names: list[str]
    server: VllmLora
    hot: HotSwap
    answer: Callable[[str], Awaitable[list[Sequence[float]]]]


@asynccontextmanager
async def swap(
    vllm: ServedVllm | LocalVllm, model_dir: Path, folder: Path
) -> AsyncIterator[Swapped]:
    registry = filled(folder, model_dir)
    async with (
        VllmLora(vllm.url, api_key=vllm.api_key) as server,
        VllmClient([vllm.url], api_key=vllm.api_key) as client,
    ):
        scorer = Scorer(client)

        async def verify(on: object, name: str) -> None:
            registry.record_canaries(
                name, await measure(scorer, PROMPTS, base_model=EMBEDDED_MODEL, adapter=name)
            )

        hot = HotSwap([server], locate=registry.path, verify=verify, capacity=LORA.max_cpu_loras)

        async def answer(name: str) -> list[Sequence[float]]:
            async with hot.lease(name):
                return [await scorer.score(name, p.messages, p.labels) for p in PROMPTS]

        yield Swapped([entry.version_name for entry in registry.entries()], server, hot, answer)


async def test_more_adapters_than_fit_are_all_answered(
    bare_vllm: ServedVllm, vllm_model_dir: Path, tmp_path: Path
) -> None:
    async with swap(bare_vllm, vllm_model_dir, tmp_path) as (names, server, hot, answer):
        first = {name: await answer(name) for name in names}
        again = await asyncio.gather(*(answer(name) for name in names * 2))

        # Each answer is that of its own adapter, whoever else was loaded meanwhile.
        for name, found in zip(names * 2, again, strict=True):
            assert not differs(first[name], found)
        assert all(differs(first[a], first[b]) for a in names for b in names if a < b)
        assert hot.counts.n_evictions >= N_ADAPTERS - LORA.max_cpu_loras
        assert await server.loaded() == {*hot.loaded, READER_NAME}


@pytest.mark.deep
async def test_adapters_come_back_after_a_crash(
    vllm: LocalVllm, vllm_model_dir: Path, tmp_path: Path
) -> None:
    async with swap(vllm, vllm_model_dir, tmp_path) as (names, server, hot, answer):
        first = {name: await answer(name) for name in names}
        before = set(hot.loaded)
        await _killed_and_back(vllm)
        assert await server.loaded() == {READER_NAME}
        await hot.reconcile()

        assert await server.loaded() == {*before, READER_NAME}
        for name in before:
            assert not differs(first[name], await answer(name))


async def _killed_and_back(vllm: LocalVllm) -> None:
    n_before, port = vllm.n_restarts, vllm.url.rpartition(":")[2]
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        # Not its supervisor, which has the same words in its command line and clears up after it.
        if port in words and not any("supervisor.py" in word for word in words):
            process.kill()
    async with asyncio.timeout(120):
        while vllm.n_restarts == n_before or not vllm.ready:  # noqa: ASYNC110  # other processes
            await asyncio.sleep(0.2)
