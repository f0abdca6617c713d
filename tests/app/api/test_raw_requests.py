"""A request that is damaged in its bytes is answered or refused: no fault and no hang."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.api.raw_requests import SOUND, damage, find_fault, send, send_sound
from tests.app.experiments import experiment_settings
from tests.app.service import served
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer

N_REQUESTS = 150


@pytest.fixture
def service_url(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> Iterator[str]:
    """A service with adapters, experiments and an admin key."""
    settings = experiment_settings(fake_server.url, cache_folder, tmp_path / "data")
    with served(settings) as url:
        yield url


def check_damaged(
    seeds: range, url: str, caplog: pytest.LogCaptureFixture
) -> dict[int | None, int]:
    """Send what these seeds make; return how often each status was the reply."""
    found: dict[int | None, int] = {}
    faults = []
    for seed in seeds:
        request = damage(seed)
        try:
            reply = send(request, url)
        except TimeoutError:
            faults.append(f"seed {seed}: no reply in time to {request.write()[:300]!r}")
            continue
        found[reply.status] = found.get(reply.status, 0) + 1
        if fault := find_fault(request, reply):
            faults.append(f"seed {seed}: {fault}, to {request.write()[:300]!r}")
    faults += [
        f"in the log: {record.getMessage()} {record.exc_info[1]!r}"
        for record in caplog.records
        if record.exc_info and record.levelno >= logging.ERROR
    ]
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])
    assert httpx.get(f"{url}/livez").status_code == 200
    return found


def test_sound_requests_reach_what_they_ask_for(service_url: str) -> None:
    statuses = [send_sound(request, service_url).status for request in SOUND]

    assert set(statuses) <= {200, 201, 303, 403, 404, 409}
    assert statuses.count(200) > len(SOUND) / 2


def test_damaged_requests_find_no_fault(service_url: str, caplog: pytest.LogCaptureFixture) -> None:
    found = check_damaged(range(N_REQUESTS), service_url, caplog)

    assert found.get(200, 0) > 10
    assert found.get(400, 0) + found.get(422, 0) > 10
