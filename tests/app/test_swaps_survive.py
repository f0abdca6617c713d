"""A service, its vLLM or an adapter's files die in the middle of a swap: one whole version answers.

With the service as a process of its own, on a fake vLLM and on the real one.
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
import pytest

from adapters.registry import AdapterRegistry
from app.settings import Settings
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import RELIGION
from tests.fixtures.supervised import Killing, supervise_fake

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY = "of-the-tests"
# vLLM moves an answer a little with what else is in a batch.
TOLERANCE = 0.03
COMES_BACK_WITHIN_S = 240.0


class Service:
    """`milieu serve`, and what is known of its adapters; `env` are its settings of vLLM."""

    def __init__(self, settings: Settings, killing: Killing, **env: str) -> None:
        self.settings, self.killing = settings, killing
        self._env = env
        self.shares: dict[str, list[float]] = {}
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        env = (
            os.environ
            | self._env
            | {
                "MILIEU_CACHE_FOLDER": str(self.settings.cache_folder),
                "MILIEU_DATA_FOLDER": str(self.settings.data_folder),
                "MILIEU_ADMIN_KEYS": ADMIN_KEY,
                # Random weights give most of the probability to words that are no option.
                "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            }
        )
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

    def ask(self, **fields: Any) -> dict[str, Any]:
        body = {
            "question": RELIGION,
            "culture": "DE",
            "method": "adapter",
            "answer_from": "model",
        } | fields
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
                json={
                    "question": RELIGION,
                    "culture": "DE",
                    "method": "adapter",
                    "answer_from": "model",
                },
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


def near_to(one: list[float], other: list[float]) -> bool:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2.0 < TOLERANCE


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def _shares(answer: dict[str, Any]) -> list[float]:
    return [option["share"] for option in answer["shares"]]


def test_whatever_dies_in_a_swap_one_whole_version_answers(
    cache_folder: Path, tmp_path: Path
) -> None:
    killing = Killing("tests.fakes.vllm_process")
    with supervise_fake(tmp_path) as vllm:
        settings = adapter_settings(vllm.url, cache_folder, tmp_path)
        check_swaps(
            Service(
                settings,
                killing,
                MILIEU_VLLM__URLS=vllm.url,
                MILIEU_VLLM__API_KEY=vllm.api_key,
                MILIEU_VLLM__MODEL=settings.model,
                MILIEU_VLLM__LORA="true",
                MILIEU_VLLM__MODEL_PATH=str(settings.vllm.model_path),
                MILIEU_VLLM__MAX_CPU_LORAS=str(settings.vllm.max_cpu_loras),
            )
        )


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("vllm_model_dir")
def test_whatever_dies_in_a_swap_on_the_real_vllm_one_whole_version_answers(
    cache_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(cache_folder=cache_folder, data_folder=tmp_path)
    check_swaps(Service(settings, Killing("api_server")))


def check_swaps(service: Service) -> None:
    settings, away = service.settings, service.settings.data_folder / "away"
    versions = [add_adapter(settings, "deu", ["DEU"], seed=seed) for seed in (1, 5, 6)]
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
        for process in service.killing.processes():
            process.kill()
        swap.join()
        serving = service.whole_version()
        assert serving in versions[:2]

        # The files of the version to come are gone: it is refused, and nothing changes.
        shutil.move(settings.adapters_folder / versions[2], away)
        gone = service.activate(versions[2])
        assert gone is not None
        assert gone.status_code == 404, gone.text
        assert service.whole_version() == serving
        shutil.move(away, settings.adapters_folder / versions[2])

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
