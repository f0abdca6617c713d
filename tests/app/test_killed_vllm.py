"""vLLM is killed under load: nothing hangs, and the service answers as soon as it is back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.service import RELIGION, served, settings_for
from tests.fixtures.supervised import Killing, supervise_fake

TIMEOUT_S = 20.0
COMES_BACK_WITHIN_S = 240.0


@contextmanager
def on_a_fake(cache_folder: Path, folder: Path) -> Iterator[str]:
    """A service on a supervised fake vLLM that is a process of its own."""
    with supervise_fake(folder) as vllm:
        key = {"api_key": vllm.api_key, "timeout_s": TIMEOUT_S}
        with served(settings_for(vllm.url, cache_folder, vllm=key)) as url:
            yield url


@contextmanager
def on_its_own(cache_folder: Path) -> Iterator[str]:
    """A service on the embedded model, with the real vLLM as its child."""
    vllm: dict[str, Any] = {"timeout_s": TIMEOUT_S, "start_deadline_s": 280.0}
    with served(Settings(cache_folder=cache_folder, vllm=vllm)) as url:
        yield url


def test_killing_a_fake_under_load_hangs_nothing_and_it_comes_back(
    cache_folder: Path, tmp_path: Path
) -> None:
    killing = Killing("tests.fakes.vllm_process")
    with on_a_fake(cache_folder, tmp_path) as url:
        check_a_kill(url, killing, load_s=2.0)
    assert not killing.processes()


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("vllm_model_dir")
def test_killing_vllm_under_load_hangs_nothing_and_it_comes_back(cache_folder: Path) -> None:
    killing = Killing("api_server")
    with on_its_own(cache_folder) as url:
        check_a_kill(url, killing, load_s=60.0)
        assert "milieu_vllm_restarts 1.0" in httpx.get(f"{url}/metrics").text
    assert not killing.processes()


def check_a_kill(url: str, killing: Killing, *, load_s: float) -> None:
    before = set(killing.processes())
    assert before
    statuses, slowest_s = asyncio.run(load_while_killing(url, killing, load_s))

    assert set(statuses) <= {200, 503, 504}
    assert statuses[200] > 0
    assert statuses[503] > 0
    assert slowest_s < TIMEOUT_S + 5.0
    assert httpx.get(f"{url}/livez").status_code == 200

    deadline = time.monotonic() + COMES_BACK_WITHIN_S
    while httpx.get(f"{url}/readyz", timeout=10.0).status_code != 200:
        assert time.monotonic() < deadline, "vLLM did not come back"
        time.sleep(0.1)
    body = {"question": RELIGION, "culture": "DE", "answer_from": "model"}
    reply = httpx.post(f"{url}/answer", json=body, timeout=60.0)
    assert reply.status_code == 200, reply.text
    assert reply.json()["answer"]
    assert set(killing.processes()).isdisjoint(before)


async def load_while_killing(
    url: str, killing: Killing, load_s: float
) -> tuple[Counter[int], float]:
    """Ask 16 at a time for some seconds and kill vLLM amid it; statuses and the slowest, in s."""
    statuses: Counter[int] = Counter()
    slowest_s = 0.0
    stop_at = time.monotonic() + load_s

    async def work(client: httpx.AsyncClient, worker: int) -> None:
        nonlocal slowest_s
        for n in range(1000):
            if time.monotonic() > stop_at:
                return
            question = f"Do you trust neighbour {worker} of {n}?"
            body = {"question": question, "culture": "DE", "answer_from": "model"}
            started = time.monotonic()
            reply = await client.post(f"{url}/answer", json=body)
            slowest_s = max(slowest_s, time.monotonic() - started)
            statuses[reply.status_code] += 1
            # A client that is told to come back later does not ask again at once.
            await asyncio.sleep(0.0 if reply.status_code == 200 else 0.2)

    async with httpx.AsyncClient(timeout=TIMEOUT_S + 10.0) as client:
        tasks = [asyncio.create_task(work(client, worker)) for worker in range(16)]
        await asyncio.sleep(load_s / 3)
        for process in killing.processes():
            process.kill()
        await asyncio.gather(*tasks)
    return statuses, slowest_s
