"""Adapters swapped under load: blue/green, on the real vLLM, with every answer checked.

    python -m benchmarks.hot_swap

Starts the real service on the embedded model with some random adapters for one culture, and asks it
without a pause: streamed chats, and questions, half of which are read over four option orders so
that they take four calls. Meanwhile one version after another is activated by the admin route. An
answer counts as mixed where its shares are not those of the version that it names, or are near to
another's.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from adapters.base_model import AdapterBase
from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.logs import configure_logging
from app.model_files import prepare_model_files
from app.settings import EMBEDDED_MODEL, AnswerSettings, Settings, read_settings
from app.state.adapters import load_adapter_base
from benchmarks.served import served
from tests.adapters.loras import lora_config, lora_tensors, write_lora

CULTURE, CODE = "Germany", "DEU"
QUESTIONS = (
    "How important is religion in your life?",
    "How important is politics in your life?",
    "How much do you trust people whom you meet for the first time?",
    "How proud are you of your country?",
)
OPTIONS = ("A great deal", "Quite a lot", "Not very much", "Not at all")
# An answer of one call, and one of four, which could be by several versions.
ORDERS = (1, 4)
# vLLM moves an answer by about 0.06 nat with what else is in a batch. One call of four by another
# version moves it by a quarter of what lies between the two.
TOLERANCE, APART = 0.04, 0.2
# Random weights whose answers over four orders lie 0.35 apart or more on the embedded model: the
# best three of twelve seeds at this scale of `lora_B`. At half of it no three lie 0.3 apart.
SEEDS, SCALE = (2, 9, 12), 8.0
ADMIN_KEY = "benchmark"
out = Console()


@dataclass
class Seen:
    """What the load has seen so far.

    `waited_for` is the version of the swap under way, and `arrived` is set by its first answer.
    """

    answers: Counter[str] = field(default_factory=Counter)
    n_calls: int = 0
    n_streams: int = 0
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    waited_for: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Load:
    """Clients that ask without a pause."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._expected: dict[tuple[str, int, str], Sequence[float]] = {}
        self.seen = Seen()

    async def learn(self, versions: Sequence[str]) -> float:
        """Ask each version by name while nothing else runs; return how far apart they lie."""
        for question, orders, version in itertools.product(QUESTIONS, ORDERS, versions):
            reply = await self._ask(question, orders, adapter=version)
            self._expected[question, orders, version] = _shares(reply)
        return min(
            _distance(self._expected[question, orders, a], self._expected[question, orders, b])
            for question, orders in itertools.product(QUESTIONS, ORDERS)
            for a, b in itertools.combinations(versions, 2)
        )

    async def ask_for_ever(self, first: int) -> None:
        """Ask, and check each answer."""
        cases = list(itertools.product(QUESTIONS, ORDERS))
        for i in itertools.count(first):
            question, orders = cases[i % len(cases)]
            try:
                reply = await self._ask(question, orders)
            except (aiohttp.ClientError, OSError) as exc:
                self.seen.failed.append(f"answer: {exc!r}")
                continue
            self.seen.n_calls += orders
            self._check(question, orders, reply)

    async def stream_for_ever(self, number: int) -> None:
        """Stream chats, and see that each comes to its end."""
        body = {
            "model": EMBEDDED_MODEL,
            "messages": [{"role": "user", "content": f"Tell me of your neighbours. {number}"}],
            "culture": CULTURE,
            "method": "adapter",
            "stream": True,
            "max_tokens": 32,
        }
        while True:
            try:
                async with self._session.post(
                    f"{self._url}/v1/chat/completions", json=body
                ) as reply:
                    text = await reply.text()
            except (aiohttp.ClientError, OSError) as exc:
                self.seen.failed.append(f"stream: {exc!r}")
                continue
            self.seen.n_streams += 1
            whole = text.endswith("data: [DONE]\n\n") and '"error"' not in text
            if reply.status != 200 or not whole or '"method": "adapter"' not in text:
                self.seen.failed.append(f"stream: {reply.status} {text[-200:]}")

    async def _ask(self, question: str, orders: int, adapter: str = "auto") -> dict[str, Any]:
        body = {
            "question": question,
            "options": OPTIONS,
            "orders": orders,
            "culture": CULTURE,
            "method": "adapter",
            "adapter": adapter,
            "answer_from": "model",
        }
        async with self._session.post(f"{self._url}/answer", json=body) as reply:
            reply.raise_for_status()
            found: dict[str, Any] = await reply.json()
            return found

    def _check(self, question: str, orders: int, reply: dict[str, Any]) -> None:
        seen, named, shares = self.seen, reply["adapter"], _shares(reply)
        if named is None:
            seen.failed.append(f"answer without an adapter: {reply['fallbacks']}")
            return
        near = [
            version
            for (*of, version), expected in self._expected.items()
            if of == [question, orders] and _distance(shares, expected) <= TOLERANCE
        ]
        seen.answers[named] += 1
        if near != [named]:
            seen.mixed.append(f"{question} named {named}, is near to {near or 'none'}: {shares}")
        if named == seen.waited_for:
            seen.arrived.set()


def main() -> None:
    """Run the benchmark, print its table, and exit 1 where an answer was lost or mixed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--clients", type=int, default=6, help="that ask questions")
    parser.add_argument("--streams", type=int, default=2, help="clients that stream chats")
    args = parser.parse_args()
    configure_logging(level="WARNING", as_json=False)
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(
            data_folder=Path(folder),
            admin_keys=(SecretStr(ADMIN_KEY),),
            # Random weights give most of the probability to words that are no option.
            answer=AnswerSettings(min_label_mass=0.0),
        )
        versions = _filled(settings)
        clients = (args.clients, args.streams)
        sys.exit(asyncio.run(run(settings, versions, n_swaps=args.swaps, n_clients=clients)))


async def run(
    settings: Settings, versions: Sequence[str], *, n_swaps: int, n_clients: tuple[int, int]
) -> int:
    """Swap `n_swaps` times under load and print what was seen; return the exit status."""
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        served(settings) as (resources, url),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        load = Load(session, url)
        apart = await load.learn(versions)
        if apart < APART:
            out.print(f"versions lie {apart:.3f} apart, expected {APART:g}: answers cannot tell")
            return 2
        await _activate(session, url, versions[0])
        asking = [asyncio.create_task(load.ask_for_ever(i)) for i in range(n_clients[0])]
        asking += [asyncio.create_task(load.stream_for_ever(i)) for i in range(n_clients[1])]
        started = time.perf_counter()
        switched_ms, answered_ms = [], []
        for i in range(n_swaps):
            load.seen.waited_for = versions[(i + 1) % len(versions)]
            load.seen.arrived.clear()
            asked = time.perf_counter()
            await _activate(session, url, load.seen.waited_for)
            switched_ms.append((time.perf_counter() - asked) * 1000.0)
            async with asyncio.timeout(60):
                await load.seen.arrived.wait()
            answered_ms.append((time.perf_counter() - asked) * 1000.0)
        took_s = time.perf_counter() - started
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert resources.weights.live is not None  # the embedded model's server takes adapters
        counts = resources.weights.live.counts
    _print(load.seen, switched_ms, answered_ms, took_s)
    out.print(f"versions lie {apart:.2f} apart, an answer is known within {TOLERANCE}")
    out.print(f"loads {counts.n_loads}, unloads {counts.n_unloads}, repairs {counts.n_repairs}")
    for line in (*load.seen.failed[:5], *load.seen.mixed[:5]):
        out.print(line, soft_wrap=True)
    return 1 if load.seen.failed or load.seen.mixed else 0


def _filled(settings: Settings) -> list[str]:
    """Add random adapters to the registry of the settings; return their names."""
    registry = AdapterRegistry(settings.adapters_folder)
    base = load_adapter_base(prepare_model_files(settings), settings.model)
    return [_added(registry, base, settings, seed=seed) for seed in SEEDS]


def _added(registry: AdapterRegistry, base: AdapterBase, settings: Settings, *, seed: int) -> str:
    source = settings.data_folder / f"source-{seed}"
    tensors = lora_tensors(base, seed=seed)
    scaled = {k: v * np.float32(SCALE) if "lora_B" in k else v for k, v in tensors.items()}
    write_lora(source, scaled, lora_config(base_model_name_or_path=settings.model))
    manifest = registry.add(
        source,
        base=base,
        max_rank=settings.vllm.max_lora_rank,
        name="random",
        cultures=[CODE],
        about=AdapterFacts(method="random weights", licence="CC0-1.0"),
    )
    return manifest.version_name


async def _activate(session: aiohttp.ClientSession, url: str, version: str) -> None:
    async with session.post(
        f"{url}/v1/adapters/{version}/activate",
        json={"cultures": [CODE]},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
    ) as reply:
        if reply.status != 200:
            raise RuntimeError(f"activate {version}: {reply.status} {await reply.text()}")


def _shares(reply: dict[str, Any]) -> tuple[float, ...]:
    return tuple(option["share"] for option in reply["shares"])


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the total variation distance."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2.0


def _print(
    seen: Seen, switched_ms: Sequence[float], answered_ms: Sequence[float], took_s: float
) -> None:
    n_answers = sum(seen.answers.values())
    table = Table("", "p50 ms", "p99 ms", title=f"{len(switched_ms)} swaps in {took_s:.0f} s")
    for name, taken in (
        ("activate, until it is switched", switched_ms),
        ("activate, until the first answer", answered_ms),
    ):
        cuts = statistics.quantiles(taken, n=100, method="inclusive")
        table.add_row(name, f"{cuts[49]:.0f}", f"{cuts[98]:.0f}")
    out.print(table)
    out.print(
        f"{n_answers} answers ({seen.n_calls} calls) by {len(seen.answers)} versions and "
        f"{seen.n_streams} streams: {len(seen.failed)} failed, {len(seen.mixed)} mixed"
    )


if __name__ == "__main__":
    main()
