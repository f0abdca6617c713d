"""A service, its vLLM or an adapter's files die in the middle of a swap: one whole version answers.

On the real vLLM, with the service as a process of its own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from adapters.registry import AdapterRegistry
from app.settings import Settings
from tests.app.adapters import add_adapter
from tests.app.service import RELIGION

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY = "of-the-tests"
# vLLM moves an answer a little with what else is in a batch.
TOLERANCE = 0.03
COMES_BACK_WITHIN_S = 240.0


class Service:
    """`milieu serve` on the embedded model, and what is known of its adapters."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shares: dict[str, list[float]] = {}
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        env = os.environ | {
            "MILIEU_CACHE_FOLDER": str(self.settings.cache_folder),
            "MILIEU_DATA_FOLDER": str(self.settings.data_folder),
            "MILIEU_ADMIN_KEYS": ADMIN_KEY,
            # Random weights give most of the probability to words that are no option.
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
        }
        log = self.settings.data_folder / "service.log"
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from cli.main import main; main()", "serve", "--port", "0"],
                cwd=ROOT, env=env, stderr=stderr,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + COMES_BACK_WITHIN_S
            while not (said := [line for line in _lines(log) if "Milieu answers at" in line]):
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            self.url = said[0].split()[3]
            yield
        finally:
            self.process.kill()
            self.process.wait()

    def vllm_processes(self) -> list[psutil.Process]:
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        # Not its supervisor, which has the same words in its command line and clears up after it.
        return [child for child in children if is_server(child.cmdline())]

    def ask(self, **fields: Any) -> dict[str, Any]:
        body = {"question": RELIGION, "culture": "DE", "method": "adapter"} | fields
        reply = httpx.post(f"{self.url}/answer", json=body, timeout=60.0)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def activate(self, version: str) -> httpx.Response | None:
        """Return the reply, None where the service died over it."""
        try:
            return httpx.post(
                f"{self.url}/v1/adapters/{version}/activate",
                json={"cultures": ["DE"]},
                headers={"X-API-Key": ADMIN_KEY},
                timeout=120.0,
            )
        except httpx.TransportError:
            return None

    def whole_version(self) -> str:
        """Return the version that answers, after a check that the answer is that version's."""
        deadline = time.monotonic() + COMES_BACK_WITHIN_S
        while True:
            reply = httpx.post(
                f"{self.url}/answer",
                json={"question": RELIGION, "culture": "DE", "method": "adapter"},
                timeout=60.0,
            )
            if reply.status_code == 200:
                break
            assert reply.status_code in (503, 504), reply.text
            assert time.monotonic() < deadline, reply.text
            time.sleep(0.5)
        answer = reply.json()
        assert answer["method"] == "adapter", answer["fallbacks"]
        named: str = answer["adapter"]
        near = [v for v, shares in self.shares.items() if near_to(_shares(answer), shares)]
        assert near == [named]
        assert AdapterRegistry(self.settings.adapters_folder).active() == {"DEU": named}
        return named


def is_server(cmdline: list[str]) -> bool:
    return "--served-model-name" in cmdline and not any("supervisor.py" in w for w in cmdline)


def near_to(one: list[float], other: list[float]) -> bool:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2.0 < TOLERANCE


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def _shares(answer: dict[str, Any]) -> list[float]:
    return [option["share"] for option in answer["shares"]]


@pytest.mark.usefixtures("vllm_model_dir")
def test_whatever_dies_in_a_swap_one_whole_version_answers(
    cache_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(cache_folder=cache_folder, data_folder=tmp_path)
    versions = [add_adapter(settings, "deu", ["DEU"], seed=seed) for seed in (1, 5, 6)]
    service = Service(settings)
    with service.running():
        for version in versions:
            service.shares[version] = _shares(service.ask(adapter=version))
        pairs = itertools.combinations(service.shares.values(), 2)
        assert not any(near_to(*pair) for pair in pairs)
        first = service.activate(versions[0])
        assert first is not None
        assert first.status_code == 200, first.text
        assert service.whole_version() == versions[0]

        # vLLM is killed while the next version is being loaded.
        swap = threading.Thread(target=service.activate, args=(versions[1],))
        swap.start()
        for process in service.vllm_processes():
            process.kill()
        swap.join()
        serving = service.whole_version()
        assert serving in versions[:2]

        # The files of the version to come are gone: it is refused, and nothing changes.
        shutil.move(settings.adapters_folder / versions[2], tmp_path / "away")
        gone = service.activate(versions[2])
        assert gone is not None
        assert gone.status_code == 404, gone.text
        assert service.whole_version() == serving
        shutil.move(tmp_path / "away", settings.adapters_folder / versions[2])

        # The service itself is killed while it swaps.
        swap = threading.Thread(target=service.activate, args=(versions[2],))
        swap.start()
        assert service.process is not None
        service.process.kill()
        swap.join()
    with service.running():
        assert service.whole_version() in (serving, versions[2])
        last = service.activate(versions[1])
        assert last is not None
        assert last.status_code == 200, last.text
        assert service.whole_version() == versions[1]
