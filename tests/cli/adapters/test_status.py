"""`milieu adapters status`: what answers where; it fails where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

from app.state.admin_key import keep_admin_key
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import served
from tests.cli.adapters.test_command import Adapters
from tests.fakes.simulator import replicas
from tests.fakes.vllm import FakeVllm


def test_each_server_is_shown_and_what_is_missing_on_one_is_told(
    cache_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    key = keep_admin_key(tmp_path / "data")
    adapters = Adapters(tmp_path)
    with replicas(FakeVllm(max_model_len=16384), FakeVllm(max_model_len=16384)) as (able, unable):
        settings = adapter_settings(able.url, cache_folder, tmp_path / "data", admin_keys=key)
        urls = {"urls": (able.url, unable.url)}
        settings = settings.model_copy(update={"vllm": settings.vllm.model_copy(update=urls)})
        one, two = (add_adapter(settings, name, ["DEU"]) for name in ("one", "two"))
        unable.fake.refuses.add(two)
        with served(settings) as url:
            adapters("activate", one, "--url", url)
            assert _states(adapters("status", "--url", url)) == [(one, "ready")] * 2
            adapters("activate", two, "--url", url)
            result = adapters.run("status", "--url", url)
            found = json.loads(adapters.run("status", "--json", "--url", url).stdout)

    assert result.exit_code == 1
    assert _states(result.stdout, of=two) == [(two, "ready"), (two, "failed")]
    assert "No adapter found" in result.stdout
    assert found["active"] == {"DEU": two}
    assert [replica["replica"] for replica in found["replicas"]] == [
        replica.url.removeprefix("http://") for replica in (able, unable)
    ]


def _states(table: str, of: str = "") -> list[tuple[str, str]]:
    """Return version and state of each row that is of version `of`."""
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines()]
    return [(row[2], row[3]) for row in rows if len(row) > 4 and of in row[2] and "@" in row[2]]
