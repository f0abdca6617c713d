"""How fast a running service streams chats: the first piece of text, tokens a second, memory.

    python -m benchmarks.chats --dtypes float32 bfloat16 --threads 1 2

Starts `milieu serve` on the embedded model for each precision and number of threads, and asks it
one chat at a time: some that name no people, and some about Germany, each of those twice. The
second time, vLLM remembers the prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from app.settings import EMBEDDED_MODEL
from benchmarks.service_process import ServiceProcess

CHATS = (
    "Explain in detail how a bicycle works.",
    "Write a short story about a lighthouse.",
    "What are the planets of the solar system? Describe each.",
)
STEERED = (
    "How important is religion to you?",
    "Should women work?",
    "How much do you trust your neighbours?",
)
MAX_TOKENS = 128
out = Console()


class Streamed(NamedTuple):
    """One chat: seconds until its first text and until its end, and tokens."""

    first_s: float
    took_s: float
    n_prompt: int
    n_written: int

    @property
    def per_s(self) -> float:
        """Tokens a second after the first."""
        return (self.n_written - 1) / (self.took_s - self.first_s)


def main() -> None:
    """Measure each combination, and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--chats", type=int, default=len(CHATS), help="of each kind")
    args = parser.parse_args()
    for dtype, n_threads in itertools.product(args.dtypes, args.threads):
        asyncio.run(measure(dtype, n_threads, n_chats=args.chats))


async def measure(dtype: str, n_threads: int, *, n_chats: int) -> None:
    """Start a service, stream chats from it, and print what they took."""
    with tempfile.TemporaryDirectory() as folder:
        fields = {
            "data_folder": folder,
            "vllm": {"dtype": dtype, "n_threads": n_threads},
        }
        service = ServiceProcess(fields, Path(folder) / "log")
        async with service, aiohttp.ClientSession() as session:
            await stream(session, service.url, "Hello")  # the first of all takes longer
            plain = [await stream(session, service.url, text) for text in CHATS[:n_chats]]
            new = [await stream(session, service.url, text, "DE") for text in STEERED[:n_chats]]
            again = [await stream(session, service.url, text, "DE") for text in STEERED[:n_chats]]
            memory_gib = _measure_memory_gib(service.pid)
    table = Table("", "prompt tokens", "first text s", "tokens/s", title=f"{dtype}, {n_threads}")
    for name, streamed in (("no people", plain), ("Germany", new), ("Germany again", again)):
        table.add_row(
            name,
            _write_range([chat.n_prompt for chat in streamed], ".0f"),
            _write_range([chat.first_s for chat in streamed], ".2f"),
            _write_range([chat.per_s for chat in streamed], ".1f"),
        )
    out.print(table)
    out.print(f"gateway and vLLM hold {memory_gib:.2f} GiB")


async def stream(
    session: aiohttp.ClientSession, url: str, text: str, culture: str | None = None
) -> Streamed:
    """Stream one chat, with `culture` if one is named."""
    body = {
        "model": EMBEDDED_MODEL,
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": MAX_TOKENS,
    }
    if culture is not None:
        body["culture"] = culture
    usage: dict[str, int] = {}
    first_s = None
    started = time.perf_counter()
    async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
        reply.raise_for_status()
        async for line in reply.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            usage = chunk.get("usage") or usage
            if first_s is None and any(c["delta"].get("content") for c in chunk["choices"]):
                first_s = time.perf_counter() - started
    if first_s is None:
        raise RuntimeError(f"no text in the reply to {text!r}")
    took_s = time.perf_counter() - started
    return Streamed(first_s, took_s, usage["prompt_tokens"], usage["completion_tokens"])


def _measure_memory_gib(pid: int) -> float:
    """Return the proportional set size of a process and its children, in GiB."""
    parent = psutil.Process(pid)
    processes = (parent, *parent.children(recursive=True))
    return sum(process.memory_full_info().pss for process in processes) / 2**30


def _write_range(values: Sequence[float], form: str) -> str:
    low, high = (f"{value:{form}}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
