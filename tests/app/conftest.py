"""Fixtures of the service's tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.settings import Settings
from tests.app.experiment_commands import Experiments
from tests.app.service import served, settings_for
from tests.fakes.vllm import FakeVllm, serve

MakeSettings = Callable[..., Settings]


class FakeServer(NamedTuple):
    """A fake vLLM and where it is."""

    vllm: FakeVllm
    url: str


@pytest.fixture(autouse=True)
def log_handlers() -> Iterator[None]:
    """Leave logging as it was: a command sends it to its standard error, which ends with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the question index is built in, once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def fake_server() -> Iterator[FakeServer]:
    vllm = FakeVllm(max_model_len=16384)
    with serve(vllm.app) as url:
        yield FakeServer(vllm, url)


@pytest.fixture
def fake(fake_server: FakeServer) -> Iterator[FakeVllm]:
    """The fake vLLM that all services share, as if it were new."""
    vllm = fake_server.vllm
    _restore(vllm)
    yield vllm
    _restore(vllm)


def _restore(vllm: FakeVllm) -> None:
    vllm.delay_s = vllm.chunk_delay_s = 0.0
    vllm.is_healthy = True
    vllm.n_left = 0
    vllm.received.clear()


@pytest.fixture
def make_settings(fake_server: FakeServer, fake: FakeVllm, cache_folder: Path) -> MakeSettings:
    """Return a function that makes settings for the shared fake, with overrides."""

    def made(**overrides: Any) -> Settings:
        return settings_for(fake_server.url, cache_folder, **overrides)

    return made


@pytest.fixture(scope="session")
def milieu_url(fake_server: FakeServer, cache_folder: Path) -> Iterator[str]:
    """The URL of a service that all tests share."""
    with served(settings_for(fake_server.url, cache_folder)) as url:
        yield url


@pytest.fixture
def client(milieu_url: str, fake: FakeVllm) -> Iterator[httpx.Client]:
    """A client of the shared service, on the shared fake."""
    with httpx.Client(base_url=milieu_url, timeout=30.0) as client:
        yield client


@pytest.fixture
def experiments(tmp_path: Path) -> Experiments:
    """`milieu experiments` on a store of the test's own."""
    return Experiments(tmp_path)


@pytest.fixture
def running(experiments: Experiments) -> Experiments:
    """With the experiment `ways` running."""
    experiments("create", "ways", "--four-arms", "--start", "--allow-unsent")
    return experiments
