"""`milieu batch --ray` where no Ray is needed: what it refuses, and the service of a worker."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.errors import SettingsInvalid
from cli.batch.on_ray import worker_settings
from cli.batch.own_service import own_service
from cli.main import cli
from cli.service_connection import connect
from survey_data.errors import SurveyDataError
from tests.app.service import RELIGION, settings_for
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer, MakeSettings


def refused(tmp_path: Path, *arguments: str) -> str:
    """Run a batch that is refused; return what it says."""
    questions = tmp_path / "questions.csv"
    questions.write_text(f"question\n{RELIGION}\n")
    given = ["batch", str(questions), "-c", "DE", "--out", str(tmp_path / "shares.csv"), "--ray"]
    result = CliRunner().invoke(cli, [*given, *arguments], env={"COLUMNS": "250"})
    assert result.exit_code == 2
    assert not (tmp_path / "shares.csv.journal").exists()
    return result.stderr


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_how_to_install_it(tmp_path: Path) -> None:
    assert "pip install 'milieu[ray]'" in refused(tmp_path)


def test_no_running_service_is_asked_beside_it(tmp_path: Path) -> None:
    said = refused(tmp_path, "--url", "http://127.0.0.1:9")
    assert "--url" in said
    assert "none beside --ray" in said


def test_a_worker_keeps_experiments_in_a_database_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert worker_settings().experiments.is_off
    monkeypatch.setenv("MILIEU_EXPERIMENTS__STORE", "postgresql://somewhere/milieu")
    monkeypatch.setenv("MILIEU_EXPERIMENTS__UNIT_SECRET", "0123456789abcdef")
    assert worker_settings().experiments.postgres_url == "postgresql://somewhere/milieu"
    monkeypatch.setenv("MILIEU_PROT", "8000")
    with pytest.raises(SettingsInvalid, match="MILIEU_PORT"):
        worker_settings()


def test_a_worker_answers_by_a_service_of_its_own(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    settings = make_settings(experiments={"store": "none"}, api_keys=("some-key",))
    with own_service(settings) as own, connect(own, url=None) as milieu:
        assert own.host == "127.0.0.1"
        assert own.port not in (0, settings.port)
        (result,) = milieu.batch([{"question": RELIGION, "culture": "DE"}])
    assert result.problem is None


def test_what_a_service_cannot_start_on_is_raised_where_it_is_wanted(
    fake_server: FakeServer, cache_folder: Path
) -> None:
    settings = settings_for(fake_server.url, cache_folder, packs=("no-such-pack",))
    with pytest.raises(SurveyDataError, match="no-such-pack"), own_service(settings):
        pytest.fail("it started")
