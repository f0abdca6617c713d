"""A culture is spoken for by its adapter, else by exemplars, else as set; and it is said which."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.registry import AdapterRegistry
from app.settings import Settings
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import FAR, NEIGHBOURS, RELIGION, events, opened
from tests.fakes.vllm import FakeVllm, serve

OPTIONS = ["Yes", "No"]


class Served:
    """A service with adapters, and the fake vLLM under it."""

    def __init__(self, client: httpx.AsyncClient, vllm: FakeVllm) -> None:
        self.client, self.vllm = client, vllm

    async def ask(self, culture: str = "DE", **fields: Any) -> dict[str, Any]:
        reply = await self.client.post(
            "/answer",
            json={"question": RELIGION, "culture": culture, "answer_from": "model"} | fields,
        )
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def refused(self, status: int, **fields: Any) -> str:
        body = {"question": RELIGION, "culture": "DE"} | fields
        reply = await self.client.post("/answer", json=body)
        assert reply.status_code == status, reply.text
        return f"{reply.json()['type'].rpartition(':')[2]}: {reply.json()['detail']}"

    async def chat(self, **fields: Any) -> dict[str, Any]:
        body = {"model": "fake", "messages": [{"role": "user", "content": RELIGION}]}
        reply = await self.client.post("/v1/chat/completions", json=body | fields)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found


@pytest.fixture
def vllm() -> Iterator[tuple[FakeVllm, str]]:
    fake = FakeVllm(max_model_len=16384)
    with serve(fake.app) as url:
        yield fake, url


@pytest.fixture
def settings(vllm: tuple[FakeVllm, str], cache_folder: Path, tmp_path: Path) -> Settings:
    return adapter_settings(vllm[1], cache_folder, tmp_path)


@asynccontextmanager
async def service(settings: Settings, vllm: tuple[FakeVllm, str]) -> AsyncIterator[Served]:
    async with opened(settings) as client:
        yield Served(client, vllm[0])


def activate(settings: Settings, version: str, *cultures: str) -> None:
    registry = AdapterRegistry(settings.adapters_folder)
    for culture in cultures:
        registry.activate([culture], version)


async def test_the_active_adapter_answers_with_the_prompt_that_it_was_trained_on(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        by_adapter = await served.ask(method="adapter")
        sent = served.vllm.chats[-1].body
        persona = await served.ask(method="persona")

        assert by_adapter["model"]["name"] == by_adapter["adapter"] == sent["model"] == version
        assert by_adapter["method"] == by_adapter["requested_method"] == "adapter"
        assert by_adapter["steered"]
        assert by_adapter["fallbacks"] == by_adapter["exemplars"] == by_adapter["warnings"] == []
        assert served.vllm.chats[-1].body["messages"] == sent["messages"]
        assert persona["adapter"] is None
        assert persona["shares"] != by_adapter["shares"]


async def test_adapter_and_exemplars_go_together(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        both = await served.ask(method="adapter+icl")

        assert (both["method"], both["adapter"]) == ("adapter+icl", version)
        assert len(both["exemplars"]) == 5
        assert "German" in served.vllm.chats[-1].body["messages"][0]["content"]


async def test_a_culture_without_an_adapter_is_shown_by_exemplars_and_it_is_said(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    async with service(settings, vllm) as served:
        answer = await served.ask(method="adapter")

        assert (answer["method"], answer["requested_method"]) == ("icl", "adapter")
        assert answer["adapter"] is None
        assert answer["fallbacks"] == [
            {"method": "adapter", "because": "no adapter is active for Germany"}
        ]
        assert len(answer["exemplars"]) == 5
        assert answer["steered"]


async def test_below_the_last_rung_the_model_answers_as_it_is(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    async with service(settings, vllm) as served:
        answer = await served.ask(question=FAR, options=OPTIONS, method="adapter")

        assert answer["method"] == "plain"
        assert not answer["steered"]
        assert [fallback["method"] for fallback in answer["fallbacks"]] == ["adapter", "icl"]
        assert answer["not_steered_because"].startswith("no adapter is active for Germany; no surv")


async def test_the_last_rung_may_be_a_refusal(
    vllm: tuple[FakeVllm, str], cache_folder: Path, tmp_path: Path
) -> None:
    settings = adapter_settings(vllm[1], cache_folder, tmp_path, answer={"last_rung": "refuse"})
    async with service(settings, vllm) as served:
        said = await served.refused(422, question=FAR, options=OPTIONS, method="adapter")
        assert said.startswith("culture-not-shown: ")
        assert "no adapter is active for Germany; no survey question of Germany is near" in said
        assert "culture-not-shown" in await served.refused(422, question=FAR, method="icl")
        # What was asked for without a culture's help is no fall.
        assert (await served.ask(question=FAR, options=OPTIONS, method="plain"))["answer"]


async def test_with_nothing_near_the_adapter_answers_alone(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        answer = await served.ask(question=FAR, options=OPTIONS, method="adapter+icl")

        assert (answer["method"], answer["adapter"]) == ("adapter", version)
        assert answer["fallbacks"][0]["method"] == "adapter+icl"
        assert answer["steered"]


async def test_any_prompt_can_be_put_to_an_adapter(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "any", [])
    async with service(settings, vllm) as served:
        named = await served.ask(method="icl", adapter=version)
        by_name = await served.ask(method="icl", adapter="any")
        auto = await served.ask(method="icl", adapter="auto")
        none = await served.ask(method="icl", adapter="none")

        assert (named["method"], named["adapter"]) == ("icl", version)
        assert by_name["shares"] == named["shares"] != none["shares"] == auto["shares"]
        assert auto["warnings"] == ["no adapter: no adapter is active for Germany"]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"adapter": "nobody"}, 404, "adapter-unknown: 'nobody' is not an adapter in the registry"),
        ({"adapter": "nobody@12345678"}, 404, "adapter-unknown"),
        ({"adapter": "../deu"}, 404, "adapter-unknown"),
        ({"adapter": "someone/deu"}, 404, "adapter-unknown"),
        ({"adapter": "fake"}, 404, "adapter-unknown"),
        ({"adapter": "deu", "culture": "NG"}, 422, "adapter-for-others"),
        ({"adapter": "two"}, 422, "adapter-ambiguous: 'two' is 2 adapters; expected one of two@"),
        ({"method": "adapter", "adapter": "none"}, 422, "method-conflict"),
    ],
)
async def test_a_name_that_is_no_adapter_of_this_culture_is_refused(
    settings: Settings,
    vllm: tuple[FakeVllm, str],
    fields: dict[str, str],
    status: int,
    said: str,
) -> None:
    add_adapter(settings, "deu", ["DEU"])
    add_adapter(settings, "two", ["DEU"], seed=1)
    add_adapter(settings, "two", ["DEU"], seed=2)
    async with service(settings, vllm) as served:
        assert said in await served.refused(status, **fields)
        assert served.vllm.chats == []
        assert all(request.path == "/v1/models" for request in served.vllm.received)


async def test_without_lora_on_the_servers_an_adapter_is_missing_or_refused(
    vllm: tuple[FakeVllm, str], cache_folder: Path, tmp_path: Path
) -> None:
    settings = adapter_settings(vllm[1], cache_folder, tmp_path)
    vllm_settings = settings.vllm.model_copy(update={"lora": False})
    settings = settings.model_copy(update={"vllm": vllm_settings})
    async with service(settings, vllm) as served:
        answer = await served.ask(method="adapter")
        assert answer["fallbacks"][0]["because"] == "the servers take no adapters"
        assert "adapters-off" in await served.refused(422, adapter="deu")


async def test_a_server_that_lost_an_adapter_gets_it_back_within_the_request(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        before = await served.ask(method="adapter")
        # As a restart does; the watch has seconds to go.
        served.vllm.adapters.clear()
        after = await served.ask(method="adapter")

        assert after["shares"] == before["shares"]
        assert list(served.vllm.adapters) == [version]


async def test_an_adapter_whose_files_are_gone_leaves_the_version_before_it(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    old = add_adapter(settings, "deu", ["DEU"], seed=1)
    new = add_adapter(settings, "deu", ["DEU"], seed=2)
    activate(settings, old, "DEU")
    activate(settings, new, "DEU")
    shutil.rmtree(settings.adapters_folder / new)
    async with service(settings, vllm) as served:
        answer = await served.ask(method="adapter")

        assert answer["adapter"] == old
        assert answer["warnings"] == [f"{new} could not be loaded"]


async def test_a_stream_holds_its_adapter_to_the_end(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        body = {"question": NEIGHBOURS, "culture": "DE", "method": "adapter", "stream": True}
        reply = await served.client.post("/answer", json=body)

        found = events(reply.text)
        assert found[0].data["adapter"] == found[-1].data["adapter"] == version
        assert found[-1].data["answer"]


async def test_a_chat_is_answered_by_the_adapter(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    version = add_adapter(settings, "deu", ["DEU"])
    activate(settings, version, "DEU")
    async with service(settings, vllm) as served:
        steered = await served.chat(culture="DE", method="adapter")
        plain = await served.chat(adapter="deu")

        assert steered["model"] == "fake"
        assert steered["milieu"]["adapter"] == plain["milieu"]["adapter"] == version
        # Canaries ask for log-probabilities; chats do not.
        first, second = (chat.body for chat in served.vllm.chats if not chat.body.get("logprobs"))
        assert first["model"] == second["model"] == version
        assert "German" in first["messages"][0]["content"]
        # Without a culture the messages go as they came.
        assert second["messages"] == [{"role": "user", "content": RELIGION}]
        assert plain["milieu"]["steered"]

        body = {
            "model": "fake@DE",
            "messages": [{"role": "user", "content": RELIGION}],
            "method": "adapter",
            "stream": True,
        }
        reply = await served.client.post("/v1/chat/completions", json=body)
        assert reply.text.endswith("data: [DONE]\n\n")
        assert f'"adapter": "{version}"' in reply.text


async def test_a_chat_without_a_culture_says_why_no_adapter_answers(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    async with service(settings, vllm) as served:
        found = (await served.chat(method="adapter"))["milieu"]

        assert (found["method"], found["adapter"]) == ("plain", None)
        assert found["fallbacks"] == [{"method": "adapter", "because": "no culture was asked for"}]


async def test_a_chat_that_names_no_adapter_of_the_registry_is_refused(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    async with service(settings, vllm) as served:
        for stream in (False, True):
            body = {"model": "fake", "messages": [{"role": "user", "content": "?"}]}
            reply = await served.client.post(
                "/v1/chat/completions", json=body | {"adapter": "/etc", "stream": stream}
            )
            assert reply.status_code == 404
            assert reply.json()["error"]["code"] == "adapter-unknown"


async def test_what_happens_to_adapters_is_counted(
    settings: Settings, vllm: tuple[FakeVllm, str]
) -> None:
    names = [add_adapter(settings, f"a{seed}", [], seed=seed) for seed in range(6)]
    async with service(settings, vllm) as served:
        for name in names * 2:
            assert (await served.ask(adapter=name))["adapter"] == name
        metrics = (await served.client.get("/metrics")).text

        # Six in four places, in turn: each of the last eight had to make room.
        assert "milieu_adapter_evictions_total 8.0" in metrics
        assert "milieu_adapter_loads_total 12.0" in metrics
        assert "milieu_adapters_loaded 4.0" in metrics
