"""Canaries are asked under labels that the served model has tokens of its own for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.canary import choose_prompts, measure
from adapters.errors import AdapterLoadFailed
from app.state.adapters import VllmCanaries
from app.vllm.client import VllmClient
from tests.fakes.tokenizers import Kind, make_tokenizer
from tests.fakes.vllm import MODEL, FakeVllm, serve


@asynccontextmanager
async def canaries_of(kind: Kind) -> AsyncIterator[VllmCanaries]:
    fake = FakeVllm(tokenizer=make_tokenizer(kind))
    fake.adapters["german"] = "/adapters/german"
    with serve(fake.app) as url:
        async with VllmClient([url]) as client:
            yield VllmCanaries(url, client, base_model=MODEL)


@pytest.mark.parametrize(("kind", "labels"), [(Kind.QWEN, "1234"), (Kind.MISTRAL, "ABCD")])
async def test_canaries_are_measured_whatever_the_tokenizer(kind: Kind, labels: str) -> None:
    async with canaries_of(kind) as server:
        found = await measure(
            server, await choose_prompts(server), base_model=MODEL, adapter="german"
        )

    assert found[0].labels == tuple(labels)
    assert f"\n{labels[1]}. Somewhat\n" in found[0].messages[1].content
    assert found[0].base_logprobs != found[0].adapter_logprobs


async def test_a_model_that_no_label_can_be_read_of_takes_no_adapter() -> None:
    async with canaries_of(Kind.REASONING) as server:
        with pytest.raises(AdapterLoadFailed, match="nor for letters"):
            await choose_prompts(server)
