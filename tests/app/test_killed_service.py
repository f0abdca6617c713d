"""The service is killed in an experiment: nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import EMBEDDED_MODEL
from benchmarks.restarts import Load, Upstream, run, service_fields
from tests.conftest import ServedVllm
from tests.fakes.vllm import FakeVllm, serve
from tests.tiny_llama import tiny_llama

# A machine that is busy with other things must not make the store look slow.
LOAD = Load(n_requests=200, n_units=50, n_kills=1, n_clients=16, wait_s=20.0)


async def test_a_killed_service_loses_nothing_and_keeps_every_user_in_one_arm(
    cache_folder: Path, tmp_path: Path
) -> None:
    with serve(FakeVllm(model=EMBEDDED_MODEL, max_model_len=16384).app) as url:
        await check_a_kill(Upstream(url, "", tiny_llama()), cache_folder, tmp_path)


@pytest.mark.deep
@pytest.mark.vllm
async def test_a_killed_service_on_the_real_vllm_loses_nothing(
    bare_vllm: ServedVllm, vllm_model_dir: Path, cache_folder: Path, tmp_path: Path
) -> None:
    upstream = Upstream(bare_vllm.url, bare_vllm.api_key, vllm_model_dir)
    await check_a_kill(upstream, cache_folder, tmp_path)


async def check_a_kill(vllm: Upstream, cache_folder: Path, folder: Path) -> None:
    fields = service_fields(vllm, folder, wait_s=LOAD.wait_s, cache_folder=cache_folder)

    seen = await run(fields, folder, LOAD)

    counts = seen.checked.counts
    assert seen.checked.broken == []
    assert counts["answers acknowledged"] == 200
    assert counts["outcomes acknowledged"] > 60
    assert counts["answers whose arm the store did not settle in time"] == 0
    assert {name for name in counts if name.startswith("… in arm")} == {
        "… in arm plain",
        "… in arm icl",
        "… in arm adapter",
        "… in arm adapter+icl",
    }
    assert len(seen.down_s) == 1
