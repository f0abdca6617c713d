"""`milieu calibrate` as a user runs it, on a fake vLLM and once on the real one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.errors import CalibrationUnfit, UpstreamRejected
from app.settings import Settings
from cli.calibrate.options import CalibrateOptions
from cli.calibrate.output import CalibrationProgress
from cli.calibrate.run import SavedCalibration, run_calibration
from cli.console import notes
from cli.main import cli
from embedded_model.reader_files import READER_NAME
from tests.app.service import NEIGHBOURS, served
from tests.conftest import ServedVllm
from tests.fakes.vllm import MODEL, FakeVllm, Scripted
from tests.fixtures.service import FakeServer, MakeSettings

FEW = ("--questions", "60", "-c", "DE", "-c", "Japan")
# Each question is asked as those of the two who were asked it.
N_ASKED = 90
FEW_OPTIONS = CalibrateOptions(cultures=("DE", "Japan"), n_questions=60, n_concurrent=1)


class Calibrate:
    """Runs `milieu calibrate` in this process, with data and answers in a folder of the test's."""

    def __init__(self, url: str, cache_folder: Path, folder: Path) -> None:
        self.file = folder / "calibration.json"
        self.env = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_DATA_FOLDER": str(folder),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": MODEL,
            # The fake gives little probability to labels.
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "COLUMNS": "120",
        }

    def __call__(self, *arguments: str | Path, **env: str) -> Result:
        given = ["calibrate", *map(str, arguments)]
        return CliRunner().invoke(cli, given, env=self.env | env)

    def read(self, *arguments: str | Path, **env: str) -> dict[str, Any]:
        """Run it, and return what it wrote."""
        result = self(*arguments, "--out", self.file, **env)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found


async def run(settings: Settings, options: CalibrateOptions) -> SavedCalibration:
    with CalibrationProgress(notes) as progress:
        return await run_calibration(settings, options, progress=progress)


def scored(fake: FakeVllm) -> list[Mapping[str, Any]]:
    """Return the chats that ask for an answer, not for the tokens of labels."""
    return [chat.body for chat in fake.chats if chat.body.get("logprob_token_ids")]


def texts(fake: FakeVllm) -> list[str]:
    return [json.dumps(body["messages"]) for body in scored(fake)]


def check_refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.split())
    assert "Traceback" not in message
    for part in said:
        assert part in message


@pytest.fixture
def calibrate(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> Calibrate:
    return Calibrate(fake_server.url, cache_folder, tmp_path)


def test_the_service_finds_what_was_calibrated(
    calibrate: Calibrate, make_settings: MakeSettings, fake: FakeVllm, tmp_path: Path
) -> None:
    result = calibrate(*FEW, "--method", "icl", "--method", "persona")

    assert result.exit_code == 0, result.output
    assert len(scored(fake)) == 2 * N_ASKED
    assert len(set(texts(fake))) == 2 * N_ASKED
    assert re.search(r"raw +calibrated +related alone +pooled", result.stdout)
    for name in ("icl, shares", "persona"):
        # Of near questions there may be too few.
        row = rf"^{name}: far +\d+ +\d+( +0\.\d{{3}}){{4}} *$"
        assert re.search(row, result.stdout, re.MULTILINE)
    for part in ("temperature 1, no bias|largest bias ", "^  near: ", "^  far: "):
        assert len(re.findall(part, result.stdout, re.MULTILINE)) == 2
    [line] = re.findall(r"^Calibration (\w{8}) is in (.+)$", result.stdout, re.MULTILINE)
    body = {"culture": "DE", "question": NEIGHBOURS, "options": ["Yes", "No"]}
    with (
        served(make_settings(data_folder=tmp_path)) as url,
        httpx.Client(base_url=url, timeout=30.0) as client,
    ):
        ready = client.get("/readyz").json()
        answer = client.post("/answer", json=body | {"method": "persona"}).json()
    assert ready["calibration"]["id"] == answer["model"]["calibration"] == line[0]
    assert [of["method"] for of in ready["calibration"]["methods"]] == ["icl", "persona"]
    assert all(of["far"]["n_questions"] >= 30 for of in ready["calibration"]["methods"])


async def test_an_interrupted_run_asks_nothing_twice_and_a_finished_one_anew(
    make_settings: MakeSettings, fake: FakeVllm, tmp_path: Path
) -> None:
    settings = make_settings(calibration=tmp_path / "calibration.json")
    # Ten chats are well, and then vLLM refuses one.
    fake.script(*([Scripted()] * 10), Scripted(status=400, message="enough"))

    with pytest.raises(UpstreamRejected, match="enough"):
        await run(settings, FEW_OPTIONS)

    before = texts(fake)
    fake.received.clear()
    first = await run(settings, FEW_OPTIONS)

    after = texts(fake)
    # Of those before, one was refused.
    assert len(before) + len(after) == N_ASKED + 1
    assert len({*before, *after}) == N_ASKED
    fake.received.clear()
    again = await run(settings, FEW_OPTIONS)

    assert len(texts(fake)) == N_ASKED
    assert again.file == first.file == settings.calibration
    assert again.calibration.recipes[0].model.model == first.calibration.recipes[0].model.model


async def test_a_model_whose_answers_cannot_be_read_is_not_calibrated(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    file = tmp_path / "calibration.json"
    settings = make_settings(calibration=file, answer={"min_label_mass": 0.9})

    with pytest.raises(CalibrationUnfit, match="icl: found readable answers to 0 questions, exp"):
        await run(settings, FEW_OPTIONS)
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "adapter+icl"), "an adapter is not calibrated"),
        (("--questions", "5"), "greater than or equal to 50"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    calibrate: Calibrate, fake: FakeVllm, arguments: tuple[str, ...], said: str
) -> None:
    check_refused(calibrate(*arguments), said)
    assert not scored(fake)


@pytest.mark.deep
@pytest.mark.vllm
def test_the_real_model_is_put_right(calibrate: Calibrate, real_vllm: ServedVllm) -> None:
    saved = calibrate.read(
        *("--questions", "50"),
        MILIEU_VLLM__URLS=real_vllm.url,
        MILIEU_VLLM__MODEL=real_vllm.model,
        MILIEU_VLLM__API_KEY=real_vllm.api_key,
        MILIEU_VLLM__READER=READER_NAME,
        # Two exemplars are half as much to read as five.
        MILIEU_ANSWER__K="2",
        MILIEU_ANSWER__MIN_LABEL_MASS="0.05",
    )

    [fitted] = saved["recipes"]
    assert 0.2 < fitted["model"]["model"] < 1.5
    reached = fitted["far"]["reached"]
    assert 0.6 < reached["raw"] < 0.8
    # No pool is worse than the better of its parts by more than what chance does to so few.
    assert reached["pooled"] > max(reached["calibrated"], reached["related"]) - 0.02
