"""Whether anything acknowledged is lost or doubled when the service is killed: `kill -9`, often.

    python -m benchmarks.restarts [--store postgres]

Starts the real vLLM with the embedded model, and on it the service as a process of its own with an
experiment of four arms: plain, icl, adapter, and both. Clients ask as 2,000 users, chat, and give
feedback on half of the answers; at random moments the service is killed and started again, and
once the arms get other weights. Clients that were cut off ask again. What they got whole, they
write down; at the end it is looked up in the store. An answer that came with the warning that it
is not recorded yet was not promised, and is counted by itself. The exit status is 1 where a
promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.logs import configure_logging
from app.model_files import prepare_model_files
from app.settings import EMBEDDED_MODEL, Settings
from app.state.adapters import load_adapter_base
from app.state.event_store import make_unit_hasher, open_event_store
from app.state.retrieval import read_library
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from benchmarks.restart_checks import Checked, checked
from benchmarks.restart_clients import CULTURES, METRIC, Clients
from benchmarks.service_process import ServiceProcess
from survey_data.cultures import read_catalogue
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.app.service import counted
from tests.experiments.postgres_server import postgres_server

EXPERIMENT = "restarts"
PACK = "wvs7"
# So few that vLLM finds most prompts in its prefix cache: its speed is not what is measured.
N_QUESTIONS = 24
ADMIN_KEY = "of-the-benchmark"
UNIT_SECRET = "of-the-benchmark-alone"
DEFINITION: dict[str, Any] = {
    "name": EXPERIMENT,
    "hypothesis": "Nothing is lost.",
    "primary": {
        "metric": METRIC,
        "kind": "proportion",
        "direction": "higher",
        "smallest_effect": 0.05,
    },
    "arms": {name: {"method": name} for name in ("plain", "icl", "adapter", "adapter+icl")},
    "control": "plain",
}
LATER_WEIGHTS = {"plain": 0.1, "icl": 0.2, "adapter": 0.3, "adapter+icl": 0.4}
# What a service counts and forgets when it ends.
COUNTED = tuple(
    f"milieu_{what}_{became}"
    for what in ("exposures", "assignments")
    for became in ("late_total", "queued", "dropped_total")
)
# A kill comes within this after its moment, so that it falls anywhere in an answer.
MOMENT_S = 0.3
out = Console()


class Upstream(NamedTuple):
    """A vLLM with room for adapters of the model in `model_path`, served as the embedded one is."""

    url: str
    api_key: str
    model_path: Path


@dataclass(frozen=True)
class Load:
    """How much is asked, by how many, and how often the service is killed meanwhile.

    `wait_s` is the bound of the store, longer than by default: here service, vLLM and clients share
    a machine, and one that is busy is no slow store.
    """

    n_requests: int = 20_000
    n_units: int = 2_000
    n_kills: int = 6
    n_clients: int = 32
    wait_s: float = 1.0
    seed: int = 1


@dataclass
class Seen:
    """What came of a run.

    Attributes:
        down_s: from each kill until the service could answer again.
        counted: what the services said of themselves, last before each kill and at the end.
    """

    took_s: float = 0.0
    n_cut_off: int = 0
    down_s: list[float] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    checked: Checked = field(default_factory=Checked)


def main() -> None:
    """Run the benchmark, print its table, and exit 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=Load.n_requests)
    parser.add_argument("--units", type=int, default=Load.n_units)
    parser.add_argument("--kills", type=int, default=Load.n_kills)
    parser.add_argument("--clients", type=int, default=Load.n_clients)
    parser.add_argument("--wait-s", type=float, default=Load.wait_s, help="the store's bound")
    parser.add_argument("--seed", type=int, default=Load.seed)
    parser.add_argument(
        "--store",
        default="sqlite",
        help="sqlite; postgres, started for the run; or the URL of an empty PostgreSQL database",
    )
    args = parser.parse_args()
    configure_logging(level="WARNING", as_json=False)
    load = Load(args.requests, args.units, args.kills, args.clients, args.wait_s, args.seed)
    with tempfile.TemporaryDirectory() as folder, _store(args.store) as store:
        seen = asyncio.run(_run_on_own_vllm(Path(folder), load, store))
    show(seen, load, args.store)
    sys.exit(1 if seen.checked.broken else 0)


async def _run_on_own_vllm(folder: Path, load: Load, store: str) -> Seen:
    settings = Settings()
    of, files = settings.vllm, prepare_model_files(settings)
    assert files.folder is not None  # it is the embedded model
    options = LocalVllmOptions(
        files.folder,
        EMBEDDED_MODEL,
        folder / "vllm.log",
        max_model_len=of.max_model_len,
        dtype=files.dtype,
        lora=LoraOptions(of.max_loras, of.max_lora_rank, of.max_cpu_loras),
    )
    async with LocalVllm(options) as vllm:
        upstream = Upstream(vllm.url, vllm.api_key, files.folder)
        fields = service_fields(upstream, folder, store=store, wait_s=load.wait_s)
        return await run(fields, folder, load)


def service_fields(
    vllm: Upstream,
    folder: Path,
    *,
    store: str = "",
    wait_s: float,
    cache_folder: Path | None = None,
) -> dict[str, Any]:
    """Return the settings of the service, which keeps in `folder` what it keeps.

    `store` and `wait_s` are those of `ExperimentSettings`.
    """
    fields: dict[str, Any] = {
        "data_folder": str(folder),
        "admin_keys": ADMIN_KEY,
        "log_level": "WARNING",
        "packs": PACK,
        "vllm": {
            "urls": vllm.url,
            "model": EMBEDDED_MODEL,
            "api_key": vllm.api_key,
            "lora": True,
            "model_path": str(vllm.model_path),
        },
        # Random weights give most of the probability to words that are no option.
        "answer": {"min_label_mass": 0.0},
        "experiments": {"store": store, "unit_secret": UNIT_SECRET, "wait_s": wait_s},
    }
    return fields if cache_folder is None else fields | {"cache_folder": str(cache_folder)}


async def run(fields: dict[str, Any], folder: Path, load: Load) -> Seen:
    """Ask, kill and check; return what came of it."""
    settings = Settings(**fields)
    version, seen = _add_adapter(settings), Seen()
    library = read_library(settings, read_catalogue())
    questions = [question.text for question in library.questions.values()][:N_QUESTIONS]
    connector = aiohttp.TCPConnector(limit=0)
    started = time.perf_counter()
    async with (
        ServiceProcess(fields, folder / "service.log") as service,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        admin = Admin(session, service.url)
        await admin.call("POST", f"/v1/adapters/{version}/activate", cultures=CULTURES)
        await admin.call("POST", "/v1/experiments", **DEFINITION)
        await admin.call("POST", f"/v1/experiments/{EXPERIMENT}/start", allow_unsent=True)
        clients = Clients(
            session,
            service.url,
            model=settings.model,
            questions=questions,
            n_units=load.n_units,
            seed=load.seed,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(_upset(service, admin, clients, load, seen))
            group.create_task(clients.run(load.n_requests, n_clients=load.n_clients))
        seen.counted += await admin.counts()
    seen.took_s, seen.n_cut_off = time.perf_counter() - started, clients.noted.n_cut_off
    async with await open_event_store(settings) as store:
        seen.checked = await checked(store, make_unit_hasher(settings), clients.noted, EXPERIMENT)
    return seen


async def _upset(
    service: ServiceProcess, admin: Admin, clients: Clients, load: Load, seen: Seen
) -> None:
    """Kill the service at random moments, and change the weights after half of the answers."""
    draw, n = random.Random(load.seed), load.n_requests
    kills = draw.sample(range(n // 20, n - n // 20), load.n_kills)
    for moment in sorted([*kills, n // 2]):
        await clients.until(moment)
        if moment == n // 2 and moment not in kills:
            changed = DEFINITION | {"weights": LATER_WEIGHTS}
            await admin.call("PUT", f"/v1/experiments/{EXPERIMENT}", **changed)
            continue
        await asyncio.sleep(draw.random() * MOMENT_S)
        seen.counted += await admin.counts()
        killed = time.perf_counter()
        await service.kill()
        await service.start()
        seen.down_s.append(time.perf_counter() - killed)


class Admin:
    """Who may define experiments, and read what the service counts."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._headers = {"Authorization": f"Bearer {ADMIN_KEY}"}

    async def call(self, method: str, path: str, **body: Any) -> None:
        """Call an admin route.

        Raises:
            RuntimeError: it is refused.
        """
        async with self._session.request(
            method, self._url + path, json=body, headers=self._headers
        ) as reply:
            if not reply.ok:
                raise RuntimeError(f"{method} {path}: {reply.status} {await reply.text()}")

    async def counts(self) -> Counter[str]:
        """Return what the service has counted since its start."""
        async with self._session.get(f"{self._url}/metrics", headers=self._headers) as reply:
            text = await reply.text()
        return Counter({name: int(counted(text, name)) for name in COUNTED})


def _add_adapter(settings: Settings) -> str:
    """Add an adapter of random weights to the registry of the settings; return its name."""
    base = load_adapter_base(prepare_model_files(settings), settings.model)
    config = lora_config(base_model_name_or_path=settings.model)
    source = write_lora(settings.data_folder / "source", lora_tensors(base), config)
    manifest = AdapterRegistry(settings.adapters_folder).add(
        source,
        base=base,
        max_rank=settings.vllm.max_lora_rank,
        name="random",
        cultures=[culture.code for culture in map(read_catalogue().resolve, CULTURES)],
        about=AdapterFacts(method="random weights", licence="CC0-1.0"),
    )
    return manifest.version_name


@contextmanager
def _store(named: str) -> Iterator[str]:
    """Yield the store as the settings have it, a server of its own for `postgres`."""
    if named == "postgres":
        with postgres_server() as server:
            yield server.dsn
    else:
        yield "" if named == "sqlite" else named


def show(seen: Seen, load: Load, store: str) -> None:
    """Print what was counted, and what is broken."""
    out.print(
        f"{load.n_requests:,} requests of {load.n_clients} clients over {load.n_kills} kills, "
        f"store {store.partition(':')[0]}, bound {load.wait_s:g} s: {seen.took_s:.0f} s"
    )
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows = {"requests cut off and sent again": seen.n_cut_off} | seen.checked.counts
    rows |= {name: seen.counted[name] for name in COUNTED}
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    out.print(table)
    down = ", ".join(f"{taken:.1f}" for taken in seen.down_s)
    out.print(f"seconds from a kill until the service could answer again: {down or 'none'}")
    for line in seen.checked.broken[:10]:
        out.print(f"broken: {line}", soft_wrap=True)
    n_broken = len(seen.checked.broken)
    said = f"{n_broken} promises broken" if n_broken else "nothing acknowledged is lost or doubled"
    out.print(said)


if __name__ == "__main__":
    main()
