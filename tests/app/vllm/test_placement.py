"""A call for an adapter goes where it is, and a server that breaks down is left for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack

import pytest

from app.errors import UpstreamUnavailable
from app.vllm.client import VllmClient
from app.vllm.pool import Retries
from app.vllm.wire import ChatRequest
from prompting.messages import Message
from tests.fakes.vllm import FakeVllm, Scripted, serve

ASKED = (Message("user", "1 or 2?"),)
GERMAN = "german@1"
FAST = Retries(n_retries=2, base_s=0.01, cap_s=0.02)
ToGerman = ChatRequest(GERMAN, ASKED, max_tokens=3)
ToBase = ChatRequest("fake", ASKED, max_tokens=3)


class PaperPlacement:
    """Has the adapter where it is told to; brings it back to `comes_back`, if that is anything."""

    def __init__(self, *ready: str, comes_back: Sequence[str] = ()) -> None:
        self.ready, self.comes_back = set(ready), comes_back
        self.lost: list[str] = []
        self.n_restored = 0

    def find_ready(self, name: str) -> frozenset[str] | None:
        return frozenset(self.ready) if name == GERMAN else None

    def lose(self, name: str, url: str) -> None:
        self.lost.append(url)
        self.ready.discard(url)

    async def restore(self, name: str) -> bool:
        self.n_restored += 1
        self.ready.update(self.comes_back)
        return bool(self.ready)


@pytest.fixture
def fakes() -> list[FakeVllm]:
    return [FakeVllm(), FakeVllm(), FakeVllm()]


@pytest.fixture
def urls(fakes: list[FakeVllm]) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serve(fake.app)) for fake in fakes]


Open = Callable[[Sequence[str], PaperPlacement], Awaitable[VllmClient]]


@pytest.fixture
async def open_client() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_(urls: Sequence[str], placement: PaperPlacement) -> VllmClient:
            client = VllmClient(urls, placement=placement, retries=FAST)
            return await stack.enter_async_context(client)

        yield open_


def n_asked(fakes: Sequence[FakeVllm]) -> list[int]:
    return [len(fake.chats) for fake in fakes]


async def test_an_adapter_is_asked_where_it_is_and_the_base_anywhere(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    fakes[1].adapters[GERMAN] = "/a"
    client = await open_client(urls, PaperPlacement(urls[1]))

    cultures = ("DEU", "JPN", None, "KEN", "BRA", "FRA")
    await asyncio.gather(*(client.chat(ToGerman, culture=culture) for culture in cultures))
    assert n_asked(fakes) == [0, 6, 0]
    for _ in range(5):
        await client.chat(ToBase)
    assert n_asked(fakes) == [5, 6, 0]


async def test_a_culture_stays_on_its_server(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    client = await open_client(urls, PaperPlacement())

    for culture in ("DEU", "JPN", "KEN") * 4:
        await client.chat(ToBase, culture=culture)

    assert sum(n_asked(fakes)) == 12
    assert all(n % 4 == 0 for n in n_asked(fakes))


async def test_one_that_lacks_it_after_all_is_left_for_one_that_has_it(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    fakes[2].adapters[GERMAN] = "/a"
    placement = PaperPlacement(*urls)
    client = await open_client(urls, placement)

    for culture in ("DEU", "JPN", "KEN", "BRA"):
        assert (await client.chat(ToGerman, culture=culture)).model == GERMAN

    assert urls[2] not in placement.lost
    assert (len(fakes[2].chats), placement.n_restored) == (4, 0)


async def test_where_none_has_it_any_more_it_is_brought_back(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    fakes[0].adapters[GERMAN] = "/a"
    placement = PaperPlacement(urls[1], comes_back=[urls[0]])
    client = await open_client(urls, placement)

    assert (await client.chat(ToGerman)).model == GERMAN

    assert (n_asked(fakes), placement.n_restored) == ([1, 1, 0], 1)


@pytest.mark.parametrize("comes_back", [0, 1])
async def test_where_it_cannot_be_brought_back_the_server_is_unavailable_not_the_model_missing(
    fakes: list[FakeVllm], urls: list[str], open_client: Open, comes_back: int
) -> None:
    # It may come back by its own account and be missing again.
    placement = PaperPlacement(*urls, comes_back=urls[:comes_back])
    client = await open_client(urls, placement)

    with pytest.raises(UpstreamUnavailable, match="no server has german@1"):
        await client.chat(ToGerman)

    assert (sum(n_asked(fakes)), placement.n_restored) == (3 + comes_back, 1)


async def test_a_call_that_a_server_broke_down_over_is_answered_by_another(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    fakes[0].script(Scripted(500, message="the engine died"))
    client = await open_client(urls, PaperPlacement())

    await client.chat(ToBase)

    assert n_asked(fakes) == [1, 1, 0]


async def test_a_call_that_breaks_two_servers_is_not_tried_on_a_third(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    for fake in fakes:
        fake.script(Scripted(500, message="the engine died"))
    client = await open_client(urls, PaperPlacement())

    with pytest.raises(UpstreamUnavailable, match="the engine died"):
        await client.chat(ToBase)

    assert n_asked(fakes) == [1, 1, 0]


async def test_a_stream_that_breaks_before_its_first_word_is_begun_elsewhere(
    fakes: list[FakeVllm], urls: list[str], open_client: Open
) -> None:
    fakes[0].script(Scripted(drops_after=0))
    client = await open_client(urls, PaperPlacement())

    chunks = [chunk async for chunk in client.stream(ToBase)]

    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert n_asked(fakes) == [1, 1, 0]
