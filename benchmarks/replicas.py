"""Adapters on three replicas: swaps under load, kills, and what affinity does for the prefix cache.

    python -m benchmarks.replicas

Starts the real service on three simulated vLLM servers (`tests.fakes.simulator`), each a process of
its own. Clients ask without a pause while one version after another is activated; one replica is
killed (SIGKILL) twice and started again. Every answer is held against what the version that it
names answers. Then cultures and questions are asked as often as Zipf's law says, with caches that
are too small for all of them, by affinity and by the least busy server.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.logs import configure_logging
from app.settings import AnswerSettings, Settings, VllmSettings, read_settings
from benchmarks.served import served
from tests.app.adapters import add_adapter
from tests.fakes.vllm import MODEL
from tests.tiny_llama import tiny_llama

N_REPLICAS, N_CULTURES = 3, 19
CULTURE, CODE = "Germany", "DEU"
QUESTIONS = (
    "How important is religion in your life?",
    "How important is politics in your life?",
    "How much do you trust people whom you meet for the first time?",
    "How proud are you of your country?",
)
OPTIONS = ("A great deal", "Quite a lot", "Not very much", "Not at all")
CONVERGES_WITHIN_S = 3.0
DOWN_S = 2.0
KEY = "benchmark"
# About 4 characters are one token of a real tokenizer, and vLLM's blocks on a GPU are 16 tokens.
BLOCK_CHARACTERS = 64
# Two thirds of what the steered prompts of all cultures take, on each replica.
CACHE_BLOCKS = 1500
out = Console()


class Replica:
    """A simulated vLLM in a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.name = self.url.removeprefix("http://")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and return when it answers."""
        self._launch()
        async with asyncio.timeout(60.0), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{self.url}/health"):
                        return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)

    def _launch(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.simulator", "--port", str(self._port),
             "--block-tokens", str(BLOCK_CHARACTERS), "--cache-blocks", str(CACHE_BLOCKS)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"VLLM_API_KEY": KEY},
        )  # fmt: skip

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    async def cache_counts(self) -> tuple[float, float]:
        """Return how many tokens were looked up in its cache, and how many were there."""
        async with aiohttp.request("GET", f"{self.url}/metrics") as reply:
            text = await reply.text()
        queries, hits = (
            float(re.findall(rf"^vllm:prefix_cache_{what}_total\S* (\S+)$", text, re.MULTILINE)[0])
            for what in ("queries", "hits")
        )
        return queries, hits


@dataclass
class Seen:
    """What the load has seen so far."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Load:
    """Clients of a service at `url`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._expected: dict[tuple[str, str], list[float]] = {}
        self.seen = Seen()

    async def learn(self, versions: Sequence[str]) -> None:
        """Ask each version by name while nothing else runs."""
        for question, version in itertools.product(QUESTIONS, versions):
            reply = await self.ask(question, adapter=version)
            self._expected[question, version] = _shares(reply)
        for question in QUESTIONS:
            if len({str(self._expected[question, version]) for version in versions}) != len(
                versions
            ):
                raise RuntimeError(f"two versions answer '{question}' alike; answers cannot tell")

    async def ask_for_ever(self, first: int) -> None:
        """Ask, and check each answer."""
        for i in itertools.count(first):
            question = QUESTIONS[i % len(QUESTIONS)]
            try:
                reply = await self.ask(question)
            except (aiohttp.ClientError, OSError) as exc:
                self.seen.failed.append(repr(exc))
                continue
            named = reply["adapter"]
            self.seen.answers[named] += 1
            if self._expected.get((question, named)) != _shares(reply):
                self.seen.wrong.append(f"'{question}' named {named}: {_shares(reply)}")

    async def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to a question with options, by the model."""
        body = {"question": question, "options": OPTIONS, "culture": CULTURE}
        body |= {"method": "adapter", "answer_from": "model"} | fields
        async with self._session.post(f"{self._url}/answer", json=body) as reply:
            if reply.status != 200:
                raise aiohttp.ClientPayloadError(f"{reply.status} {(await reply.text())[:300]}")
            found: dict[str, Any] = await reply.json()
            return found

    async def list_cases(self) -> tuple[list[str], list[str]]:
        """Return `N_CULTURES` cultures, and questions that surveys asked."""
        async with self._session.get(f"{self._url}/v1/cultures") as reply:
            cultures = [culture["code"] for culture in (await reply.json())["cultures"]]
        async with self._session.get(f"{self._url}/v1/questions", params=_QUERY) as reply:
            questions = [question["question"] for question in (await reply.json())["questions"]]
        return cultures[:N_CULTURES], questions

    async def activate(self, version: str) -> None:
        """Activate, and return when that is done."""
        path, body = f"/v1/adapters/{version}/activate", {"cultures": [CODE]}
        async with self._session.post(self._url + path, json=body, headers=_ADMIN) as reply:
            if reply.status != 200:
                raise RuntimeError(f"activate {version}: {reply.status} {await reply.text()}")

    async def is_in_step(self, replica: Replica) -> bool:
        """Return whether all that should be live is ready on `replica`."""
        async with self._session.get(f"{self._url}/v1/adapters/status", headers=_ADMIN) as reply:
            status = await reply.json()
        found = next(of for of in status["replicas"] if of["replica"] == replica.name)
        active = [of for of in found["versions"] if of["version_name"] in status["active"].values()]
        return bool(active) and all(of["state"] == "ready" for of in active)


_QUERY = {"limit": "100"}
_ADMIN = {"Authorization": f"Bearer {KEY}"}


def main() -> None:
    """Run the benchmark, print its tables, and exit 1 where a figure is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--answers", type=int, default=10_000, help="at least so many")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--zipf", type=int, default=2_000, help="requests of Zipf traffic")
    args = parser.parse_args()
    configure_logging(level="ERROR", as_json=False)
    sys.exit(asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Do both parts and return the exit status."""
    async with _open_house() as (settings, replicas, load):
        versions = [add_adapter(settings, "random", [CODE], seed=seed) for seed in range(3)]
        await load.learn(versions)
        is_good = await _swap(load, replicas, versions, args)
    table = Table("calls go to", "cached share of prompt tokens", "by replica")
    for name, routes in (("the server of their culture", True), ("the least busy server", False)):
        async with _open_house(routes=routes) as (_, replicas, load):
            shares = await _ask_by_zipf(load, replicas, args)
        table.add_row(name, f"{shares[0]:.1%}", ", ".join(f"{share:.1%}" for share in shares[1:]))
    out.print(table)
    return 0 if is_good else 1


@asynccontextmanager
async def _open_house(
    *, routes: bool = True
) -> AsyncIterator[tuple[Settings, list[Replica], Load]]:
    """Start replicas and a service on them; without `routes` calls go to the least busy."""
    replicas = [Replica() for _ in range(N_REPLICAS)]
    # The service closes a connection that was idle for 5 s.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3.0)
    unrouted = nullcontext() if routes else patch("app.vllm.client.make_route", _find_no_route)
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        with tempfile.TemporaryDirectory() as folder, unrouted:
            settings = _make_settings(Path(folder), replicas)
            async with (
                served(settings) as at,
                aiohttp.ClientSession(connector=connector) as session,
            ):
                yield settings, replicas, Load(session, at.url)
    finally:
        for replica in replicas:
            replica.kill()


def _make_settings(folder: Path, replicas: Sequence[Replica]) -> Settings:
    return read_settings(
        data_folder=folder,
        admin_keys=(SecretStr(KEY),),
        vllm=VllmSettings(
            urls=tuple(replica.url for replica in replicas),
            api_key=SecretStr(KEY),
            model=MODEL,
            model_path=tiny_llama(),
            lora=True,
            max_cpu_loras=4,
        ),
        # The simulator gives little probability to labels.
        answer=AnswerSettings(min_label_mass=0.0),
    )


def _find_no_route(culture: str | None, model: str) -> None:
    return None


async def _swap(
    load: Load, replicas: Sequence[Replica], versions: Sequence[str], args: argparse.Namespace
) -> bool:
    """Swap under load with two kills, print what was seen, and return whether it is good."""
    await load.activate(versions[0])
    asking = [asyncio.create_task(load.ask_for_ever(i)) for i in range(args.clients)]
    started, switched_ms, back_s = time.perf_counter(), list[float](), list[float]()
    killing: asyncio.Task[float] | None = None
    for i in range(args.swaps):
        if i in (args.swaps // 3, 2 * args.swaps // 3):
            if killing is not None:
                back_s.append(await killing)
            killing = asyncio.create_task(_kill_and_start(load, replicas[0]))
        asked = time.perf_counter()
        await load.activate(versions[(i + 1) % len(versions)])
        switched_ms.append((time.perf_counter() - asked) * 1000.0)
        if killing is not None and killing.done():
            back_s.append(killing.result())
            killing = None
        # So that the answers are spread over the swaps.
        n_due = args.answers * (i + 1) // args.swaps
        while sum(load.seen.answers.values()) < n_due:  # noqa: ASYNC110  # it is but a count
            await asyncio.sleep(0.005)
    if killing is not None:
        back_s.append(await killing)
    took_s = time.perf_counter() - started
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    _print_swaps(load.seen, switched_ms, back_s, took_s)
    return not load.seen.failed and not load.seen.wrong and max(back_s) <= CONVERGES_WITHIN_S


async def _kill_and_start(load: Load, replica: Replica) -> float:
    """Kill `replica`, start it again, and return after how many seconds it was in step."""
    replica.kill()
    await asyncio.sleep(DOWN_S)
    await replica.start()
    back = time.perf_counter()
    async with asyncio.timeout(60.0):
        while not await load.is_in_step(replica):  # noqa: ASYNC110  # in other processes
            await asyncio.sleep(0.02)
    return time.perf_counter() - back


async def _ask_by_zipf(
    load: Load, replicas: Sequence[Replica], args: argparse.Namespace
) -> list[float]:
    """Return which share of prompt tokens was cached: on all replicas, and on each."""
    rng = random.Random(19)
    cultures, questions = await load.list_cases()
    asked = [(_draw(rng, cultures), _draw(rng, questions)) for _ in range(args.zipf)]
    left = iter(asked)

    async def ask() -> None:
        for culture, question in left:
            await load.ask(question, culture=culture, method="icl")

    await asyncio.gather(*(ask() for _ in range(args.clients)))
    counts = [await replica.cache_counts() for replica in replicas]
    total = [sum(column) for column in zip(*counts, strict=True)]
    return [hits / max(1.0, queries) for queries, hits in ((total[0], total[1]), *counts)]


def _draw(rng: random.Random, values: Sequence[str]) -> str:
    """Return one of `values`, the n-th with a probability in proportion to 1/n."""
    weights = [1.0 / rank for rank in range(1, len(values) + 1)]
    return rng.choices(values, weights)[0]


def _shares(reply: dict[str, Any]) -> list[float]:
    return [option["share"] for option in reply["shares"]]


def _print_swaps(
    seen: Seen, switched_ms: Sequence[float], back_s: Sequence[float], took_s: float
) -> None:
    n_answers = sum(seen.answers.values())
    table = Table("", "figure", title=f"{len(switched_ms)} swaps in {took_s:.0f} s")
    cuts = statistics.quantiles(switched_ms, n=100, method="inclusive")
    for name, value in (
        ("answers", f"{n_answers} by {len(seen.answers)} versions"),
        ("failed", str(len(seen.failed))),
        ("by another version than named", str(len(seen.wrong))),
        (
            "activate, until it is switched",
            f"p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f}, most {max(switched_ms):.0f}",
        ),
        ("killed replica in step after it is back", ", ".join(f"{s:.2f} s" for s in back_s)),
    ):
        table.add_row(name, value)
    out.print(table)
    for line in (*seen.failed[:5], *seen.wrong[:5]):
        out.print(line, soft_wrap=True)


if __name__ == "__main__":
    main()
