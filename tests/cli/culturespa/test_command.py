"""`milieu culturespa` as a user runs it, on a fake vLLM; what trains is real."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.registry import AdapterRegistry
from cli.main import cli
from files.journal import write_lines
from tests.cli.culturespa.test_steps import NOWHERE, QUESTIONS, completion, written
from tests.fakes.vllm import MODEL, FakeVllm
from tests.fixtures.service import FakeServer
from tests.tiny_llama import tiny_chat_llama, tiny_llama

# "B" stands for its folder.
BASE = ("--base", "B", "--base-name", MODEL)


class Spa:
    """Runs `milieu culturespa` in this process, on a wide terminal."""

    def __init__(self, url: str, cache_folder: Path, folder: Path) -> None:
        self._env = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_DATA_FOLDER": str(folder / "data"),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": MODEL,
            # The fake gives little probability to labels.
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "COLUMNS": "250",
        }

    def __call__(self, *arguments: str | Path, **env: str) -> Result:
        given = ["culturespa", *map(str, arguments)]
        return CliRunner().invoke(cli, given, env=self._env | env)

    def done(self, *arguments: str | Path, **env: str) -> str:
        result = self(*arguments, **env)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.done(*arguments, "--json"))


@pytest.fixture
def spa(fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path) -> Spa:
    return Spa(fake_server.url, cache_folder, tmp_path)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    write_lines(file, QUESTIONS)
    return file


def check_refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = " ".join(result.stderr.split())
    assert "milieu: " in message
    assert "Traceback" not in message
    for part in said:
        assert part in message


@pytest.mark.parametrize("command", ["generate", "filter", "answer", "collect", "train", "run"])
def test_help_of_a_step_has_an_example(spa: Spa, command: str) -> None:
    assert f"milieu culturespa {command} --" in spa(command, "--help").stdout


def test_the_released_questions_are_filtered_to_the_papers_numbers(
    spa: Spa, shared: Path, tmp_path: Path
) -> None:
    released = shared / "data" / "culturespa" / "generated_questions.jsonl.gz"

    said = spa.done("filter", "--questions", released, "--out", tmp_path / "2")

    assert "13,000 → 12,891 → 12,860 → 12,847 questions" in said
    # Read again from another temporary file, it is the same step.
    assert spa.done("filter", "--questions", released, "--out", tmp_path / "2") == said


def test_generated_questions_are_counted_by_topic(spa: Spa, fake: FakeVllm, tmp_path: Path) -> None:
    fake.script(written(0), completion("No."), written(1))
    arguments = ("generate", "--out", tmp_path / "1", "--per-topic", "2", "--topic", "Corruption")

    manifest = spa.json(*arguments)

    assert manifest["counts"]["outcomes"] == {"Corruption": {"no-json": 1, "written": 2}}
    assert "generate: 2 questions written" in spa.done(*arguments)
    assert len(fake.chats) == 3


def test_answers_are_collected_by_culture_and_topic(
    spa: Spa, questions: Path, tmp_path: Path
) -> None:
    cultures = ("-c", "US", "-c", "Zimbabwe")
    said = spa.done("answer", "--questions", questions, "--out", tmp_path / "3", *cultures)
    assert "answer: 12 answers of fake, unaware and as 2 cultures; 0 unreadable" in said

    answers = tmp_path / "3" / "answers.jsonl"
    collect = ("collect", "--questions", questions, "--answers", answers, "--out", tmp_path / "4")
    counts = spa.json(*collect)["counts"]
    said = spa.done(*collect)

    verdicts = counts["verdicts"]
    assert [sum(verdicts[code].values()) for code in ("USA", "ZWE")] == [4, 4]
    n_kept = sum(of.get("kept", 0) for of in verdicts.values())
    assert 0 < n_kept == counts["examples"] == sum(of["Life"] for of in counts["topics"].values())
    assert f"collect: {n_kept} examples" in said


def test_a_run_ends_with_adapters_in_the_registry(
    spa: Spa, fake: FakeVllm, questions: Path, tmp_path: Path
) -> None:
    arguments = (
        "run", "--out", tmp_path / "run", "--questions", questions, "-c", "US", "-c", "ZW",
        "--control", "--method", "cross-culture", "--learning-rate", "2e-3", "--no-train-end",
        "--batch-size", "4", "--threads", "1", "--licence", "CC0-1.0",
        "--base", tiny_chat_llama(), "--base-name", MODEL,
    )  # fmt: skip

    said = spa.done(*arguments)

    assert sorted(folder.name for folder in (tmp_path / "run").iterdir()) == [
        "2-filter", "3-answer", "4-collect", "5-train-joint", "5-train-joint-control",
    ]  # fmt: skip
    entries = {e.name: e for e in AdapterRegistry(tmp_path / "data" / "adapters").entries()}
    assert set(entries) == {"culturespa-joint", "culturespa-joint-control"}
    joint = entries["culturespa-joint"]
    assert joint.about.method == "culturespa-joint-cct"
    assert joint.about.licence == "CC0-1.0"
    assert joint.about.data.endswith("that differ from its unaware ones")
    assert "drawn at random" in entries["culturespa-joint-control"].about.data
    assert f"milieu adapters activate {joint.version_name} -c USA -c ZWE\n" in said
    sets = f"--adapter joint={joint.version_name} --adapter joint-control=culturespa-joint-control@"
    assert f"milieu evaluate --pack wvs7 -c USA -c ZWE {sets}" in said

    # Once more: nobody is asked, nothing is trained, and the registry stays as it is.
    n_before = len(fake.received)
    assert spa.done(*arguments, MILIEU_VLLM__URLS=NOWHERE) == said
    assert len(fake.received) == n_before
    # Nor does it go on with other hyper-parameters in the same folder.
    check_refused_after_steps(spa(*arguments, "--rank", "4"), "other settings")


def check_refused_after_steps(result: Result, said: str) -> None:
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())


def test_a_step_with_other_settings_leaves_the_folder_alone(
    spa: Spa, questions: Path, tmp_path: Path
) -> None:
    arguments = ("answer", "--questions", questions, "--out", tmp_path / "3", "-c", "US")
    spa.done(*arguments)

    check_refused(spa(*arguments, "-c", "DE"), "a step with other setting cultures")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("answer", "--questions", "Q", "--out", "O", "-c", "Atlantis"), "'Atlantis' is no ISO"),
        (("answer", "--questions", "Q", "--out", "O"), "--culture: found none"),
        (("answer", "--questions", "none.jsonl", "--out", "O", "-c", "US"), "found no file"),
        (("answer", "--questions", "E", "--out", "O", "-c", "US"), "something else in row 1"),
        (("answer", "--questions", "Z", "--out", "O", "-c", "US"), "gzip file that CultureSPA"),
        (("filter", "--questions", "E", "--out", "O"), "something else in row 1"),
        (("filter", "--questions", "Z", "--out", "O"), "found no such release"),
        (("filter", "--questions", "Q", "--out", "O", "--pack", "mine"), "No pack 'mine'"),
        (("generate", "--out", "O", "--topic", "Love"), "--topic: found Love, expected one of"),
        (("collect", "--questions", "Q", "--answers", "E", "--out", "O", "--ratio", "0"),
         "--ratio: found 0, expected a share above 0"),
        (("collect", "--questions", "Q", "--answers", "E", "--out", "O", "--ratio", "nan"),
         "--ratio: found nan"),
        (("collect", "--questions", "Q", "--answers", "E", "--out", "O", "--max-p-value", "0"),
         "--max-p-value: found 0"),
        (("collect", "--questions", "Q", "--answers", "E", "--out", "O"), "E, row 1: found"),
        (("train", "--examples", "E", "--questions", "Q", "--out", "O"), "--base: found nothing"),
        (("run", "--out", "O", *BASE), "--culture: found none"),
        (("run", "--out", "O", "-c", "US", "--ratio", "1.5", *BASE), "--ratio: found 1.5"),
        (("run", "--out", "O", "-c", "US", "--name", "My name", *BASE), "--name: found My name"),
        (("run", "--out", "O", "-c", "US", "--rank", "64", *BASE), "--rank: found 64, expected 8"),
        (("run", "--out", "O", "-c", "US", "--source", "mine", *BASE), "NAME=TERMS"),
        (("run", "--out", "O", "-c", "US", "--base", "O", "--base-name", "b"), "--base: found"),
        (("run", "--out", "O", "-c", "US", "--from-survey", "--questions", "Q", *BASE),
         "found also --from-survey"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_message(
    spa: Spa, questions: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "E").write_text('{"some": "thing"}\n')
    (tmp_path / "Z").write_bytes(gzip.compress(b"{}\n"))
    places = {each: tmp_path / each for each in "EZO"} | {"Q": questions, "B": tiny_llama()}

    check_refused(spa(*(places.get(each, each) for each in arguments)), said)

    assert not (tmp_path / "O").exists()


def test_no_question_on_a_topic_is_no_wish(spa: Spa, tmp_path: Path) -> None:
    result = spa("generate", "--out", tmp_path / "1", "--per-topic", "0")

    assert result.exit_code == 2
    assert "--per-topic" in result.stderr
