"""How long an offline job waits for a server that is briefly unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from evaluation.errors import RespondentFailed

# A restarted server is back within this: 1 + 2 + 4 + 8 + 16 + 32 seconds.
N_TRIES = 7
T = TypeVar("T")


async def call_patiently(
    call: Callable[[], Awaitable[T]],
    name: str,
    transient: tuple[type[Exception], ...],
    *,
    pause_s: float = 1.0,
) -> T:
    """Return the result of `call`, retried on `transient` errors after pauses that double.

    Raises:
        RespondentFailed: the call failed `N_TRIES` times.
    """
    for attempt in range(N_TRIES):
        try:
            return await call()
        except transient as exc:
            if attempt == N_TRIES - 1:
                raise RespondentFailed(name, f"{exc}.") from exc
            await asyncio.sleep(pause_s * 2.0**attempt)
    raise AssertionError("the last attempt returns or raises")
