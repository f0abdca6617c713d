"""Fixtures of the client's tests: both clients, of the service that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from milieu_client import AsyncMilieu, Milieu
from tests.fakes.vllm import FakeVllm


@pytest.fixture
def milieu(milieu_url: str, fake: FakeVllm) -> Iterator[Milieu]:
    with Milieu(milieu_url) as milieu:
        yield milieu


@pytest.fixture
async def async_milieu(milieu_url: str, fake: FakeVllm) -> AsyncIterator[AsyncMilieu]:
    async with AsyncMilieu(milieu_url) as milieu:
        yield milieu
