"""`/v1/adapters`: what there is, what is active, and how an admin changes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from adapters.registry import AdapterRegistry
from app.settings import Settings
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import NEIGHBOURS, RELIGION, opened, served
from tests.fakes.vllm import FakeVllm, serve
from tests.fixtures.service import NO_TLS

ADMIN = {"X-API-Key": "root"}
USER = {"X-API-Key": "user"}
KEYS = {"admin_keys": "root", "api_keys": "user"}


class Desk:
    """An admin's client of a service, the fake vLLM under it and the registry beside it."""

    def __init__(self, client: httpx.AsyncClient, vllm: FakeVllm, settings: Settings) -> None:
        self.client, self.vllm, self.settings = client, vllm, settings
        self.registry = AdapterRegistry(settings.adapters_folder)

    def add(self, name: str, *cultures: str, seed: int = 0) -> str:
        return add_adapter(self.settings, name, cultures, seed=seed)

    async def ok(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        reply = await self.client.request(method, path, json=body, headers=ADMIN)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        reply = await self.client.request(method, path, json=body, headers=ADMIN)
        assert reply.headers["content-type"] == "application/problem+json", reply.text
        problem = reply.json()
        assert reply.status_code == problem["status"]
        return reply.status_code, f"{problem['type'].rpartition(':')[2]}: {problem['detail']}"

    async def activate(self, name: str, *cultures: str) -> dict[str, Any]:
        body = {"cultures": list(cultures)}
        return await self.ok("POST", f"/v1/adapters/{name}/activate", body)

    async def answers(self, culture: str = "DE") -> str | None:
        body = {"question": RELIGION, "culture": culture, "method": "adapter"}
        reply = await self.client.post("/answer", json=body, headers=USER)
        assert reply.status_code == 200, reply.text
        found: str | None = reply.json()["adapter"]
        return found

    @property
    def loads(self) -> list[str]:
        """The paths that vLLM was told to load."""
        path = "/v1/load_lora_adapter"
        return [request.body["lora_path"] for request in self.vllm.received if request.path == path]


@pytest.fixture(scope="module")
def house(
    cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FakeVllm, Settings]]:
    """A service that all tests of this module share, on a vLLM of its own."""
    fake = FakeVllm(max_model_len=16384)
    with serve(fake.app) as url:
        settings = adapter_settings(url, cache_folder, tmp_path_factory.mktemp("data"), **KEYS)
        with served(settings) as service_url:
            yield service_url, fake, settings


@pytest.fixture
async def desk(house: tuple[str, FakeVllm, Settings]) -> AsyncIterator[Desk]:
    url, vllm, settings = house
    vllm.idle.clear()
    vllm.refuses.clear()
    vllm.received.clear()
    async with httpx.AsyncClient(base_url=url, timeout=30.0, verify=NO_TLS) as client:
        desk = Desk(client, vllm, settings)
        yield desk
        for culture in desk.registry.active():
            await desk.ok("POST", "/v1/adapters/deactivate", {"culture": culture})
        for entry in desk.registry.entries():
            await desk.ok("DELETE", f"/v1/adapters/{entry.version_name}")
        assert vllm.adapters == {}


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_adapters_are_listed_with_what_is_active(desk: Desk) -> None:
    german, joint = desk.add("german", "DEU"), desk.add("joint", "DEU", "JPN", seed=1)
    assert (await desk.ok("GET", "/v1/adapters"))["active"] == {}
    await desk.activate(joint, "JP")

    found = await desk.ok("GET", "/v1/adapters")

    assert found["active"] == {"JPN": joint}
    first, second = found["adapters"]
    assert first == {
        "version_name": german,
        "base_model": "fake",
        "rank": 4,
        "cultures": ["DEU"],
        "active_for": [],
        "loaded": False,
        "proven": False,
        "method": "random",
        "licence": "CC0-1.0",
        "data": "",
        "metrics": {},
    }
    assert (second["version_name"], second["active_for"]) == (joint, ["JPN"])
    assert second["loaded"]
    assert second["proven"]


async def test_one_is_shown_whole_by_name_or_version(desk: Desk) -> None:
    german = desk.add("german", "DEU")
    await desk.activate("german")

    by_name = await desk.ok("GET", "/v1/adapters/german")
    by_version = await desk.ok("GET", f"/v1/adapters/{german}")

    assert by_name == by_version
    assert f"{by_name['name']}@{by_name['version']}" == german
    assert by_name["effect_nat"] > 0.1
    assert by_name["target_modules"] == ["q_proj", "v_proj"]
    assert set(by_name["sha256"]) == {
        "adapter_config.json", "adapter_model.safetensors", "README.md",
    }  # fmt: skip
    assert "messages" not in str(by_name)


async def test_activating_says_what_is_active_and_how_long_it_took(desk: Desk) -> None:
    joint = desk.add("joint", "DEU", "JPN")

    reply = await desk.activate(joint)
    assert reply.pop("took_ms") > 0.0
    assert reply == {
        "cultures": ["DEU", "JPN"],
        "adapter": joint,
        "active": {"DEU": joint, "JPN": joint},
    }
    assert await desk.answers("DE") == await desk.answers("JP") == joint


async def test_without_a_body_it_is_activated_for_all_that_it_serves(desk: Desk) -> None:
    joint = desk.add("joint", "DEU", "JPN")

    reply = await desk.ok("POST", "/v1/adapters/joint/activate")

    assert reply["active"] == {"DEU": joint, "JPN": joint}


async def test_another_is_activated_rolled_back_deactivated_and_removed(desk: Desk) -> None:
    first, second = desk.add("a", "DEU", seed=1), desk.add("b", "DEU", seed=2)
    await desk.activate(first, "Germany")
    await desk.activate(second, "de-DE")
    assert await desk.answers() == second

    back = await desk.ok("POST", "/v1/adapters/rollback", {"culture": "DE"})
    assert (back["cultures"], back["adapter"]) == (["DEU"], first)
    assert await desk.answers() == first
    removed = await desk.ok("DELETE", "/v1/adapters/b")
    assert removed["removed"] == second
    assert list(desk.vllm.adapters) == [first]
    assert [entry.version_name for entry in desk.registry.entries()] == [first]

    off = await desk.ok("POST", "/v1/adapters/deactivate", {"culture": "DEU"})
    assert (off["adapter"], off["active"]) == (None, {})
    assert await desk.answers() is None
    await until(lambda: not desk.vllm.adapters)


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("GET", "nobody", None, 404, "adapter-unknown: 'nobody' is not an adapter in the registry"),
    ("GET", "two", None, 422, "adapter-ambiguous: 'two' is 2 adapters; expected one of two@"),
    ("DELETE", "nobody", None, 404, "adapter-unknown"),
    ("DELETE", "german", None, 409, "adapter-in-use: german@"),
    ("POST", "nobody/activate", {}, 404, "adapter-unknown"),
    ("POST", "two/activate", {}, 422, "adapter-ambiguous"),
    ("POST", "any/activate", {}, 422, "cultures-missing: any@"),
    ("POST", "german/activate", {"cultures": ["NG"]}, 422, "adapter-for-others: german@"),
    ("POST", "german/activate", {"cultures": ["Atlantis"]}, 404, "culture-unknown: 'Atlantis'"),
    ("POST", "german/activate", {"cultures": "DE"}, 422, "request-invalid: body.cultures"),
    ("POST", "german/activate", {"cultures": [""]}, 422, "request-invalid: body.cultures.0"),
    ("POST", "german/activate", {"path": "/etc"}, 422, "request-invalid: body.path"),
    ("POST", "german/activate", {"cultures": ["DE"] * 301}, 422, "at most 300"),
    ("POST", "german/activate", [], 422, "request-invalid"),
    ("POST", "deactivate", {}, 422, "request-invalid: body.culture: Field required"),
    ("POST", "deactivate", {"culture": "Atlantis"}, 404, "culture-unknown"),
    ("POST", "rollback", {"culture": "DE", "to": "x"}, 422, "request-invalid: body.to"),
    ("POST", "rollback", {"culture": "NG"}, 409, "nothing-to-roll-back: No earlier state is"),
    ("POST", "german", {}, 405, "method-not-allowed"),
    ("PUT", "german", {}, 405, "method-not-allowed"),
]


async def test_what_does_not_fit_is_refused_and_changes_nothing(desk: Desk) -> None:
    german = desk.add("german", "DEU")
    desk.add("two", "DEU", seed=1)
    desk.add("two", "DEU", seed=2)
    desk.add("any", seed=3)
    await desk.activate(german)
    desk.vllm.received.clear()

    for method, path, body, status, said in REFUSED:
        found_status, found = await desk.refused(method, f"/v1/adapters/{path}", body)
        assert found_status == status, (method, path, body)
        assert said in found

    assert desk.loads == []
    assert desk.registry.active() == {"DEU": german}
    assert await desk.answers() == german


async def test_for_a_culture_that_no_question_is_answered_for_none_is_activated(desk: Desk) -> None:
    desk.add("icelandic", "ISL")

    status, said = await desk.refused("POST", "/v1/adapters/icelandic/activate", {})

    assert status == 404
    assert said.startswith("culture-not-covered: No loaded survey asked people of Iceland")
    assert (await desk.ok("GET", "/v1/adapters"))["active"] == {}


@pytest.mark.parametrize("key", [{}, {"X-API-Key": "wrong"}, USER])
async def test_without_an_admin_key_nothing_is_told_or_changed(
    desk: Desk, key: dict[str, str]
) -> None:
    german = desk.add("german", "DEU")
    await desk.activate(german)
    for method, path in (
        ("GET", "/v1/adapters"),
        ("GET", "/v1/adapters/german"),
        ("POST", "/v1/adapters/german/activate"),
        ("POST", "/v1/adapters/deactivate"),
        ("POST", "/v1/adapters/rollback"),
        ("DELETE", "/v1/adapters/german"),
    ):
        body = {"culture": "DE"} if method == "POST" else None
        reply = await desk.client.request(method, path, json=body, headers=key)
        assert reply.status_code == (403 if key is USER else 401)
        assert "german" not in reply.text
    assert desk.registry.active() == {"DEU": german}


async def test_an_adapter_without_effect_is_refused_and_the_previous_one_answers(
    desk: Desk,
) -> None:
    good, idle = desk.add("good", "DEU"), desk.add("idle", "DEU", seed=1)
    await desk.activate(good)
    desk.vllm.idle.add(idle)

    status, said = await desk.refused("POST", f"/v1/adapters/{idle}/activate", {})

    assert status == 422
    assert said.startswith("adapter-refused: no-effect: found answers to 6 canaries that differ")
    assert await desk.answers() == good
    assert list(desk.vllm.adapters) == [good]


async def test_what_vllm_does_not_take_is_said(desk: Desk) -> None:
    german = desk.add("german", "DEU")
    desk.vllm.refuses.add(german)

    status, said = await desk.refused("POST", "/v1/adapters/german/activate", {})

    assert status == 502
    assert "adapter-load-failed: german@" in said
    assert f"No adapter found for {desk.registry.path(german)}" in said
    assert desk.registry.active() == {}


async def test_where_the_files_are_is_not_told_to_who_only_asks(desk: Desk) -> None:
    desk.vllm.refuses.add(desk.add("german", "DEU"))
    body = {"question": RELIGION, "culture": "DE", "adapter": "german"}

    reply = await desk.client.post("/answer", json=body, headers=USER)

    assert reply.status_code == 502, reply.text
    assert reply.json()["detail"] == "It is in the log under this request id."
    assert str(desk.registry.folder) not in reply.text


async def test_a_canary_that_the_model_cannot_read_is_the_adapters_fault(desk: Desk) -> None:
    desk.add("german", "DEU")
    desk.vllm.max_model_len = 8
    try:
        status, said = await desk.refused("POST", "/v1/adapters/german/activate", {})
    finally:
        desk.vllm.max_model_len = 16384

    # Not "try again": it would be refused every time.
    assert status == 502
    assert said.startswith("adapter-load-failed: ")
    assert "maximum context length" in said
    assert desk.vllm.adapters == {}


async def test_an_altered_file_is_refused(desk: Desk) -> None:
    german = desk.add("german", "DEU")
    config = desk.registry.path(german) / "adapter_config.json"
    config.chmod(0o644)
    config.write_text(config.read_text() + " ")

    status, said = await desk.refused("POST", "/v1/adapters/german/activate", {})

    assert status == 422
    assert said.startswith("adapter-refused: hash: found ")
    assert desk.loads == []


async def test_without_lora_on_the_servers_it_is_said(
    house: tuple[str, FakeVllm, Settings],
) -> None:
    _, vllm, settings = house
    off = settings.model_copy(update={"vllm": settings.vllm.model_copy(update={"lora": False})})
    async with opened(off) as client:
        desk = Desk(client, vllm, off)
        for method, path, body in (
            ("GET", "/v1/adapters", None),
            ("GET", "/v1/adapters/x", None),
            ("POST", "/v1/adapters/x/activate", {}),
            ("POST", "/v1/adapters/rollback", {"culture": "DE"}),
            ("DELETE", "/v1/adapters/x", None),
        ):
            status, said = await desk.refused(method, path, body)
            assert status == 422
            assert said.startswith("adapters-off: The servers take no adapters")


STRANGE = [
    "/etc/passwd",
    "../secret",
    "..",
    ".",
    "../../registry/german",
    "file:///etc",
    "https://example.org/lora",
    "someone/some-lora",
    "someone--some-lora",
    "german/../german",
    "german\\..\\german",
    "german@../../x",
    "german@12345678/..",
    "%2e%2e%2fsecret",
    "..%2fsecret",
    "german\x00",
    "german\n",
    "\uff27\uff25\uff32\uff2d\uff21\uff2e",
    "gërman",
    "german\u200b",
    "\u202egerman",
    "german ",
    "GERMAN",
    "*",
    "germa?",
    "canaries",
    "active.json",
    ".lock",
    ".adding-x",
    "fake",
    "x" * 80,
    "x" * 5000,
    "💥",
    "'; drop table",
    "{name}",
]


async def raw_status(desk: Desk, line: str) -> int:
    """Return the status of a request whose path is sent as it is; httpx tidies `..` away."""
    url = desk.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"{line} HTTP/1.1\r\nHost: x\r\nX-API-Key: root\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert len(reply) < 2000
    return int(reply.split(b" ", 2)[1])


async def test_no_text_of_a_client_becomes_a_path(desk: Desk) -> None:
    german = desk.add("german", "DEU")
    (desk.settings.data_folder / "secret").mkdir()
    await desk.activate(german)
    before = sorted(desk.settings.data_folder.rglob("*"))
    desk.vllm.received.clear()
    chat = {"model": "fake", "messages": [{"role": "user", "content": NEIGHBOURS}]}
    for text in STRANGE:
        for spelling in (quote(text, safe=""), quote(text, safe="/")):
            path = f"/v1/adapters/{spelling}"
            for line in (f"GET {path}", f"DELETE {path}", f"POST {path}/activate"):
                assert await raw_status(desk, line) in (404, 405, 422), line
        asked = {"culture": "DE", "question": RELIGION, "adapter": text}
        reply = await desk.client.get("/answer", params=asked, headers=USER)
        assert reply.status_code in (404, 422), text
        reply = await desk.client.post("/answer", json=asked, headers=USER)
        assert reply.status_code in (404, 422), text
        for stream in (False, True):
            body = chat | {"adapter": text, "stream": stream}
            reply = await desk.client.post("/v1/chat/completions", json=body, headers=USER)
            assert reply.status_code in (400, 404), text

    assert desk.loads == []
    assert desk.vllm.chats == []
    assert sorted(desk.settings.data_folder.rglob("*")) == before
    assert desk.registry.active() == {"DEU": german}
    assert await desk.answers() == german


async def test_vllm_is_told_of_paths_within_the_registry_only(desk: Desk) -> None:
    names = [desk.add(f"a{seed}", "DEU", seed=seed) for seed in range(3)]
    for name in names:
        await desk.activate(name)

    assert desk.loads == [str(desk.registry.folder / name) for name in names]


async def test_a_client_that_leaves_amid_a_change_leaves_it_whole(desk: Desk) -> None:
    first, second = desk.add("a", "DEU", seed=1), desk.add("b", "DEU", seed=2)
    await desk.activate(first)
    # Each of the canaries takes as long.
    desk.vllm.delay_s = 0.05
    with pytest.raises(httpx.ReadTimeout):
        await desk.client.post(f"/v1/adapters/{second}/activate", headers=ADMIN, timeout=0.1)
    assert desk.registry.active() == {"DEU": first}
    desk.vllm.delay_s = 0.0
    await until(lambda: desk.registry.active() == {"DEU": second})
    await until(lambda: list(desk.vllm.adapters) == [second])

    assert (await desk.ok("GET", "/v1/adapters"))["active"] == {"DEU": second}


async def test_answers_go_on_while_adapters_change(desk: Desk) -> None:
    names = [desk.add(f"a{seed}", "DEU", seed=seed) for seed in range(2)]
    await desk.activate(names[0])
    done = asyncio.Event()

    async def ask() -> set[str | None]:
        found = set()
        while not done.is_set():
            found.add(await desk.answers())
        return found

    async def change() -> None:
        for n in range(1, 8):
            await desk.activate(names[n % 2])
        done.set()

    found, *others, _ = await asyncio.gather(*(ask() for _ in range(4)), change())

    assert set().union(found, *others) <= set(names)  # type: ignore[arg-type]
