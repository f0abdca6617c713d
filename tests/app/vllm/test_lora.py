from pathlib import Path

import pytest

from adapters.errors import LoraServerSilent
from adapters.hot_swap import HotSwap
from app.vllm.client import VllmClient
from app.vllm.lora import VllmLora
from prompting.messages import Message
from tests.fakes.vllm import MODEL, FakeVllm, serve

ASKED = (Message("user", "1 or 2?"),)


async def test_an_adapter_is_a_model_from_load_to_unload() -> None:
    with serve(FakeVllm(api_key="secret").app) as url:
        async with VllmLora(url, api_key="secret") as server:
            await server.load("de@1", Path("/adapters/de@1"))
            async with VllmClient([url], api_key="secret") as client:
                assert await client.score(ASKED, ("1", "2"), model="de@1") is not None
            assert await server.loaded() == {"de@1"}
            await server.unload("de@1")

            assert await server.loaded() == frozenset()


async def test_unloading_what_is_not_there_does_nothing() -> None:
    with serve(FakeVllm().app) as url:
        async with VllmLora(url) as server:
            await server.unload("de@1")


async def test_the_base_model_is_no_adapter() -> None:
    fake = FakeVllm()
    with serve(fake.app) as url:
        async with VllmLora(url) as server:
            assert MODEL not in await server.loaded()


async def test_a_silent_server_is_told_apart() -> None:
    async with VllmLora("http://127.0.0.1:1") as server:
        with pytest.raises(LoraServerSilent):
            await server.loaded()


async def test_adapters_are_swapped_while_requests_run() -> None:
    fake = FakeVllm()
    with serve(fake.app) as url:
        async with VllmLora(url) as server:
            hot = HotSwap([server], locate=lambda name: Path("/a") / name, capacity=2)
            for name in ("a@1", "b@1", "c@1"):
                async with hot.lease(name), VllmClient([url]) as client:
                    assert await client.score(ASKED, ("1", "2"), model=name) is not None

    assert fake.adapters == {"b@1": "/a/b@1", "c@1": "/a/c@1"}
