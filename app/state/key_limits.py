"""How many requests one key may make in a time, and how many at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from limits import RateLimitItem, parse_many
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from app.errors import ConcurrencyExceeded, RateExceeded
from app.setting_groups import LimitSettings
from app.state.shared import SharedFile

_TABLES = """
CREATE TABLE IF NOT EXISTS hits (key TEXT NOT NULL, at_s REAL NOT NULL);
CREATE INDEX IF NOT EXISTS hits_by_key ON hits (key, at_s);
CREATE TABLE IF NOT EXISTS running (
    worker INTEGER NOT NULL, asked_by TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (worker, asked_by)
);
"""
# How often what no window reaches back to is deleted, of all keys.
_TIDY_S = 60.0


class KeyLimits:
    """Counts the requests of each key, of all workers of the service together.

    The clock is the machine's since its start, so that setting the time changes nothing.
    """

    def __init__(self, of: LimitSettings, file: SharedFile) -> None:
        """Limit as `of` says; counts are kept in `file`."""
        file.connection.executescript(_TABLES)
        self._file = file
        self._rates: Sequence[RateLimitItem] = parse_many(of.rate) if of.rate else ()
        self._concurrency = of.concurrency
        self._hits = _SharedHits(
            file, longest_s=max((r.get_expiry() for r in self._rates), default=0)
        )
        self._limiter = MovingWindowRateLimiter(self._hits)

    @contextmanager
    def hold(self, asked_by: str) -> Iterator[None]:
        """Count a request of `asked_by`, as under way while the block runs.

        Raises:
            ConcurrencyExceeded: as many of its requests as may be are under way.
            RateExceeded: it made as many as it may. What is refused does not count.
        """
        self._enter(asked_by)
        try:
            # All are looked at before any counts, so that what one refuses is counted by none.
            for count in (self._limiter.test, self._limiter.hit):
                for rate in self._rates:
                    if not count(rate, asked_by):
                        raise self._describe(rate, asked_by)
            yield
        finally:
            self._leave(asked_by)

    def _describe(self, rate: RateLimitItem, asked_by: str) -> RateExceeded:
        found = self._limiter.get_window_stats(rate, asked_by)
        return RateExceeded(
            allowed=rate.amount,
            found=rate.amount - found.remaining,
            window_s=rate.get_expiry(),
            retry_after_s=max(0.0, found.reset_time - time.monotonic()),
        )

    def _enter(self, asked_by: str) -> None:
        if self._concurrency is None:
            return
        with self._file.change() as connection:
            found = connection.execute(
                "SELECT coalesce(sum(n), 0) FROM running WHERE asked_by = ?", (asked_by,)
            ).fetchone()
            if found[0] >= self._concurrency:
                raise ConcurrencyExceeded(allowed=self._concurrency, found=found[0])
            connection.execute(
                "INSERT INTO running VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
                (os.getpid(), asked_by),
            )

    def _leave(self, asked_by: str) -> None:
        if self._concurrency is not None:
            mine = (os.getpid(), asked_by)
            with self._file.change() as connection:
                connection.execute(
                    "UPDATE running SET n = n - 1 WHERE worker = ? AND asked_by = ?", mine
                )
                connection.execute("DELETE FROM running WHERE n <= 0")


def forget_worker(folder: Path, pid: int) -> None:
    """Count what a worker that ended had under way no more; `folder` is that of the workers."""
    file = SharedFile(folder)
    try:
        file.connection.executescript(_TABLES)
        file.connection.execute("DELETE FROM running WHERE worker = ?", (pid,))
    finally:
        file.close()


class _SharedHits(Storage, MovingWindowSupport):
    """When each key made its requests, for the strategies of `limits`."""

    STORAGE_SCHEME = None

    def __init__(self, file: SharedFile, *, longest_s: float) -> None:
        super().__init__()
        self._file, self._longest_s = file, longest_s
        self._tidied_s = time.monotonic()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the store itself raises, which nothing here turns into anything else."""
        return ()  # type: ignore[return-value]  # none of them

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add `amount` hits, if that makes `limit` or fewer in the last `expiry` seconds."""
        now_s = time.monotonic()
        with self._file.change() as connection:
            self._tidy(now_s)
            found = connection.execute(
                "SELECT count(*) FROM hits WHERE key = ? AND at_s > ?", (key, now_s - expiry)
            ).fetchone()
            if found[0] + amount > limit:
                return False
            connection.executemany("INSERT INTO hits VALUES (?, ?)", [(key, now_s)] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest hit of the last `expiry` seconds was, and how many there are."""
        now_s = time.monotonic()
        oldest_s, n = self._file.connection.execute(
            "SELECT min(at_s), count(*) FROM hits WHERE key = ? AND at_s > ?",
            (key, now_s - expiry),
        ).fetchone()
        return (now_s if oldest_s is None else oldest_s), n

    def _tidy(self, now_s: float) -> None:
        if now_s - self._tidied_s > _TIDY_S:
            self._tidied_s = now_s
            oldest_s = now_s - self._longest_s
            self._file.connection.execute("DELETE FROM hits WHERE at_s <= ?", (oldest_s,))

    def check(self) -> bool:
        """Return True: the file is there."""
        return True

    def reset(self) -> int | None:
        """Forget all hits; return how many there were."""
        return self._file.connection.execute("DELETE FROM hits").rowcount

    def clear(self, key: str) -> None:
        """Forget the hits of `key`."""
        self._file.connection.execute("DELETE FROM hits WHERE key = ?", (key,))

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count in fixed windows, which nothing here has."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Count in fixed windows, which nothing here has."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Count in fixed windows, which nothing here has."""
        raise NotImplementedError
