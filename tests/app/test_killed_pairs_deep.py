"""Any two processes of a service with workers are killed at once, under load.

The service has two workers, a fake vLLM as its child and PostgreSQL as its store. What clients were
promised is there afterwards, every user keeps the arm, and nothing hangs or stays behind. The
service comes back by itself; where its parent was killed, it ends, and another one can start.
PostgreSQL is not the service's to start: the test does it, as an operating system would. It syncs:
what is not synced yet is lost with PostgreSQL.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import psutil
import pytest

from app.settings import Settings
from app.state.event_store import make_unit_hasher, open_event_store
from app.state.retrieval import read_library
from benchmarks.restart_checks import checked
from benchmarks.restart_clients import Clients
from benchmarks.service_process import write_variables
from survey_data.cultures import read_catalogue
from tests.app.databases import new_database
from tests.app.experiments_by_http import ADMIN, DEFINITION, KEY, METHODS, NAME, PATH
from tests.app.service import RELIGION, counted
from tests.app.workers.service import Served, find_run_folder, serve_with_workers, wait_for
from tests.experiments.postgres_server import PostgresMissing, PostgresServer, postgres_server
from tests.fakes.vllm_module import write_vllm_module
from tests.tiny_llama import tiny_llama

WORKER, OTHER, PARENT = "worker", "other worker", "parent"
VLLM, SUPERVISOR, POSTGRES = "vllm", "supervisor", "postgres"
VICTIMS = (WORKER, OTHER, PARENT, VLLM, SUPERVISOR, POSTGRES)
N_REQUESTS, N_BEFORE, N_AFTER = 400, 120, 100
N_CLIENTS, N_UNITS, N_QUESTIONS = 12, 40, 24
# Within which vLLM has to answer, and the service whatever becomes of it.
LIMIT_S, HUNG_S = 15.0, 40.0
COMES_BACK_WITHIN_S, ENDS_WITHIN_S = 120.0, 40.0
MARK = "KILLED_PAIR"


class Stage(NamedTuple):
    """What a service is run with; `mark` is in the environment of all of its processes."""

    folder: Path
    fields: Mapping[str, Any]
    variables: Mapping[str, str]
    mark: str

    @property
    def processes(self) -> list[psutil.Process]:
        """Those of the service that run, whoever their parent is now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and is_running(process):
                    found.append(process)
        return found


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other module needs."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as exc:
        pytest.skip(str(exc))


@pytest.fixture
async def stage(own_postgres: PostgresServer, cache_folder: Path, tmp_path: Path) -> Stage:
    fields: dict[str, Any] = {
        "cache_folder": cache_folder,
        "data_folder": tmp_path / "data",
        "packs": "wvs7",
        "admin_keys": KEY,
        "vllm": {
            "model_path": str(tiny_llama()),
            "model": "fake",
            "lora": False,
            "timeout_s": LIMIT_S,
        },
        "answer": {"min_label_mass": 0.0},
        "experiments": {
            "store": await new_database(own_postgres),
            "unit_secret": "of-the-tests-alone",
            "wait_s": 5.0,
            "sync": True,
        },
    }
    mark = str(tmp_path)
    own = {"PYTHONPATH": write_vllm_module(tmp_path / "path"), MARK: mark}
    return Stage(tmp_path, fields, write_variables(fields) | own, mark)


@pytest.mark.deep
@pytest.mark.timeout(400)
@pytest.mark.parametrize("pair", list(itertools.combinations(VICTIMS, 2)), ids=" and ".join)
async def test_two_are_killed_at_once(
    pair: tuple[str, str], stage: Stage, own_postgres: PostgresServer
) -> None:
    run_folders = set()
    async with AsyncExitStack() as stack:
        served = stack.enter_context(serve_with_workers(stage.folder, stage.variables))
        start_experiment(served)
        clients = await stack.enter_async_context(asking(served, stage))
        loading = asyncio.create_task(clients.run(N_REQUESTS, n_clients=N_CLIENTS))
        await clients.until(N_BEFORE)
        run_folders.add(find_run_folder(served))

        victims = [p for name in pair for p in find_victims(name, served, own_postgres)]
        for victim in victims:
            victim.kill()

        killed_s = time.monotonic()
        if POSTGRES in pair:
            await until(lambda: not any(is_running(victim) for victim in victims))
            await asyncio.to_thread(own_postgres.start_killed)
        if PARENT in pair:
            await until(lambda: not stage.processes, within_s=ENDS_WITHIN_S)
            assert not any(folder.exists() for folder in run_folders)
            served = await asyncio.to_thread(stack.enter_context, start_again(served, stage))
            run_folders.add(find_run_folder(served))
        await until(lambda: is_whole(served, pair))
        back_s = time.monotonic() - killed_s
        async with asyncio.timeout(COMES_BACK_WITHIN_S):
            await loading
            # They ask as before: of the same users.
            await clients.run(N_AFTER, n_clients=N_CLIENTS)

    await until(lambda: not stage.processes)
    assert not any(folder.exists() for folder in run_folders)
    await check(clients, stage)
    print(f"{' and '.join(pair)}: whole again after {back_s:.1f} s; {clients.noted.n_cut_off} cut")


@asynccontextmanager
async def asking(served: Served, stage: Stage) -> AsyncIterator[Clients]:
    """Clients of the service at one address, whichever service is there."""
    library = read_library(Settings(**stage.fields), read_catalogue())
    questions = [question.text for question in library.questions.values()][:N_QUESTIONS]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Clients(
            session,
            served.url,
            model="fake",
            questions=questions,
            n_units=N_UNITS,
            seed=1,
            ask_s=HUNG_S,
        )


def is_running(process: psutil.Process) -> bool:
    """Return whether a process has not ended."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def start_experiment(served: Served) -> None:
    """Let an experiment run; return when both workers follow it."""

    def is_followed() -> bool:
        body = {"question": RELIGION, "culture": "DE"}
        asked = [httpx.post(f"{served.url}/answer", json=body, timeout=LIMIT_S) for _ in range(12)]
        return all(each.json()["experiment"] is not None for each in asked)

    for path, body in (("/v1/experiments", DEFINITION), (f"{PATH}/start", {"allow_unsent": True})):
        reply = httpx.post(served.url + path, json=body, headers=ADMIN, timeout=LIMIT_S)
        assert reply.is_success, reply.text
    wait_for(is_followed, within_s=LIMIT_S)


def find_victims(name: str, served: Served, postgres: PostgresServer) -> list[psutil.Process]:
    """Return the processes that are killed together as one of the victims."""
    parent = psutil.Process(served.process.pid)
    [supervisor] = [p for p in parent.children() if any("supervisor.py" in a for a in p.cmdline())]
    workers = [psutil.Process(pid) for pid in sorted(served.workers)]
    found = {
        WORKER: workers[:1],
        OTHER: workers[1:],
        PARENT: [parent],
        VLLM: supervisor.children(),
        SUPERVISOR: [supervisor],
        POSTGRES: postgres.processes if name == POSTGRES else [],
    }[name]
    assert found
    return found


def start_again(served: Served, stage: Stage) -> AbstractContextManager[Served]:
    """Start another service at the address of one that has ended."""
    folder = stage.folder / "again"
    folder.mkdir()
    port = int(served.url.rpartition(":")[2])
    return serve_with_workers(folder, stage.variables, port=port)


def is_whole(served: Served, pair: Sequence[str]) -> bool:
    """Return whether all that was killed has been started anew, and answers."""
    n_killed = 0 if PARENT in pair else len({WORKER, OTHER} & set(pair))
    n_started = served.log.read_text().count("event=service_started")
    if n_started < 2 + n_killed or len(served.workers) != 2:
        return False
    with suppress(httpx.TransportError):
        asked = [httpx.get(f"{served.url}/readyz", timeout=LIMIT_S) for _ in range(6)]
        metrics = httpx.get(f"{served.url}/metrics", headers=ADMIN, timeout=LIMIT_S).text
        was_restarted = counted(metrics, "milieu_vllm_restarts") >= 1.0
        is_expected = PARENT not in pair and bool({VLLM, SUPERVISOR} & set(pair))
        is_ready = all(each.status_code == 200 for each in asked)
        return is_ready and was_restarted == is_expected
    return False


async def check(clients: Clients, stage: Stage) -> None:
    """Look up in the store what clients were promised."""
    settings, noted = Settings(**stage.fields), clients.noted
    async with await open_event_store(settings) as store:
        found = await checked(store, make_unit_hasher(settings), noted, NAME)
    arms = defaultdict(set)
    for given in noted.answers:
        arms[given.user].add(given.arm)

    assert found.broken == []
    assert noted.slowest_s < HUNG_S
    assert found.counts["answers acknowledged"] > (N_REQUESTS + N_AFTER) / 2
    assert found.counts["outcomes acknowledged"] > (N_REQUESTS + N_AFTER) / 5
    assert {len(of_user) for of_user in arms.values()} == {1}
    assert {arm for of_user in arms.values() for arm in of_user} == set(METHODS)


async def until(is_so: Callable[[], bool], *, within_s: float = COMES_BACK_WITHIN_S) -> None:
    """Return when something is so, and let the clients go on meanwhile."""
    await asyncio.to_thread(partial(wait_for, is_so, within_s=within_s))
