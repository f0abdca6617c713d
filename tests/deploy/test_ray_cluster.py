"""Milieu on a Ray cluster of two nodes: kills lose no answer, streams stream, batches are equal.

Run with `make test-deep` where Ray is installed: pip install --no-deps -r requirements/ray.lock.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from milieu_client import Milieu, Retries
from tests.app.service import NEIGHBOURS, RELIGION, served, settings_for
from tests.fakes.vllm import MODEL, FakeVllm, serve
from tests.tiny_llama import tiny_llama

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="needs Ray: pip install --no-deps -r requirements/ray.lock",
    ),
]
CLUSTER = [sys.executable, "-m", "tests.deploy.ray_cluster"]
N_GATEWAYS, N_ENGINES, N_CLIENTS = 2, 2, 3
BACK_S = 240.0
CHUNK_DELAY_S = 0.3


class RayCluster:
    """The process that runs the cluster."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self.url = process, url

    def tell(self, *words: str) -> None:
        """Have something done, and wait until it is."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        self.wait_for("done")

    def wait_for(self, word: str) -> None:
        """Wait for a line; what Ray itself prints is passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        pytest.fail(f"the cluster ended before it said '{word}'; its last words are above")


class Vllm(NamedTuple):
    fake: FakeVllm
    url: str


@pytest.fixture(scope="module")
def vllm() -> Iterator[Vllm]:
    fake = FakeVllm(max_model_len=16384)
    with serve(fake.app) as url:
        yield Vllm(fake, url)


@pytest.fixture(scope="module")
def environment(vllm: Vllm, cache_folder: Path) -> dict[str, str]:
    """Of what runs on Ray, whose processes have that of the one that starts it."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deploy.ray.proxy.list_middlewares",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MILIEU_VLLM__URLS": vllm.url,
        "MILIEU_VLLM__MODEL": MODEL,
        "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
        "MILIEU_EXPERIMENTS__STORE": "none",
        "MILIEU_CACHE_FOLDER": str(cache_folder),
        "MILIEU_LOG_LEVEL": "WARNING",
    }


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[RayCluster]:
    with running(environment, N_GATEWAYS, 0) as cluster:
        yield cluster


@pytest.fixture
def cluster_with_engines(environment: dict[str, str]) -> Iterator[RayCluster]:
    """One gateway and some engines, each with a fake vLLM for its child."""
    own = {name: value for name, value in environment.items() if name != "MILIEU_VLLM__URLS"}
    with running(own | {"MILIEU_VLLM__MODEL_PATH": str(tiny_llama())}, 1, N_ENGINES) as cluster:
        yield cluster


@contextmanager
def running(environment: dict[str, str], n_gateways: int, n_engines: int) -> Iterator[RayCluster]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [*CLUSTER, str(port), str(n_gateways), str(n_engines)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        cluster = RayCluster(process, f"http://127.0.0.1:{port}")
        try:
            cluster.wait_for("ready")
            yield cluster
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()


class Askers:
    """Clients that ask one question after the other until they are told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(N_CLIENTS)]
        self.answers: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Askers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, n: int) -> None:
        """Wait until `n` more answers have come."""
        wanted, until = len(self.answers) + n, time.monotonic() + BACK_S
        while len(self.answers) < wanted:
            assert time.monotonic() < until, f"{self.failures[:3]}"
            time.sleep(0.2)

    def _ask(self) -> None:
        patient = Retries(n_tries=8, pause_s=0.5, max_pause_s=5.0)
        with Milieu(self._url, retries=patient, timeout_s=60.0) as milieu:
            while not self._stop.is_set():
                try:
                    answer = milieu.ask(NEIGHBOURS, "DE", method="icl", answer_from="model")
                except Exception as exc:
                    self.failures.append(f"{type(exc).__name__}: {exc}")
                else:
                    self.answers.append(str(answer.answer))


def test_no_answer_is_lost_with_a_replica_or_a_node(cluster: RayCluster) -> None:
    with Askers(cluster.url) as askers:
        askers.wait_for_more(30)
        cluster.tell("kill-replica", "Gateway")
        askers.wait_for_more(60)
        cluster.tell("wait-for", "Gateway", str(N_GATEWAYS))
        cluster.tell("kill-node")
        askers.wait_for_more(60)

    assert askers.failures == []
    assert len(set(askers.answers)) == 1


def test_no_answer_is_lost_with_an_engine(cluster_with_engines: RayCluster) -> None:
    with Askers(cluster_with_engines.url) as askers:
        askers.wait_for_more(30)
        cluster_with_engines.tell("kill-replica", "Engine")
        askers.wait_for_more(60)
        cluster_with_engines.tell("wait-for", "Engine", str(N_ENGINES))

    assert askers.failures == []
    assert len(set(askers.answers)) == 1


def test_a_stream_comes_in_pieces(cluster: RayCluster, vllm: Vllm) -> None:
    vllm.fake.chunk_delay_s = CHUNK_DELAY_S
    asked = {
        "model": f"{MODEL}@DE",
        "stream": True,
        "max_tokens": 5,
        "messages": [{"role": "user", "content": NEIGHBOURS}],
    }
    came: list[float] = []
    try:
        with httpx.stream(
            "POST", f"{cluster.url}/v1/chat/completions", json=asked, timeout=60.0
        ) as response:
            assert response.status_code == 200
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    came.append(time.monotonic())
    finally:
        vllm.fake.chunk_delay_s = 0.0

    assert len(came) >= 4
    assert came[-1] - came[0] > 2 * CHUNK_DELAY_S


def test_a_batch_on_ray_is_the_batch_of_a_service(
    environment: dict[str, str], vllm: Vllm, cache_folder: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.csv"
    lie = "Is it right to tell a lie?"
    rows = [f"{RELIGION},", f"{lie},Yes|No", f"{lie},Yes|Yes", f"{NEIGHBOURS},Yes|Perhaps|No"]
    questions.write_text("question,options\n" + "\n".join(rows) + "\n")
    wanted = ["-c", "DE", "-c", "Nigeria", "-c", "Atlantis", "--method", "icl"]
    milieu = [sys.executable, "-c", "from cli.main import main; main()", "batch", str(questions)]

    def run(out: str, *arguments: str) -> bytes:
        done = subprocess.run(
            [*milieu, *wanted, "--out", out, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        # 1: some were refused.
        assert done.returncode == 1, done.stderr
        return (tmp_path / out).read_bytes()

    with served(settings_for(vllm.url, cache_folder)) as url:
        by_service = run("service.csv", "--url", url)
    on_ray = run("ray.csv", "--ray")

    assert on_ray == by_service
    kept = [json.loads(line) for line in (tmp_path / "ray.csv.journal").read_text().splitlines()]
    assert len(kept) > 6
