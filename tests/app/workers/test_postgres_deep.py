"""Two workers on one PostgreSQL are one service; its quick sibling is `test_gateways.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.databases import new_database
from tests.app.experiments_by_http import ADMIN, DEFINITION, KEY, METHODS, PATH
from tests.app.service import RELIGION
from tests.app.workers.service import serve_with_workers, wait_for
from tests.experiments.postgres_server import PostgresServer
from tests.fakes.vllm import FakeVllm, serve

N_USERS, N_TRIES = 40, 6


@pytest.fixture
async def store(postgres: PostgresServer) -> str:
    return await new_database(postgres)


@pytest.fixture
def url(store: str, cache_folder: Path, tmp_path: Path) -> Iterator[str]:
    """A service of two workers in which an experiment runs."""
    with serve(FakeVllm(max_model_len=16384).app) as vllm:
        variables = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_PACKS": "wvs7",
            "MILIEU_VLLM__URLS": vllm,
            "MILIEU_VLLM__MODEL": "fake",
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "MILIEU_ADMIN_KEYS": KEY,
            "MILIEU_EXPERIMENTS__STORE": store,
            "MILIEU_EXPERIMENTS__UNIT_SECRET": "of-the-tests-alone",
            "MILIEU_EXPERIMENTS__WAIT_S": "20",
        }
        with serve_with_workers(tmp_path, variables) as served:
            call("POST", served.url, "/v1/experiments", **DEFINITION)
            call("POST", served.url, f"{PATH}/start", allow_unsent=True)
            # Nobody's answer says which worker gave it.
            wait_for(lambda: all(decides(served.url) for _ in range(12)))
            yield served.url


def call(method: str, url: str, path: str, **body: Any) -> dict[str, Any]:
    """Call the service on a connection of its own, which either worker may take."""
    reply = httpx.request(method, url + path, json=body or None, headers=ADMIN, timeout=30.0)
    assert reply.is_success, reply.text
    said: dict[str, Any] = reply.json()
    return said


def ask(url: str, user: str) -> dict[str, Any]:
    return call("POST", url, "/answer", question=RELIGION, culture="DE", user=user)


def decides(url: str) -> bool:
    return ask(url, "")["experiment"] is not None


@pytest.mark.deep
def test_both_workers_have_the_same_arms_and_one_report(url: str) -> None:
    arms, said = defaultdict(set), []
    for _ in range(N_TRIES):
        for i in range(N_USERS):
            said.append(ask(url, f"u{i}"))
            arms[f"u{i}"].add(said[-1]["experiment"]["arm"])
    for answer in said[:N_USERS]:
        call("POST", url, "/v1/feedback", answer_id=answer["id"], metric="helpful", value=True)
    # While it runs, a report says for how long.
    call("POST", url, f"{PATH}/stop")
    reports = [call("GET", url, f"{PATH}/report") for _ in range(2 * N_TRIES)]

    assert {len(of_user) for of_user in arms.values()} == {1}
    assert {arm for of_user in arms.values() for arm in of_user} == set(METHODS)
    for report in reports:
        del report["at_ms"]
    assert all(report == reports[0] for report in reports)
    users = sum(arm["n_units"] - arm["n_requests"] for arm in reports[0]["arms"])
    assert users == N_USERS
    assert sum(arm["n_answers"] for arm in reports[0]["arms"]) >= len(said)
