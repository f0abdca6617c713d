"""What memory a gateway takes: when it has started, and after chats and answers.

    python -m benchmarks.memory

It is started twice, with the vLLM of `benchmarks.instant_vllm`: the first time it makes the vectors
and fits that are kept, the second time it finds them. Resident (RSS) is all that is in memory of
it; proportional (PSS) counts a shared page by its part, own (USS) not at all: pages of files are
shared with other processes, and given up where memory is short.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from app.state.retrieval import read_library
from benchmarks.fast_client import send_all
from benchmarks.instant_vllm import MODEL
from benchmarks.service_process import ROOT, ServiceProcess, find_free_port
from survey_data.cultures import read_catalogue

CHAT, ANSWER = "/v1/chat/completions", "/answer"
START_S = 30.0
N_CONCURRENT = 10
CULTURES = ("DEU", "NGA", "BRA", "IND")
MIB = 2**20
OWN, WORDS, LIBRARIES, FILES = "own", "the encoder's words", "libraries", "other files"
out = Console()
Body = Mapping[str, object]


class Taken(NamedTuple):
    """What a process takes at a time, in bytes; `resident_by` says of what."""

    when: str
    resident: int
    proportional: int
    own: int
    resident_by: Mapping[str, int]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind")
    _print(asyncio.run(run(parser.parse_args().requests)))


async def run(n_requests: int) -> list[Taken]:
    """Return what the service takes after a first start, after another one, and after requests."""
    with tempfile.TemporaryDirectory() as folder:
        async with _running_vllm() as url:
            fields = {"data_folder": folder, "cache_folder": f"{folder}/cache"}
            service = ServiceProcess(
                {**fields, "vllm": {"urls": url, "model": MODEL}}, Path(folder, "service.log")
            )
            async with service:
                taken = [_look(service.pid, "first start")]
                await service.kill()
                await service.start()
                taken.append(_look(service.pid, "any other start"))
                for kind, path, bodies in _list_requests(n_requests):
                    await send_all(service.url, path, bodies, n_concurrent=N_CONCURRENT)
                    taken.append(_look(service.pid, f"and {n_requests:,} {kind}"))
    return taken


def _list_requests(n: int) -> list[tuple[str, str, Sequence[Body]]]:
    """Return requests of each kind, with their name and path."""
    message = {"role": "user", "content": "How important is it to have a say at work? " * 4}
    chat = {"model": MODEL, "messages": [message], "max_tokens": 64}
    library = read_library(Settings(), read_catalogue())
    pairs = itertools.product(library.questions.values(), CULTURES)
    known = [
        {"question": question.text, "culture": code}
        for question, code in pairs
        if library.distribution(question.key, code) is not None
    ]
    answers = [known[i % len(known)] for i in range(n)]
    own = {"options": ["Yes", "Perhaps", "No"]}
    new = [
        {**each, **own, "question": f"{each['question']} ({i})"} for i, each in enumerate(answers)
    ]
    return [
        ("chats", CHAT, [chat] * n),
        ("streamed chats", CHAT, [chat | {"stream": True}] * n),
        ("known questions", ANSWER, answers),
        ("new questions", ANSWER, new),
    ]


@asynccontextmanager
async def _running_vllm() -> AsyncIterator[str]:
    port = find_free_port()
    command = (sys.executable, "-m", "benchmarks.instant_vllm", str(port))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await _wait_until_open(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _wait_until_open(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


def _look(pid: int, when: str) -> Taken:
    process = psutil.Process(pid)
    found, by = process.memory_full_info(), Counter[str]()
    for mapping in process.memory_maps(grouped=True):
        by[_name(mapping.path)] += mapping.rss
    return Taken(when, found.rss, found.pss, found.uss, by)


def _name(path: str) -> str:
    if path.startswith("["):
        return OWN
    if path.endswith("model.safetensors"):
        return WORDS
    return LIBRARIES if ".so" in path else FILES


def _print(taken: Sequence[Taken]) -> None:
    kinds = (OWN, LIBRARIES, WORDS, FILES)
    heads = ("", "RSS", "PSS", "USS", *(f"RSS: {kind}" for kind in kinds))
    table = Table(*heads, title="MiB")
    for each in taken:
        sizes = (each.resident, each.proportional, each.own, *(each.resident_by[k] for k in kinds))
        table.add_row(each.when, *(f"{size / MIB:.0f}" for size in sizes))
    out.print(table)


if __name__ == "__main__":
    main()
