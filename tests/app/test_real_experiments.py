"""The service is killed in an experiment on the real vLLM: nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.restarts import Load, Upstream, run, service_fields
from tests.conftest import ServedVllm

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]


async def test_a_killed_service_loses_nothing_and_keeps_every_user_in_one_arm(
    real_vllm: ServedVllm, cache_folder: Path, tmp_path: Path
) -> None:
    # A machine that is busy with other things must not make the store look slow.
    load = Load(n_requests=200, n_units=50, n_kills=1, n_clients=16, wait_s=20.0)
    fields = service_fields(
        Upstream(real_vllm.url, real_vllm.api_key),
        tmp_path,
        wait_s=load.wait_s,
        cache_folder=cache_folder,
    )

    seen = await run(fields, tmp_path, load)

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
