"""Two real vLLM servers as replicas: one is killed under load, and comes back with its adapters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.canary import make_canary_prompts, measure
from adapters.hot_swap import HotSwap
from adapters.replica import LoraServer
from app.settings import EMBEDDED_MODEL
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions
from app.vllm.client import VllmClient
from app.vllm.lora import VllmLora
from embedded_model.reader_files import READER_NAME, check_reader
from tests.app.test_real_adapters import LORA, Scorer, _killed_and_back, differs, filled

pytestmark = [pytest.mark.vllm, pytest.mark.deep, pytest.mark.timeout(900)]

KEY = "of-the-tests"
WATCH_S = 1.0
# On a CPU that is busy with the other server: loading and verifying two versions took 3.2 s.
CONVERGES_WITHIN_S = 10.0


async def test_a_killed_replica_is_missed_by_no_request_and_back_in_step_in_seconds(
    vllm_model_dir: Path, tmp_path: Path
) -> None:
    registry = filled(tmp_path, vllm_model_dir)
    names = [entry.version_name for entry in registry.entries()][:2]
    prompts = make_canary_prompts()[:1]
    async with AsyncExitStack() as stack:
        children = [
            await stack.enter_async_context(_child(vllm_model_dir, tmp_path / f"vllm-{i}.log"))
            for i in range(2)
        ]
        servers: dict[str, VllmLora] = {}
        scorers: dict[str, Scorer] = {}
        for child in children:
            server = await stack.enter_async_context(VllmLora(child.url, api_key=KEY))
            client = await stack.enter_async_context(VllmClient([child.url], api_key=KEY))
            servers[server.url], scorers[server.url] = server, Scorer(client)

        async def verify(server: LoraServer, name: str) -> None:
            await measure(scorers[server.url], prompts, base_model=EMBEDDED_MODEL, adapter=name)

        hot = HotSwap(
            list(servers.values()),
            locate=registry.path,
            verify=verify,
            identify=lambda server: servers[server.url].identify_run(),
            capacity=LORA.max_cpu_loras,
            grace_s=60.0,
        )
        asking = await stack.enter_async_context(
            VllmClient(list(servers), api_key=KEY, placement=hot)
        )
        found, failed = list[tuple[str, list[float]]](), list[str]()

        async def ask_for_ever(name: str, culture: str) -> None:
            while True:
                async with hot.lease(name):
                    try:
                        scores = await asking.score(
                            prompts[0].messages, prompts[0].labels, model=name, culture=culture
                        )
                    except Exception as exc:  # none may be
                        failed.append(repr(exc))
                        await asyncio.sleep(0.1)
                    else:
                        assert scores is not None
                        found.append((name, list(scores.logprobs)))

        async def watch() -> None:
            while True:
                await hot.tend(WATCH_S)

        expected, every = {}, frozenset(servers)
        for name in names:
            async with hot.lease(name):
                scores = await asking.score(prompts[0].messages, prompts[0].labels, model=name)
                assert scores is not None
                expected[name] = list(scores.logprobs)
                assert hot.find_ready(name) == every
        tasks = [asyncio.create_task(ask_for_ever(n, c)) for n in names for c in ("DEU", "JPN")]
        tasks.append(asyncio.create_task(watch()))
        try:
            await _killed_and_back(children[0])
            back = time.monotonic()
            await _until(lambda: all(hot.find_ready(name) == every for name in names))
            took_s = time.monotonic() - back
            assert await servers[children[0].url].loaded() == {*names, READER_NAME}
            n_before = len(found)
            await _until(lambda: len(found) >= n_before + 8)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(asyncio.CancelledError):
                await hot.close()

    assert not failed
    assert not [name for name, scores in found if differs([expected[name]], [scores])]
    assert took_s <= CONVERGES_WITHIN_S


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(120.0):
        while not is_so():  # noqa: ASYNC110  # what it waits for happens in other processes
            await asyncio.sleep(0.05)


def _child(model_dir: Path, log_file: Path) -> LocalVllm:
    options = LocalVllmOptions(
        model_dir,
        EMBEDDED_MODEL,
        log_file,
        max_model_len=2048,
        dtype="float32",
        lora=replace(LORA, fixed={READER_NAME: check_reader()}),
        first_backoff_s=0.1,
    )
    child = LocalVllm(options)
    # One client asks both, with one key.
    child.api_key = KEY
    return child
