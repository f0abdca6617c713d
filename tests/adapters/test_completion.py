"""A change goes on to its end; of its failure whoever waits is told, and else the log."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from adapters.completion import complete


class Owner:
    """Has one change, which fails when it is let go on."""

    def __init__(self) -> None:
        self.changes: set[asyncio.Task[Any]] = set()
        self.go_on = asyncio.Event()

    @complete
    async def fail(self) -> None:
        await self.go_on.wait()
        raise ValueError("there is no such adapter")


async def test_who_waits_is_told_and_the_log_is_not(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner()
    owner.go_on.set()

    with pytest.raises(ValueError, match="no such adapter"):
        await owner.fail()

    assert not caplog.records
    assert not owner.changes


async def test_a_failure_after_everybody_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner()
    waiting = asyncio.create_task(owner.fail())
    await asyncio.sleep(0.0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    [change] = owner.changes
    owner.go_on.set()
    await asyncio.wait([change])
    await asyncio.sleep(0.0)

    [record] = caplog.records
    assert record.getMessage() == "adapter_change_failed"
    assert not owner.changes
