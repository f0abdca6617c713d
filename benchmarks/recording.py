"""What recording costs an answer: `record` and `settle` as the answer path sees them, both stores.

    python -m benchmarks.recording [--dsn postgresql://…]

Answers arrive at random moments at a given rate, as users do, and do not wait for one another. Each
one settles its unit, if it is new, and records an exposure; both return when they are committed.
Stores are measured as they are by default, and with `sync`, where a commit waits for the disk
too; the goal is that of the default. What the machine itself takes to wake a thread, and to sync to
its disk, is measured in between. Without `--dsn` a PostgreSQL server is started for the time of the
run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
import uuid
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from app.settings import EMBEDDED_MODEL
from estimation.source import Source
from experiments.events import Claim, Exposure, Receipt
from experiments.stores.event_store import EventStore, open_postgres, open_sqlite
from experiments.unit import UnitKind
from tests.experiments.postgres_server import PostgresMissing, postgres_server

RATES = (20, 100, 400, 1000)
N_WARM_UP = 200
GOAL_MS = (1.0, 3.0)
IN_GOAL = ("SQLite", "PostgreSQL")
out = Console()


@dataclass
class Taken:
    """Milliseconds of each call, and how many exposures were not acknowledged within the bound."""

    record_ms: list[float] = field(default_factory=list)
    settle_ms: list[float] = field(default_factory=list)
    n_not_recorded: int = 0


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="per row")
    parser.add_argument("--dsn", help="a PostgreSQL that runs already")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    asyncio.run(run(seconds=args.seconds, dsn=args.dsn, seed=args.seed))


async def run(*, seconds: float, dsn: str | None, seed: int) -> None:
    """Measure both stores and print."""
    rows: list[tuple[str, int, Taken]] = []
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        if dsn is None:
            try:
                dsn = held.enter_context(postgres_server()).dsn
            except PostgresMissing as exc:
                out.print(f"PostgreSQL is left out: {exc}")
        for rate in RATES:
            for sync in (False, True):
                mode = ", sync" if sync else ""
                async with await open_sqlite(folder / f"{rate}-{sync}.db", sync=sync) as store:
                    taken = await load(store, rate, seconds=seconds, seed=seed)
                    rows.append((f"SQLite{mode}", rate, taken))
                if dsn is not None:
                    schema = f"bench_{uuid.uuid4().hex[:8]}"
                    async with await open_postgres(dsn, schema=schema, sync=sync) as store:
                        taken = await load(store, rate, seconds=seconds, seed=seed)
                        rows.append((f"PostgreSQL{mode}", rate, taken))
            for sync in (False, True):
                taken = await bare(folder, rate, seconds=seconds, sync=sync)
                rows.append(("a sync alone" if sync else "a thread alone", rate, taken))
    show(rows)


async def bare(folder: Path, rate: int, *, seconds: float, sync: bool) -> Taken:
    """Return what a thread takes that does nothing, or that syncs two pages to the disk."""
    taken, loop = Taken(), asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread, (folder / "bare").open("ab", buffering=0) as file:

        def work() -> None:
            if sync:
                file.write(bytes(8192))
                os.fdatasync(file.fileno())

        for _ in range(int(rate * min(seconds, 3.0))):
            await asyncio.sleep(1.0 / rate)
            await timed(loop.run_in_executor(thread, work), taken.record_ms)
    return taken


async def load(store: EventStore, rate: int, *, seconds: float, seed: int) -> Taken:
    """Return what the calls took with `rate` answers a second."""
    for i in range(N_WARM_UP):
        await answer(store, f"w{i}", f"w{i}", Taken())
    draw, taken = random.Random(seed), Taken()
    started, at, number = time.perf_counter(), 0.0, 0
    async with asyncio.TaskGroup() as group:
        while at < seconds:
            at += draw.expovariate(rate)
            await asyncio.sleep(max(0.0, started + at - time.perf_counter()))
            # One answer in ten is a unit's first.
            unit = f"u{number if number % 10 == 0 else draw.randrange(max(1, number))}"
            group.create_task(answer(store, f"a{number}", unit, taken))
            number += 1
    return taken


async def answer(store: EventStore, answer_id: str, unit: str, taken: Taken) -> None:
    """Do for one answer what its path does."""
    now_ms = time.time_ns() // 1_000_000
    claim = Claim("ways", unit, UnitKind.USER, "icl", 1, now_ms)
    exposure = Exposure(
        answer_id=answer_id,
        experiment="ways",
        revision=1,
        arm="icl",
        arm_id="0123456789",
        unit=unit.rjust(64, "0"),
        unit_kind=UnitKind.USER,
        culture="DEU",
        time_ms=now_ms,
        outcome_until_ms=now_ms + 600_000,
        method="icl",
        model=EMBEDDED_MODEL,
        steered=True,
        label_mass=0.93,
        alignment=0.71,
        latency_ms=41.5,
        n_prompt_tokens=312,
        n_reply_tokens=1,
        source=Source.MODEL,
        best_source=Source.SURVEY,
        model_asked=True,
        question_key="wvs7:Q6",
        similarity=0.9132,
    )
    if answer_id[1:].endswith("0"):
        await timed(store.settle(claim), taken.settle_ms)
    receipt = await timed(store.record(exposure), taken.record_ms)
    taken.n_not_recorded += receipt is not Receipt.RECORDED


async def timed(call: Awaitable[object], into: list[float]) -> object:
    """Await `call` and note the milliseconds that it took."""
    started = time.perf_counter()
    result = await call
    into.append((time.perf_counter() - started) * 1000.0)
    return result


def show(rows: list[tuple[str, int, Taken]]) -> None:
    """Print the table, and whether the goals are kept."""
    table = Table(title="milliseconds until committed", title_justify="left")
    for name in (
        "store",
        "per s",
        "record p50",
        "p99",
        "max",
        "settle p50",
        "p99",
        "late",
    ):
        table.add_column(name, justify="right" if name != "store" else "left")
    for name, rate, taken in rows:
        recorded = np.percentile(taken.record_ms, (50, 99, 100))
        settled = np.percentile(taken.settle_ms or [np.nan], (50, 99))
        figures = (f"{each:.2f}" for each in (*recorded, *settled))
        table.add_row(name, str(rate), *figures, str(taken.n_not_recorded))
    out.print(table)
    over = [
        f"{name} at {rate}/s"
        for name, rate, taken in rows
        if name in IN_GOAL and any(np.percentile(taken.record_ms, (50, 99)) >= GOAL_MS)
    ]
    said = f"missed by {', '.join(over)}" if over else "kept"
    out.print(
        f"goal of {GOAL_MS[0]} ms at p50 and {GOAL_MS[1]} ms at p99 for record without sync, "
        f"on {' and '.join(IN_GOAL)}: {said}"
    )


if __name__ == "__main__":
    main()
