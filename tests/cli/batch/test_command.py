"""`milieu batch` writes a table, goes on where it stopped, and needs no service to do it again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import polars
import pytest
from typer.testing import CliRunner, Result

from app.api.presenting_batch import COLUMNS
from cli.main import cli
from tests.app.service import RELIGION, RELIGION_KEY, served, settings_for
from tests.fakes.vllm import FakeVllm, serve

ROOT = Path(__file__).parents[3]
MILIEU = [sys.executable, "-c", "from cli.main import main; main()"]
# Nothing listens there.
NOWHERE = "http://127.0.0.1:9"
LIE = "Is it right to tell a lie?"
TABLE = f"question,options,culture\n{RELIGION},,\n{LIE},Yes|No,\n{LIE},Yes|Yes,\n{RELIGION},,JP\n"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.csv"
    file.write_text(TABLE)
    return file


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "shares.csv"


def batch(questions: Path, out: Path, url: str, *arguments: str) -> Result:
    given = ["batch", str(questions), "-c", "DE", "-c", "Nigeria", "--out", str(out), "--url", url]
    return CliRunner().invoke(cli, [*given, *arguments], env={"COLUMNS": "250"})


def read_table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_every_answer_stands_in_the_table_and_what_was_refused_too(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm
) -> None:
    result = batch(questions, out, milieu_url)

    assert result.exit_code == 1, result.output
    assert result.stdout.strip() == f"{out}: 5 answered, 2 refused"
    assert "2 x body.options: two options are the same" in result.stderr
    rows = read_table(out)
    assert list(rows[0]) == list(COLUMNS)
    assert [int(row["index"]) for row in rows] == [
        *(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 6, 6),
    ]
    first = rows[2]
    assert (first["culture"], first["label"], first["share"], first["low"]) == (
        *("DEU", "Not that important", "0.3535"),
        "0.3255",
    )
    assert (first["source"], first["evidence"]) == ("survey", RELIGION_KEY)
    assert first["packs"].startswith("wvs7@")
    refused = rows[12]
    assert (refused["culture"], refused["status"]) == ("DE", "422")
    assert rows[-1]["culture"] == "JPN"


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm
) -> None:
    batch(questions, out, milieu_url, "--method", "icl")
    written = out.read_bytes()
    out.unlink()

    result = batch(questions, out, NOWHERE, "--method", "icl")

    assert result.stdout.strip() == f"{out}: 5 answered, 2 refused"
    assert out.read_bytes() == written


def test_only_what_is_new_is_asked(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm
) -> None:
    way = ("--method", "icl", "--answer-from", "model")
    batch(questions, out, milieu_url, *way)
    n_asked = len(fake.chats)
    questions.write_text(TABLE.replace(LIE, "May one lie?", 1))

    batch(questions, out, milieu_url, *way)

    assert n_asked == 5
    assert len(fake.chats) == 7
    assert {row["question"] for row in read_table(out)} >= {"May one lie?", RELIGION}


def test_ways_are_asked_one_beside_the_other(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm
) -> None:
    questions.write_text(f"question\n{RELIGION}\n")
    way = ("--method", "icl", "--method", "persona", "--answer-from", "model", "--k", "2")
    assert batch(questions, out, milieu_url, *way).exit_code == 0

    rows = [row for row in read_table(out) if row["number"] == "1"]
    assert [(row["recipe"], row["method"]) for row in rows] == [
        *(("0", "icl"), ("1", "persona"), ("0", "icl"), ("1", "persona")),
    ]
    assert all(row["model"] == "fake" for row in rows)


def test_a_body_of_json_is_read(tmp_path: Path, out: Path, milieu_url: str) -> None:
    file = tmp_path / "questions.json"
    recipes = [{"answer_from": "tables"}, {"answer_from": "survey"}]
    file.write_text(json.dumps({"questions": [RELIGION], "cultures": ["KE"], "recipes": recipes}))

    assert batch(file, out, milieu_url).exit_code == 0
    rows = [row for row in read_table(out) if row["number"] == "1"]
    assert [(row["culture"], row["source"]) for row in rows] == [
        *(("KEN", "transfer"), ("KEN", "survey"), ("DEU", "transfer")),
        *(("DEU", "survey"), ("NGA", "transfer"), ("NGA", "survey")),
    ]


def test_parquet_holds_what_csv_does(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm
) -> None:
    batch(questions, out, milieu_url)
    parquet, kept = out.with_suffix(".parquet"), ("--journal", f"{out}.journal")
    assert batch(questions, parquet, NOWHERE, *kept).exit_code == 1
    written = parquet.read_bytes()
    batch(questions, parquet, NOWHERE, *kept)

    assert parquet.read_bytes() == written
    frame = polars.read_parquet(parquet)
    assert frame.columns == list(COLUMNS)
    assert frame["share"].dtype == polars.Float64
    shares = [None if row["share"] == "" else float(row["share"]) for row in read_table(out)]
    assert frame["share"].to_list() == shares


@pytest.mark.parametrize(
    ("signal_number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_a_kill_loses_nothing_that_was_answered(
    questions: Path, out: Path, milieu_url: str, fake: FakeVllm, signal_number: int, status: int
) -> None:
    rows = "".join(f"Is {n} a good number?,Yes|No\n" for n in range(60))
    questions.write_text("question,options\n" + rows)
    way = ["--method", "icl", "--answer-from", "model"]
    fake.delay_s = 0.1
    killed = subprocess.Popen(
        [*MILIEU, "batch", questions, "-c", "DE", "--out", out, "--url", milieu_url, *way],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    journal = Path(f"{out}.journal")
    deadline = time.monotonic() + 60.0
    while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal_number)
    assert killed.wait(10) == status
    n_kept = journal.read_bytes().count(b"\n")
    assert not out.exists()
    fake.delay_s = 0.0

    given = ["batch", str(questions), "-c", "DE", "--out", str(out), "--url", milieu_url, *way]
    result = CliRunner().invoke(cli, given, env={"COLUMNS": "250"})

    assert result.exit_code == 0, result.output
    assert f"{60 - n_kept} answers to get; {n_kept} kept from before" in result.stderr
    assert len(read_table(out)) == 120


def test_what_the_service_failed_at_is_told_and_asked_again(
    questions: Path, out: Path, cache_folder: Path, milieu_url: str, fake: FakeVllm
) -> None:
    questions.write_text(f"question\n{RELIGION}\n")
    way = ("--method", "icl", "--answer-from", "model")
    with served(settings_for(NOWHERE, cache_folder)) as without_vllm:
        result = batch(questions, out, without_vllm, *way)

    assert result.exit_code == 1
    assert "The service failed at 2: run the command again for these." in result.stderr
    assert {row["status"] for row in read_table(out)} == {"503"}
    assert batch(questions, out, milieu_url, *way).exit_code == 0
    assert {row["status"] for row in read_table(out)} == {""}


@pytest.mark.parametrize(
    ("table", "arguments", "said"),
    [
        (TABLE, ["--out", "shares.xls"], ["--out: found shares.xls", ".csv or .parquet"]),
        (TABLE, ["--method", "tarot"], ["--method: found 'tarot'", "'persona+icl'"]),
        (TABLE, ["--k", "0"], ["--k: found 0"]),
        (TABLE, ["--answer-from", "stars"], ["--answer-from: found 'stars'", "'tables'"]),
        ("text\nx\n", [], ["questions.csv: found the column 'text'", "expected columns among"]),
        ("question\n", [], ["questions.csv: found no row"]),
        (TABLE, ["--url", NOWHERE], ["No service at http://127.0.0.1:9", "milieu serve"]),
    ],
)
def test_what_does_not_fit_is_named(
    questions: Path, out: Path, table: str, arguments: list[str], said: list[str]
) -> None:
    questions.write_text(table)

    result = batch(questions, out, NOWHERE, *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    for part in said:
        assert part in result.stderr
    assert not out.exists()


def test_a_journal_takes_no_replies_of_another_model(
    questions: Path, out: Path, cache_folder: Path, milieu_url: str, fake: FakeVllm
) -> None:
    way = ("--method", "icl", "--answer-from", "model")
    assert batch(questions, out, milieu_url, *way).exit_code == 1
    written, journal = out.read_bytes(), Path(f"{out}.journal")
    kept = journal.read_bytes()
    questions.write_text(TABLE + "Is it right to steal?,Yes|No,\n")

    with serve(FakeVllm(model="other", max_model_len=16384).app) as url:
        settings = settings_for(url, cache_folder, vllm={"model": "other"})
        with served(settings) as other:
            result = batch(questions, out, other, *way)

    assert result.exit_code == 2
    assert "made with the model 'fake', while the service now has 'other'" in result.stderr
    assert "delete the journal" in result.stderr
    assert (journal.read_bytes(), out.read_bytes()) == (kept, written)
    assert batch(questions, out, milieu_url, *way).exit_code == 1


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_file_that_is_no_journal_is_left_alone(questions: Path, out: Path, end: str) -> None:
    questions.write_text(table := TABLE.rstrip() + end)

    result = batch(questions, out, NOWHERE, "--journal", str(questions))

    assert result.exit_code == 2
    assert "found no reply in line 1, expected the journal of an earlier run" in result.stderr
    assert questions.read_text() == table


def test_a_file_that_is_not_there_is_named(tmp_path: Path, out: Path, client: httpx.Client) -> None:
    result = batch(tmp_path / "none.csv", out, str(client.base_url))

    assert result.exit_code == 2
    assert "none.csv" in result.stderr
