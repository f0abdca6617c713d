"""Several workers at one address are one service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from app.listening import open_listener
from survey_data.cultures import read_catalogue
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import NEIGHBOURS, RELIGION, counted, share_library, share_retrieval
from tests.app.workers.service import Served, serve_with_workers, wait_for
from tests.fakes.vllm import FakeVllm, serve

ADMIN_KEY = "an-admin-key-of-more-than-32-characters"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
N_TRIES = 12


class Started:
    """The service that the tests of this module share, and the fake vLLM that it asks."""

    def __init__(self, served: Served, vllm: FakeVllm, version: str) -> None:
        self.served, self.vllm, self.version = served, vllm, version

    def ask(self, question: str = RELIGION, **fields: object) -> httpx.Response:
        """Ask on a connection of its own, which either worker may take."""
        body = {"culture": "DE", "question": question} | fields
        return httpx.post(f"{self.served.url}/answer", json=body, headers=ADMIN, timeout=30.0)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.served.url}{path}", headers=ADMIN, timeout=30.0)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "data").mkdir()
    vllm = FakeVllm(max_model_len=16384)
    with serve(vllm.app) as url:
        settings = adapter_settings(url, cache_folder, folder / "data")
        # Made by this process where others of its tests use it, too.
        share_retrieval(settings, share_library(settings, read_catalogue())).prepare()
        version = add_adapter(settings, "german", ["DEU"])
        variables = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": "fake",
            "MILIEU_VLLM__LORA": "true",
            "MILIEU_VLLM__MODEL_PATH": str(settings.vllm.model_path),
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "MILIEU_ADMIN_KEYS": ADMIN_KEY,
        }
        with serve_with_workers(folder, variables) as served:
            yield Started(served, vllm, version)


def test_each_worker_finds_the_evidence_of_every_answer(started: Started) -> None:
    said = [started.ask().json() for _ in range(3)]

    for answer in said:
        found = [started.get(f"/v1/answers/{answer['id']}") for _ in range(N_TRIES)]
        assert [each.status_code for each in found] == [200] * N_TRIES
        assert all(each.json() == answer for each in found)
    assert started.get("/v1/answers/ans_of_nobody").status_code == 404


def test_metrics_are_those_of_all_workers(started: Started) -> None:
    def n_asked(status: str = "200") -> float:
        metrics = started.get("/metrics").text
        return counted(metrics, "milieu_requests_total", route="/v1/cultures", status=status)

    before = n_asked()
    with ThreadPoolExecutor(8) as threads:
        asked = threads.map(lambda _: started.get("/v1/cultures").status_code, range(40))
        assert set(asked) == {200}

    assert [n_asked() for _ in range(N_TRIES)] == [before + 40] * N_TRIES
    metrics = started.get("/metrics").text
    assert counted(metrics, "milieu_exposures_recorded_total") >= 0.0
    assert "milieu_adapters_loaded" in metrics


def test_connections_are_shared_out(started: Started) -> None:
    children = [psutil.Process(pid) for pid in started.served.workers]
    with ThreadPoolExecutor(16) as threads:
        clients = [httpx.Client(base_url=started.served.url) for _ in range(16)]
        list(threads.map(lambda client: client.get("/livez"), clients))
        of_each = [
            sum(c.status == psutil.CONN_ESTABLISHED for c in child.net_connections())
            for child in children
        ]
        for client in clients:
            client.close()

    assert len(children) == 2
    # Each has those of this test, and some to vLLM.
    assert min(of_each) >= 2


def test_what_is_activated_through_one_worker_answers_from_all(started: Started) -> None:
    activated = httpx.post(
        f"{started.served.url}/v1/adapters/{started.version}/activate", headers=ADMIN, timeout=60.0
    )
    assert activated.status_code == 200, activated.text
    at_s = time.monotonic()

    def adapters() -> set[str | None]:
        asked = [started.ask(NEIGHBOURS, method="adapter") for _ in range(N_TRIES)]
        return {each.json()["adapter"] for each in asked}

    wait_for(lambda: adapters() == {started.version}, within_s=20.0)
    # The interval of the watch is 2 s, and asking takes a while.
    assert time.monotonic() - at_s < 15.0
    assert set(started.vllm.adapters) == {started.version}


def test_a_killed_worker_costs_the_others_nothing_and_is_started_anew(started: Started) -> None:
    before = started.served.workers
    client = httpx.Client(base_url=started.served.url, headers=ADMIN)
    # Found out by killing: whoever serves this connection is to live.
    victim = next(pid for pid in before if not _serves(pid, client))
    os.kill(victim, signal.SIGKILL)

    answered = [client.get("/v1/cultures").status_code for _ in range(50)]
    fresh = [started.get("/livez").status_code for _ in range(20)]

    assert set(answered) | set(fresh) == {200}
    wait_for(lambda: len(started.served.workers - before) == 1)
    wait_for(lambda: counted(started.get("/metrics").text, "milieu_worker_restarts") == 1.0)
    wait_for(lambda: started.served.log.read_text().count("event=service_started") == 3)
    client.close()
    assert "event=worker_ended" in started.served.log.read_text()


def _serves(pid: int, client: httpx.Client) -> bool:
    """Return whether a worker has the connection of `client`, which this opens."""
    client.get("/livez")
    stream = client._transport._pool.connections[0]._connection._network_stream  # type: ignore[attr-defined]
    port = stream.get_extra_info("client_addr")[1]
    connections = psutil.Process(pid).net_connections()
    return port in {getattr(c.raddr, "port", None) for c in connections}


def test_a_worker_that_cannot_start_ends_the_service_and_says_why(tmp_path: Path) -> None:
    with open_listener("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        at_taken = _serve("--workers", "2", "--port", port, **URLS)
    without_packs = _serve("--workers", "2", "--port", "0", MILIEU_PACKS="nowhere", **URLS)

    assert (at_taken.returncode, without_packs.returncode) == (2, 2)
    assert "Cannot listen on" in at_taken.stderr
    assert "nowhere" in without_packs.stderr
    assert "Traceback" not in without_packs.stderr


URLS = {"MILIEU_VLLM__URLS": "http://127.0.0.1:9", "MILIEU_VLLM__MODEL": "fake"}


def _serve(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "serve", *args],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=240.0,
        check=False,
    )
