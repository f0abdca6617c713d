"""What the service stands on is opened whole or not at all, and closed without a trace."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import UpstreamInvalid, UpstreamModelMissing
from app.resources import open_resources
from app.settings import Settings
from app.telemetry import Metrics
from embedded_model.errors import UnpackedAltered
from embedded_model.manifest import write_manifest
from embedded_model.source import SMOLLM2
from embedded_model.unpack import describe, name_folder
from retrieval.errors import EncoderUnavailable, IndexInvalid, IndexUnwritable
from survey_data.errors import PackInvalid, PackMissing, PackTermsRefused
from tests.app.service import RELIGION, opened, settings_for
from tests.fakes.vllm import FakeVllm, serve
from tests.fixtures.service import MakeSettings

PACKS = Path(__file__).parents[2] / "survey_data" / "packs"
SMALL = ("undp-ai-2025",)
NOWHERE = "http://127.0.0.1:9"  # discard: nothing listens there


async def start(settings: Settings) -> None:
    async with open_resources(settings, Metrics()):
        pass


@pytest.fixture
def copied_pack(tmp_path: Path) -> Path:
    folder = tmp_path / "packs" / "copied"
    shutil.copytree(PACKS / "undp-ai-2025", folder)
    return folder


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("shares.csv", lambda text: text + "x", "shares.csv: sha256 is"),
        ("questions.jsonl", lambda text: "", "questions.jsonl: sha256 is"),
        ("pack.toml", lambda text: text + "\n= 1", "pack.toml"),
        ("pack.toml", lambda text: text, "a second pack with the id 'undp-ai-2025'"),
    ],
)
async def test_a_broken_pack_stops_the_start(
    make_settings: MakeSettings,
    copied_pack: Path,
    file: str,
    change: Callable[[str], str],
    said: str,
) -> None:
    path = copied_pack / file
    path.write_text(change(path.read_text()))

    with pytest.raises(PackInvalid, match=said) as caught:
        await start(make_settings(pack_folders=(str(copied_pack.parent),)))
    assert str(copied_pack) in str(caught.value)


async def test_a_pack_that_is_not_there_stops_the_start(make_settings: MakeSettings) -> None:
    with pytest.raises(PackMissing, match=r"No pack has the id 'wvs8'; found .*wvs7"):
        await start(make_settings(packs=("wvs8",)))


async def test_commercial_use_is_refused_where_terms_do_not_allow_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    with pytest.raises(PackTermsRefused, match="'climate-2022' may not be used commercially"):
        await start(make_settings(commercial_use=True))

    settings = make_settings(
        commercial_use=True, packs=("undp-ai-2025",), cache_folder=tmp_path / "cache"
    )
    async with opened(settings) as client:
        cultures = (await client.get("/v1/cultures")).json()["cultures"]
    assert {pack["id"] for culture in cultures for pack in culture["packs"]} == {"undp-ai-2025"}


async def test_a_model_that_vllm_does_not_serve_stops_the_start(
    make_settings: MakeSettings,
) -> None:
    with pytest.raises(UpstreamModelMissing, match="does not serve 'llama': it serves fake"):
        await start(make_settings(vllm={"model": "llama"}))


async def test_a_server_that_is_no_vllm_stops_the_start(
    milieu_url: str, cache_folder: Path
) -> None:
    with pytest.raises(UpstreamInvalid, match="404"):
        await start(settings_for(f"{milieu_url}/livez", cache_folder))


async def test_a_wrong_key_for_vllm_stops_the_start(cache_folder: Path) -> None:
    with (
        serve(FakeVllm(api_key="right").app) as url,
        pytest.raises(UpstreamInvalid, match=r"401.*address and key"),
    ):
        await start(settings_for(url, cache_folder, vllm={"api_key": "wrong"}))


async def test_a_server_that_does_not_answer_yet_is_waited_for(
    make_settings: MakeSettings,
) -> None:
    vllm = {"urls": (NOWHERE,), "n_retries": 0}
    async with opened(make_settings(vllm=vllm)) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        reply = await client.get(
            "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
        )
        exemplars = await client.post("/v1/exemplars", json={"culture": "DE", "question": RELIGION})

    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:milieu:problem:vllm-unavailable"
    assert int(reply.headers["Retry-After"]) >= 1
    assert exemplars.status_code == 200


async def test_one_of_two_servers_is_enough(make_settings: MakeSettings, fake: FakeVllm) -> None:
    urls = (NOWHERE, *make_settings().vllm.urls)
    async with opened(make_settings(vllm={"urls": urls})) as client:
        assert (await client.get("/readyz")).status_code == 200
        for _ in range(3):
            reply = await client.get(
                "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
            )
            assert reply.status_code == 200


async def test_an_altered_index_stops_the_start(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(cache_folder=tmp_path, packs=SMALL)
    await start(settings)
    [vectors] = (tmp_path / "index").glob("*/vectors-*.npy")
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)

    with pytest.raises(IndexInvalid, match="Run `milieu index` to write it anew"):
        await start(settings)


async def test_a_missing_index_is_built(make_settings: MakeSettings, tmp_path: Path) -> None:
    await start(make_settings(cache_folder=tmp_path, packs=SMALL))

    [_] = (tmp_path / "index").glob("*/manifest.json")


async def test_an_index_that_cannot_be_kept_stops_the_start(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")

    with pytest.raises((IndexUnwritable, IndexInvalid), match="Index"):
        await start(make_settings(cache_folder=tmp_path, packs=SMALL))


async def test_an_encoder_that_is_not_there_stops_the_start(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    with pytest.raises(EncoderUnavailable, match="cannot be loaded"):
        await start(make_settings(encoder={"name": str(tmp_path / "none")}))


async def test_a_service_multiplies_small_matrices_in_one_thread(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[dict[str, object]] = []

    # The limit holds for the whole process, which other tests share.
    @contextmanager
    def limit(**to: object) -> Iterator[None]:
        limits.append(to)
        yield
        limits.remove(to)

    monkeypatch.setattr("app.resources.threadpool_limits", limit)
    async with open_resources(make_settings(), Metrics()):
        assert limits == [{"limits": 1, "user_api": "blas"}]
    assert limits == []


async def test_nothing_is_left_after_the_end(make_settings: MakeSettings, fake: FakeVllm) -> None:
    before = set(threading.enumerate())
    tasks = asyncio.all_tasks()
    async with opened(make_settings()) as client:
        await client.get(
            "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
        )
    with pytest.raises(UpstreamModelMissing):
        await start(make_settings(vllm={"model": "llama"}))

    # Other threads that came up meanwhile are those of fixtures, or the loop's own.
    ours = {thread for thread in threading.enumerate() if thread.name.startswith("retrieval")}
    for thread in ours - before:
        thread.join(timeout=5.0)
        assert not thread.is_alive(), thread.name
    assert asyncio.all_tasks() == tasks
    # A session that was left open warns when it is collected, and a warning fails the test.
    gc.collect()


async def test_an_altered_model_of_the_cache_stops_the_start(tmp_path: Path) -> None:
    settings = Settings(cache_folder=tmp_path)
    folder = settings.models_folder / name_folder(describe(SMOLLM2, None))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    write_manifest(folder, {})
    (folder / "config.json").write_text('{"a": 1}')

    with pytest.raises(UnpackedAltered, match=r"config\.json: found sha256"):
        await start(settings)
