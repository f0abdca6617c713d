"""Whether memory grows over a million requests, and whether each gets what it should.

    python -m benchmarks.soak

`milieu serve`, with an experiment that runs, is in front of a vLLM that answers at once. Clients
chat, plain and streamed, with a culture and without; ask what surveys asked, and what nobody asked
before; each time as another user. Some of what they send is refused, some damaged. The caches of
the service are small, and the arms of the last 100,000 users are remembered, so that all are full
when the first fifth of a million requests is answered; from then on its resident memory is looked
at in even intervals. The exit status is 1 where the median of the second half is more than 5 %
above that of the first, or a reply is not what was expected. What is recorded grows on disk: that
is meant.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.fast_client import Connection, write_request
from benchmarks.instant_vllm import MODEL
from benchmarks.pass_through import (
    ANSWER,
    CHAT,
    MESSAGES,
    MIB,
    list_cases,
    start_milieu,
    start_vllm,
)
from benchmarks.restarts import ADMIN_KEY, Admin

N_REQUESTS, N_CLIENTS, N_SAMPLES = 1_000_000, 16, 200
WARM_UP = 0.2
MOST_GROWTH = 0.05
LIMIT_S = 60.0
N_SHOWN = 10
SETTINGS = {
    "admin_keys": ADMIN_KEY,
    "log_level": "ERROR",
    "encoder": {"cache_entries": 256},
    "answer": {"n_recent": 100},
}
EXPERIMENT = {
    "name": "soak",
    "hypothesis": "Memory does not grow.",
    "primary": {
        "metric": "helpful",
        "kind": "proportion",
        "direction": "higher",
        "smallest_effect": 0.05,
    },
    "arms": {"plain": {"method": "plain"}, "icl": {"method": "icl"}},
    "control": "plain",
}
REFUSED = frozenset({400, 404, 409, 413, 415, 422})
CLOSED = 0
out = Console()
Case = Mapping[str, str]


class Sent(NamedTuple):
    """A request in bytes, and the statuses that are right for it; 0 is a closed connection."""

    data: bytes
    expected: frozenset[int] = frozenset({200})


@dataclass
class Seen:
    """What came of a run.

    Attributes:
        counts: requests by kind.
        wrong: replies that should not be, in words.
        rss_bytes: resident memory of the service, from the end of the warm-up on.
    """

    took_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    n_wrong: int = 0
    wrong: list[str] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By which share the median of the second half is above that of the first."""
        half = len(self.rss_bytes) // 2
        first, second = self.rss_bytes[:half], self.rss_bytes[half:]
        return statistics.median(second) / statistics.median(first) - 1.0


class Requests:
    """The requests of a run by their number, each kind with its share of twenty."""

    def __init__(self, url: str, cases: Sequence[Case]) -> None:
        self._host, self._cases = urlsplit(url).netloc, cases
        kinds: dict[str, tuple[int, Callable[[int], Sent]]] = {
            "chat": (3, lambda n: self._chat(n, stream=False)),
            "chat with a culture": (2, lambda n: self._chat(n, stream=False, culture="DE")),
            "streamed chat": (2, lambda n: self._chat(n, stream=True)),
            "streamed chat with a culture": (2, lambda n: self._chat(n, stream=True, culture="BR")),
            "seen question": (8, self._ask_seen),
            "new question": (1, self._ask_new),
            "refused": (1, self._be_refused),
            "damaged": (1, self._be_damaged),
        }
        self._turns = [each for each in kinds.items() for _ in range(each[1][0])]

    def make(self, number: int) -> tuple[str, Sent]:
        """Return the kind of a request, and the request."""
        # Kinds follow one another, and not each a run of its own.
        kind, (_, make) = self._turns[number * 7 % len(self._turns)]
        return kind, make(number)

    def _chat(self, number: int, *, stream: bool, culture: str = "") -> Sent:
        body: dict[str, object] = {"model": MODEL, "messages": MESSAGES, "stream": stream}
        if culture:
            body |= {"culture": culture, "user": f"u{number}"}
        return self._post(CHAT, body)

    def _ask_seen(self, number: int) -> Sent:
        case = self._cases[number % len(self._cases)]
        return self._post(ANSWER, {**case, "user": f"u{number}"})

    def _ask_new(self, number: int) -> Sent:
        case = self._cases[number % len(self._cases)]
        question = f"{case['question']} ({number})"
        options = ["Yes", "Perhaps", "No"]
        return self._post(ANSWER, {**case, "question": question, "options": options})

    def _be_refused(self, number: int) -> Sent:
        bodies: Sequence[tuple[str, Mapping[str, object]]] = (
            (ANSWER, {"question": f"Is it so ({number})?", "culture": f"nowhere-{number}"}),
            (ANSWER, {"question": "", "culture": "DE"}),
            (CHAT, {"model": f"model-{number}", "messages": MESSAGES}),
            (CHAT, {"model": MODEL, "messages": [], "temperature": "warm"}),
            ("/v1/feedback", {"answer_id": f"ans_{number}", "metric": "helpful", "value": True}),
            (f"/v1/nothing/{number}", {}),
        )
        path, body = bodies[number // len(self._turns) % len(bodies)]
        return self._post(path, body)._replace(expected=REFUSED)

    def _be_damaged(self, number: int) -> Sent:
        whole = self._post(ANSWER, {"question": f"Is it so ({number})?", "culture": "DE"}).data
        head, _, body = whole.partition(b"\r\n\r\n")
        damaged = (
            head + b"\r\n\r\n" + body.replace(b'"', b"'"),
            head + b"\r\n\r\n" + b"\xff" * len(body),
            head + b"\r\n\r\n" + b"[" * len(body),
            head.replace(b"HTTP/1.1", b"HTTP/9.%d" % number) + b"\r\n\r\n" + body,
            head.replace(b"content-length: ", b"content-length: -") + b"\r\n\r\n" + body,
            b"\x16\x03\x01" + number.to_bytes(8) + whole,
            head.replace(b"content-type", b"content-encoding: gzip\r\ncontent-type")
            + b"\r\n\r\n"
            + body,
        )
        expected = REFUSED | {CLOSED}
        return Sent(damaged[number // len(self._turns) % len(damaged)], expected)

    def _post(self, path: str, body: Mapping[str, object]) -> Sent:
        return Sent(write_request(self._host, path, body))


def main() -> None:
    """Run the benchmark, print its table, and exit 1 where memory grows or a reply is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=N_REQUESTS)
    parser.add_argument("--clients", type=int, default=N_CLIENTS)
    parser.add_argument("--most-growth", type=float, default=MOST_GROWTH, help="as a share")
    args = parser.parse_args()
    seen = asyncio.run(run(args.requests, n_clients=args.clients))
    show(seen)
    sys.exit(1 if seen.n_wrong or seen.growth > args.most_growth else 0)


async def run(n_requests: int, *, n_clients: int) -> Seen:
    """Start everything, send all requests, and return what came of it."""
    seen, requests_left = Seen(), iter(range(n_requests))
    with tempfile.TemporaryDirectory() as folder:
        async with start_vllm() as vllm, start_milieu(vllm.url, Path(folder), SETTINGS) as milieu:
            async with aiohttp.ClientSession() as session:
                admin = Admin(session, milieu.url)
                await admin.call("POST", "/v1/experiments", **EXPERIMENT)
                await admin.call("POST", "/v1/experiments/soak/start", allow_unsent=True)
            requests, process = Requests(milieu.url, list_cases()), psutil.Process(milieu.pid)
            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(n_clients):
                    group.create_task(_send_some(milieu.url, requests, requests_left, seen))
                group.create_task(_watch(process, n_requests, seen))
            seen.took_s = time.perf_counter() - started
    return seen


async def _watch(process: psutil.Process, n_requests: int, seen: Seen) -> None:
    """Look at the memory of the service whenever so many requests more are answered."""
    first = round(n_requests * WARM_UP)
    for moment in np.linspace(first, n_requests, N_SAMPLES):
        while seen.counts.total() < moment:  # noqa: ASYNC110  # it is not to slow the clients
            await asyncio.sleep(0.01)
        seen.rss_bytes.append(process.memory_info().rss)


async def _send_some(url: str, requests: Requests, numbers: Iterator[int], seen: Seen) -> None:
    connection = await _connect(url)
    for number in numbers:
        kind, sent = requests.make(number)
        try:
            async with asyncio.timeout(LIMIT_S):
                status = await connection.send(sent.data)
        except (RuntimeError, TimeoutError) as exc:
            status = CLOSED if isinstance(exc, RuntimeError) else -1
        seen.counts[kind] += 1
        if status not in sent.expected:
            seen.n_wrong += 1
            if len(seen.wrong) < N_SHOWN:
                seen.wrong.append(f"{kind} {number}: {status} {connection.received[-300:]!r}")
        if status != 200:
            # Where a request is damaged, nobody knows where the next one begins.
            connection.close()
            connection = await _connect(url)
    connection.close()


async def _connect(url: str) -> Connection:
    place, loop = urlsplit(url), asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection, place.hostname or "127.0.0.1", place.port or 80
    )
    return connection


def show(seen: Seen) -> None:
    """Print what was sent, what came of it, and how much memory it took."""
    rss = [n / MIB for n in seen.rss_bytes]
    n = seen.counts.total()
    table = Table(show_header=False, title=f"{n:,} requests in {seen.took_s:,.0f} s")
    table.add_column()
    table.add_column(justify="right")
    for kind, count in seen.counts.most_common():
        table.add_row(kind, f"{count:,}")
    table.add_row("replies that should not be", f"{seen.n_wrong:,}")
    table.add_row("requests/s", f"{n / seen.took_s:.0f}")
    table.add_row("MiB after the warm-up", f"{rss[0]:.1f}")
    table.add_row("MiB, median", f"{statistics.median(rss):.1f}")
    table.add_row("MiB, most", f"{max(rss):.1f}")
    table.add_row("MiB at the end", f"{rss[-1]:.1f}")
    table.add_row("growth, second half over the first", f"{seen.growth:+.1%}")
    out.print(table)
    tenths = (f"{each:.1f}" for each in rss[:: len(rss) // 10])
    out.print(f"MiB at each tenth after the warm-up: {', '.join(tenths)}", soft_wrap=True)
    for line in seen.wrong:
        out.print(f"wrong: {line}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
