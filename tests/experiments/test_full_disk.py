"""A disk that takes nothing more: answers go on, and what was recorded late is there in the end."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.events import Receipt
from experiments.stores.event_store import open_sqlite
from experiments.stores.group_commit import StoreLimits
from tests.experiments.events import an_exposure

N_FITTING, N_LATE = 3, 20


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """Let this process write no file beyond `n_bytes`, as on a disk without more room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def measure(file: Path) -> int:
    return file.stat().st_size


async def test_a_full_disk_delays_records_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    limits = StoreLimits(wait_s=0.05)
    async with await open_sqlite(path, limits=limits) as store:
        for n in range(N_FITTING):
            assert await store.record(an_exposure(answer_id=f"ans_{n}")) is Receipt.RECORDED
        with full_disk(measure(Path(f"{path}-wal"))):
            receipts = [
                await store.record(an_exposure(answer_id=f"ans_late_{n}")) for n in range(N_LATE)
            ]
        counts = store.counts
        assert receipts == [Receipt.LATE] * N_LATE
        assert sum(counts.n_dropped.values()) == 0
    async with await open_sqlite(path) as store:
        rows = [row async for piece in store.rows("exposures") for row in piece]
    assert len(rows) == N_FITTING + N_LATE
