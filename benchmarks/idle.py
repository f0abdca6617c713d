"""What a service costs that nobody asks: processor time of its processes while it is idle.

    python -m benchmarks.idle

Starts `milieu serve` with the embedded model on a free port, asks it once, lets it settle, and then
adds up what each of its processes uses.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.service_process import ServiceProcess

# What a service may use of one core, in percent.
MOST_PERCENT = 1.0
GATEWAY, SUPERVISOR, VLLM = "gateway", "supervisor", "vLLM"
out = Console()


def main() -> None:
    """Run the benchmark, print its table, and exit 1 where the service uses too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="to measure")
    parser.add_argument("--settle", type=float, default=20.0, help="seconds before that")
    args = parser.parse_args()
    used = asyncio.run(run(seconds=args.seconds, settle=args.settle))
    sys.exit(0 if sum(used.values()) <= MOST_PERCENT * args.seconds / 100.0 else 1)


async def run(*, seconds: float, settle: float) -> dict[str, float]:
    """Start the service, leave it alone, and return the CPU seconds of each kind of process."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "service.log")
        async with ServiceProcess({"data_folder": folder}, log) as service:
            await _ask(service.url)
            await asyncio.sleep(settle)
            before = cpu_seconds(service.pid)
            await asyncio.sleep(seconds)
            after = cpu_seconds(service.pid)
    used = {name: after[name] - before[name] for name in (GATEWAY, SUPERVISOR, VLLM)}
    _print(used, seconds)
    return used


def cpu_seconds(pid: int) -> dict[str, float]:
    """Return the CPU seconds so far of the service with this `pid`, its supervisor and its vLLM."""
    service = psutil.Process(pid)
    used = defaultdict(float, {GATEWAY: _cpu_s(service)})
    for process in service.children(recursive=True):
        is_supervisor = any(part.endswith("supervisor.py") for part in process.cmdline())
        used[SUPERVISOR if is_supervisor else VLLM] += _cpu_s(process)
    return used


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _ask(url: str) -> None:
    query = {"culture": "DE", "question": "How important is religion in your life?"}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/answer", params=query) as it:
        it.raise_for_status()


def _print(used: dict[str, float], seconds: float) -> None:
    table = Table("", "CPU s", "% of a core", title=f"{seconds:g} s without a request")
    for name, used_s in used.items():
        table.add_row(name, f"{used_s:.2f}", f"{used_s / seconds * 100.0:.2f}")
    total = sum(used.values())
    table.add_row("all", f"{total:.2f}", f"{total / seconds * 100.0:.2f}", style="bold")
    out.print(table)


if __name__ == "__main__":
    main()
