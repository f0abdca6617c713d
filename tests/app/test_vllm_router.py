"""Milieu on one address behind which `vllm-router` has two servers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.service import NEIGHBOURS, RELIGION, served, settings_for
from tests.fakes.simulator import SimulatedReplica, replicas
from tests.fakes.vllm import MODEL, FakeVllm

pytestmark = [pytest.mark.deep, pytest.mark.timeout(300)]

KEY = "of-the-tests"


@contextmanager
def routed(simulated: list[SimulatedReplica], log: Path) -> Iterator[str]:
    """Run the router before `simulated`; yields its URL."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which("vllm-router", path=beside) or shutil.which("vllm-router")
    if program is None:
        pytest.skip("needs vllm-router: pip install 'milieu[router]', in any environment on PATH")
    port, metrics_port = _free_port(), _free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as said:
        router = subprocess.Popen(
            [program, "--host", "127.0.0.1", "--port", str(port),
             "--prometheus-port", str(metrics_port), "--api-key", KEY, "--policy", "round_robin",
             "--worker-urls", *(replica.url for replica in simulated)],
            stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60.0
        while not _is_up(url):
            assert router.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        router.terminate()
        router.wait(timeout=20)


def test_questions_and_chats_go_through_a_router_and_on_without_a_server(
    cache_folder: Path, tmp_path: Path
) -> None:
    fakes = [FakeVllm(api_key=KEY, max_model_len=16384) for _ in range(2)]
    with replicas(*fakes) as simulated, routed(simulated, tmp_path / "router.log") as url:
        settings = settings_for(url, cache_folder, data_folder=tmp_path, vllm={"api_key": KEY})
        with served(settings) as milieu, httpx.Client(base_url=milieu, timeout=60.0) as client:
            for _ in range(4):
                _check_answers(client)
            assert all(fake.chats for fake in fakes)
            simulated[0].kill()
            n_before = len(fakes[1].chats)
            for _ in range(4):
                _check_answers(client)
            assert client.get("/readyz").status_code == 200

    assert len(fakes[1].chats) > n_before
    # What the router makes of a request is still what Milieu asked for.
    scored = [
        chat.body for fake in fakes for chat in fake.chats if "logprob_token_ids" in chat.body
    ]
    assert scored
    assert all(body["max_tokens"] == 1 for body in scored)


def _check_answers(client: httpx.Client) -> None:
    body = {"question": RELIGION, "culture": "DE", "method": "icl", "answer_from": "model"}
    answer = client.post("/answer", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["method"] == "icl"
    assert sum(option["share"] for option in answer.json()["shares"]) == pytest.approx(1.0)
    chat = {
        "model": f"{MODEL}@DE",
        "messages": [{"role": "user", "content": NEIGHBOURS}],
        "max_tokens": 5,
        "stream": True,
    }
    streamed = client.post("/v1/chat/completions", json=chat)
    assert streamed.status_code == 200, streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert '"error"' not in streamed.text


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
