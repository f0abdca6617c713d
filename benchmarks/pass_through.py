"""What a chat costs that only passes through, and an answer that asks no model.

    python -m benchmarks.pass_through --litellm FOLDER/bin/litellm

The same chats go straight to a vLLM that answers at once, through Milieu without a culture, and
through LiteLLM's proxy, if `--litellm` says where it is. Each is a process of its own, and all take
turns within one run, so that a noisy machine is as noisy for each. Then Milieu is asked questions
by `/answer`. A rate per core counts the CPU time of the proxy alone: it is what a process with a
core for itself would do. LiteLLM is installed outside of Milieu's environment:

    python -m venv FOLDER && FOLDER/bin/pip install 'litellm[proxy]==1.80.0'
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from app.state.retrieval import read_library
from benchmarks.fast_client import Load, send_all
from benchmarks.instant_vllm import MODEL
from benchmarks.service_process import ROOT, ServiceProcess, find_free_port
from survey_data.cultures import read_catalogue

CHAT, ANSWER = "/v1/chat/completions", "/answer"
START_S = 120.0
MESSAGES = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "How important is it to people to have a say at work? " * 4},
]
CULTURES = ("DEU", "NGA", "BRA", "IND")
N_QUESTIONS = 64
N_WARM_UP = 100
MIB = 2**20
CACHE = "MILIEU_CACHE_FOLDER"
out = Console()
Body = Mapping[str, object]


@dataclass
class Target:
    """What is asked: where it is, and the process whose CPU time and memory count."""

    name: str
    url: str
    pid: int
    path: str = CHAT
    loads: list[Load] = field(default_factory=list)
    cpu_s: float = 0.0
    rss_bytes: int = 0

    async def warm_up(self, bodies: Sequence[Body], *, n_concurrent: int) -> None:
        """Send the first of `bodies`, and forget what that took."""
        await send_all(self.url, self.path, bodies[:N_WARM_UP], n_concurrent=n_concurrent)

    async def measure(self, bodies: Sequence[Body], *, n_concurrent: int) -> None:
        """Send `bodies` and keep what that took."""
        family = _list_family(self.pid)
        before = sum(_read_cpu_s(process) for process in family)
        self.loads.append(await send_all(self.url, self.path, bodies, n_concurrent=n_concurrent))
        self.cpu_s += sum(_read_cpu_s(process) for process in family) - before
        self.rss_bytes = sum(process.memory_info().rss for process in family)

    @property
    def per_core(self) -> float:
        """Requests per second of CPU time."""
        return sum(len(load.latencies_ms) for load in self.loads) / max(self.cpu_s, 1e-9)

    @property
    def per_second(self) -> float:
        """Requests per second, the median over the rounds."""
        return statistics.median(load.per_second for load in self.loads)

    def quantile(self, percent: int) -> float:
        """Return the latency in milliseconds that `percent` stay under, the median over rounds."""
        return statistics.median(load.quantile(percent) for load in self.loads)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000, help="per row and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chats-at-a-time", type=int, default=10)
    parser.add_argument("--answers-at-a-time", type=int, default=16)
    parser.add_argument("--litellm", type=Path, help="the command of LiteLLM's proxy")
    args = parser.parse_args()
    asyncio.run(run(args))


async def run(args: argparse.Namespace) -> None:
    """Start everything, measure in turns, print."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vllm = await stack.enter_async_context(start_vllm())
        milieu = await stack.enter_async_context(start_milieu(vllm.url, folder))
        proxies = [vllm, milieu]
        if args.litellm is not None:
            starting = _start_litellm(args.litellm, vllm.url, folder)
            proxies.append(await stack.enter_async_context(starting))
        for streams in (False, True):
            targets = [Target(of.name, of.url, of.pid) for of in proxies]
            chats: list[Body] = [_make_chat(streams=streams)] * args.requests
            for target in targets:
                await target.warm_up(chats, n_concurrent=args.chats_at_a_time)
            for _ in range(args.rounds):
                for target in targets:
                    await target.measure(chats, n_concurrent=args.chats_at_a_time)
            _print_chats(targets, args, streams=streams)
        answers = await _measure_answers(milieu, args)
        _print_answers(answers, args)


async def _measure_answers(milieu: Target, args: argparse.Namespace) -> list[Target]:
    seen, new = list_cases(), itertools.count()
    kinds: dict[str, Callable[[Body], Body]] = {
        "seen question": lambda case: case,
        "new question": lambda case: {
            **case,
            "question": f"{case['question']} ({next(new)})",
            "options": ["Yes", "Perhaps", "No"],
        },
    }
    targets = {name: Target(name, milieu.url, milieu.pid, ANSWER) for name in kinds}
    for target in targets.values():
        await target.warm_up(seen, n_concurrent=args.answers_at_a_time)
    for _ in range(args.rounds):
        for name, vary in kinds.items():
            bodies = [vary(seen[i % len(seen)]) for i in range(args.requests)]
            await targets[name].measure(bodies, n_concurrent=args.answers_at_a_time)
    return list(targets.values())


def _make_chat(*, streams: bool) -> Body:
    return {"model": MODEL, "messages": MESSAGES, "max_tokens": 64, "stream": streams}


def list_cases() -> list[dict[str, str]]:
    """Return questions that surveys asked, each with a culture that answered it."""
    library = read_library(Settings(), read_catalogue())
    pairs = itertools.product(library.questions.values(), CULTURES)
    known = [(q, code) for q, code in pairs if library.distribution(q.key, code) is not None]
    chosen = known[:: max(1, len(known) // N_QUESTIONS)][:N_QUESTIONS]
    return [{"question": question.text, "culture": code} for question, code in chosen]


@asynccontextmanager
async def start_vllm() -> AsyncIterator[Target]:
    """Start the vLLM that answers at once."""
    port = find_free_port()
    command = [sys.executable, "-m", "benchmarks.instant_vllm", str(port)]
    async with _running("straight to the mock", command, port, "/health") as target:
        yield target


@asynccontextmanager
async def start_milieu(
    vllm_url: str, folder: Path, settings: Mapping[str, object] | None = None
) -> AsyncIterator[Target]:
    """Start a service in front of it, which keeps in `folder` what it keeps."""
    fields = {
        "data_folder": str(folder),
        "vllm": {"urls": vllm_url, "model": MODEL},
        **({"cache_folder": os.environ[CACHE]} if CACHE in os.environ else {}),
        **(settings or {}),
    }
    async with ServiceProcess(fields, folder / "service.log") as service:
        out.print(f"Milieu was ready {service.ready_after_s:.1f} s after its start")
        yield Target("Milieu", service.url, service.pid)


@asynccontextmanager
async def _start_litellm(command: Path, vllm_url: str, folder: Path) -> AsyncIterator[Target]:
    """Start LiteLLM's proxy with its defaults, but without a log line per request."""
    upstream = {"model": f"openai/{MODEL}", "api_base": f"{vllm_url}/v1", "api_key": "none"}
    config = {"model_list": [{"model_name": MODEL, "litellm_params": upstream}]}
    file, port = folder / "litellm.yaml", find_free_port()
    # JSON is YAML.
    file.write_text(json.dumps(config))
    arguments = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    starting = _running(
        "LiteLLM", [str(command), *arguments, "--num_workers", "1"], port, "/health/liveliness"
    )
    async with starting as target:
        yield target


@asynccontextmanager
async def _running(
    name: str, command: Sequence[str], port: int, health: str
) -> AsyncIterator[Target]:
    """Run `command` while the block does, which begins when the process answers at `health`."""
    kept = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
    process = subprocess.Popen(  # noqa: ASYNC220  # it returns at once
        command, cwd=ROOT, env=kept, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
            while not await _is_up(session, url + health):
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with status {process.returncode}")
                await asyncio.sleep(0.1)
        yield Target(name, url, process.pid)
    finally:
        process.terminate()
        process.wait()


async def _is_up(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as reply:
            return reply.status == 200
    except aiohttp.ClientError:
        return False


def _list_family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _read_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _print_chats(targets: Sequence[Target], args: argparse.Namespace, *, streams: bool) -> None:
    kind = "streamed chats" if streams else "chats"
    table = Table(
        *("", "p50 ms", "p99 ms", "added p50, ms", "requests/s", "per core", "MiB"),
        title=f"{kind}, {args.chats_at_a_time} at a time (median of {args.rounds} rounds)",
    )
    direct = targets[0].quantile(50)
    for of in targets:
        added = of.quantile(50) - direct
        table.add_row(of.name, *_list_figures(of, f"{added:+.2f}"))
    if args.litellm is None:
        table.add_row("LiteLLM", *["not measured: no --litellm"], *[""] * 5)
    out.print(table)
    if args.litellm is not None:
        _, milieu, litellm = targets
        added_by = [of.quantile(50) - direct for of in (milieu, litellm)]
        out.print(
            f"Milieu over LiteLLM: {milieu.per_second / litellm.per_second:.1f} times the "
            f"requests/s, {milieu.per_core / litellm.per_core:.1f} times per core, "
            f"{added_by[0] / added_by[1]:.2f} of its added p50"
        )


def _print_answers(targets: Sequence[Target], args: argparse.Namespace) -> None:
    table = Table(
        *("", "p50 ms", "p99 ms", "requests/s", "per core", "MiB"),
        title=f"/answer without a model, {args.answers_at_a_time} at a time",
    )
    for of in targets:
        table.add_row(of.name, *_list_figures(of))
    out.print(table)


def _list_figures(of: Target, *between: str) -> list[str]:
    first = (f"{of.quantile(50):.2f}", f"{of.quantile(99):.2f}")
    last = (f"{of.per_second:.0f}", f"{of.per_core:.0f}", f"{of.rss_bytes / MIB:.0f}")
    return [*first, *between, *last]


if __name__ == "__main__":
    main()
