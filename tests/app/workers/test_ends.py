"""How workers end: told to, hung, or without their parent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from app.workers.terms import SILENT_S
from tests.app.service import RELIGION
from tests.app.workers.service import Served, find_run_folder, serve_with_workers, wait_for
from tests.fakes.vllm import FakeVllm, serve

N_UNDER_WAY = 8
SLOW_S = 5.0


@contextmanager
def started(vllm: FakeVllm, cache_folder: Path, folder: Path) -> Iterator[Served]:
    with serve(vllm.app) as url:
        variables = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_PACKS": "wvs7",
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": "fake",
        }
        with serve_with_workers(folder, variables) as served:
            yield served


def chat(served: Served) -> httpx.Response:
    """Chat on a connection of its own."""
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": "fake", "messages": messages}
    return httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=30.0)


def test_told_to_end_they_finish_what_is_under_way_and_take_nothing_new(
    cache_folder: Path, tmp_path: Path
) -> None:
    vllm = FakeVllm(max_model_len=16384)
    with started(vllm, cache_folder, tmp_path) as served, ThreadPoolExecutor(8) as threads:
        of_it, folder = served.workers, find_run_folder(served)
        vllm.delay_s = SLOW_S
        asked = [threads.submit(chat, served) for _ in range(N_UNDER_WAY)]
        wait_for(lambda: vllm.n_running == N_UNDER_WAY, within_s=30.0)

        served.process.terminate()

        wait_for(lambda: is_refused(served), within_s=SLOW_S)
        assert vllm.n_running == N_UNDER_WAY
        assert [each.result().status_code for each in asked] == [200] * N_UNDER_WAY
        assert served.process.wait(30.0) == 0
        assert not list_running(of_it)
        assert not folder.exists()


@pytest.mark.deep
def test_one_that_hangs_is_replaced_and_stops_no_other(cache_folder: Path, tmp_path: Path) -> None:
    with started(FakeVllm(max_model_len=16384), cache_folder, tmp_path) as served:
        before = served.workers
        hung = min(before)
        os.kill(hung, signal.SIGSTOP)
        stopped_s = time.monotonic()

        while hung in served.workers:
            body = {"culture": "DE", "question": RELIGION}
            reply = httpx.post(f"{served.url}/answer", json=body, timeout=10.0)
            assert reply.status_code == 200
            assert time.monotonic() - stopped_s < 2.0 * SILENT_S

        assert time.monotonic() - stopped_s > 0.9 * SILENT_S
        wait_for(lambda: served.log.read_text().count("event=service_started") == 3)
        assert len(served.workers) == 2
        assert f"event=worker_hangs pid={hung}" in served.log.read_text()


@pytest.mark.deep
def test_a_killed_parent_ends_them(cache_folder: Path, tmp_path: Path) -> None:
    with started(FakeVllm(max_model_len=16384), cache_folder, tmp_path) as served:
        of_it, folder = served.workers, find_run_folder(served)

        served.process.kill()

        wait_for(lambda: not list_running(of_it), within_s=30.0)
        assert is_refused(served)
        assert not folder.exists()


def is_refused(served: Served) -> bool:
    """Return whether nobody takes a new connection."""
    try:
        httpx.get(f"{served.url}/livez", timeout=5.0)
    except httpx.ConnectError:
        return True
    return False


def list_running(pids: set[int]) -> list[int]:
    """Return those that have not ended."""
    running = []
    for pid in filter(psutil.pid_exists, pids):
        try:
            status = psutil.Process(pid).status()
        except psutil.NoSuchProcess:
            continue
        if status != psutil.STATUS_ZOMBIE:
            running.append(pid)
    return running
