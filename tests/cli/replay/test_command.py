"""`milieu experiments replay` as a user runs it, on a fake vLLM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.settings import Settings
from app.state.event_store import open_event_store
from cli.main import cli
from experiments.events import AnswerText
from experiments.replay.result import Replay
from tests.experiments.definitions import write_experiment
from tests.experiments.events import a_text, an_experiment, an_exposure
from tests.fakes.vllm import MODEL, FakeVllm
from tests.fixtures.service import FakeServer, MakeSettings

ROOT = Path(__file__).parents[3]
FEW = ("--pack", "wvs7", "-c", "DE", "-c", "Kenya", "--n-questions", "3")


class Replayed:
    """Runs the command in this process, on a store of the test's own."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.env = {
            "MILIEU_CACHE_FOLDER": str(settings.cache_folder),
            "MILIEU_DATA_FOLDER": str(settings.data_folder),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": MODEL,
            # The fake gives little probability to labels.
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "COLUMNS": "200",
        }

    def __call__(self, *arguments: str | Path) -> Result:
        given = map(str, ("experiments", "replay", *arguments))
        return CliRunner().invoke(cli, list(given), env=self.env)

    def save(self, *texts: AnswerText) -> None:
        """Put the experiment `ways` into the store, and texts that were logged."""

        async def saved() -> None:
            async with await open_event_store(self.settings) as store:
                await store.save(an_experiment())
                for text in texts:
                    exposure = an_exposure(text.answer_id, culture=text.culture)
                    await store.record(exposure, text)

        asyncio.run(saved())

    def attached(self) -> Replay | None:
        """What the store has of the experiment."""

        async def found() -> dict[str, str]:
            async with await open_event_store(self.settings) as store:
                return await store.attachments("ways")

        content = asyncio.run(found()).get("replay")
        return None if content is None else Replay.model_validate_json(content)


@pytest.fixture
def replays(make_settings: MakeSettings, fake_server: FakeServer, tmp_path: Path) -> Replayed:
    return Replayed(make_settings(data_folder=tmp_path / "data"), fake_server.url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ways.yaml"
    write_experiment(an_experiment(), path)
    return path


def test_a_stored_experiment_is_replayed_and_keeps_its_replay(replays: Replayed) -> None:
    replays.save()

    result = replays("ways", *FEW)

    assert result.exit_code == 0, result.output
    assert "3 questions of wvs7, 2 cultures" in result.stdout
    assert "icl less plain" in result.stdout
    assert "milieu experiments report ways" in result.stderr
    found = replays.attached()
    assert found is not None
    assert found.n_requests == 6
    assert found.offline()["icl"].source == "3 questions of wvs7, 2 cultures"


def test_a_replay_takes_the_place_of_an_earlier_one(replays: Replayed) -> None:
    replays.save()

    replays("ways", *FEW)
    replays("ways", *FEW, "--seed", "3")

    found = replays.attached()
    assert found is not None
    assert found.seed == 3


def test_a_replay_without_alignment_does_not_take_the_place_of_one(replays: Replayed) -> None:
    request = {"kind": "answer", "question": "Where is Rosebud?", "seed": 1}
    replays.save(a_text("a1", request=json.dumps(request)))
    replays("ways", *FEW)

    result = replays("ways", "--logged")

    assert result.exit_code == 0, result.output
    assert "Not kept" in result.stderr
    found = replays.attached()
    assert found is not None
    assert found.source.startswith("3 questions")


def test_a_definition_in_a_file_is_replayed_and_not_kept(replays: Replayed, file: Path) -> None:
    result = replays("--file", file, *FEW)

    assert result.exit_code == 0, result.output
    assert not replays.settings.events_file.exists()


def test_what_was_logged_with_consent_is_replayed(replays: Replayed, fake: FakeVllm) -> None:
    request = {"kind": "answer", "question": "Where is Rosebud?", "seed": 1}
    agreed = a_text("a1", request=json.dumps(request))
    refused = a_text("a2", request=json.dumps(request | {"question": "No!"}), consented=False)
    replays.save(agreed, refused)

    result = replays("ways", "--logged")

    assert result.exit_code == 0, result.output
    assert "1 logged request with consent" in result.stdout
    asked = [chat.body["messages"][-1]["content"] for chat in fake.chats]
    assert len(asked) == 4
    assert all("Rosebud" in text for text in asked)


def test_results_go_into_a_folder(replays: Replayed, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"

    result = replays("--file", file, *FEW, "--out", folder)

    assert result.exit_code == 0, result.output
    assert {each.name for each in folder.iterdir()} == {"replay.json", "rows.jsonl", "report.html"}
    found = Replay.model_validate_json((folder / "replay.json").read_text())
    assert found.n_requests == 6


def test_json_is_the_replay(replays: Replayed, file: Path) -> None:
    result = replays("--file", file, *FEW, "--json")

    assert Replay.model_validate_json(result.stdout).control == "plain"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "found neither"),
        (("ways", "--file", "x.yaml"), "found 'ways' and --file"),
        (("ways",), "No experiment is named"),
        (("--file", "missing.yaml"), "missing.yaml"),
        (("ways", "--logged", "--pack", "wvs7"), "--logged"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_message(
    replays: Replayed, fake: FakeVllm, arguments: tuple[str, ...], said: str
) -> None:
    result = replays(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not fake.chats


def test_a_folder_with_files_is_refused_before_anything_is_asked(
    replays: Replayed, fake: FakeVllm, file: Path
) -> None:
    result = replays("--file", file, *FEW, "--out", file.parent)

    assert result.exit_code == 2
    assert "found files" in " ".join(result.stderr.split())
    assert not fake.chats


def test_where_nothing_was_answered_nothing_is_kept(replays: Replayed) -> None:
    request = {"kind": "chat", "messages": [{"role": "user", "content": "word " * 20_000}]}
    replays.save(a_text("a1", request=json.dumps(request)))

    result = replays("ways", "--logged")

    assert result.exit_code == 1, result.output
    assert "No request was answered." in result.stdout
    assert replays.attached() is None


def test_ctrl_c_shows_what_was_found_and_keeps_nothing(
    replays: Replayed, fake: FakeVllm, tmp_path: Path
) -> None:
    replays.save()
    fake.delay_s = 0.02
    # Started in the background, tests and their children would be deaf to it.
    script = (
        "import signal; from cli.main import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
    )
    options = ("--concurrency", "1", "--n-questions", "200", "--out", str(tmp_path / "out"))
    child = subprocess.Popen(
        [sys.executable, "-c", script, "experiments", "replay", "ways", *options],
        env=os.environ | replays.env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        while "answers to get" not in child.stderr.readline():
            assert child.poll() is None
        while len(fake.chats) < 30:
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        stdout, _ = child.communicate(timeout=180)
    finally:
        child.kill()
        child.wait()

    assert child.returncode == 130
    assert "ended before" in stdout
    assert (tmp_path / "out" / "report.html").is_file()
    assert replays.attached() is None
