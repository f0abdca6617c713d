"""The `milieu` command: readable, as JSON, and with one clear message where it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import cli
from tests.app.service import FAR, RELIGION, served, settings_for
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import FakeServer

ROOT = Path(__file__).parents[2]
MILIEU = [sys.executable, "-c", "from cli.main import main; main()"]
# Its index is built in a third of the time.
SMALL_PACK = "undp-ai-2025"


class Run:
    """Runs `milieu` in this process, on a wide terminal."""

    def __init__(self, cache_folder: Path) -> None:
        # Nothing listens at port 9, so what a service would answer is made in this process.
        self._env = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_PORT": "9",
            "COLUMNS": "250",
        }

    def __call__(self, *arguments: str, **env: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=self._env | env)

    def json(self, *arguments: str, **env: str) -> Any:
        result = self(*arguments, "--json", **env)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def run(cache_folder: Path) -> Run:
    return Run(cache_folder)


def check_refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = " ".join(result.stderr.split())
    assert message.startswith("milieu: ")
    assert "Traceback" not in message
    for part in said:
        assert part in message


def test_help_has_examples(run: Run) -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert 'milieu ask "How important is religion in your life?" --culture DE' in result.stdout
    for command in ("serve", "ask", "exemplars", "cultures", "packs", "index"):
        assert f"  {command} " in result.stdout


@pytest.mark.parametrize("command", ["serve", "ask", "exemplars"])
def test_help_of_a_command_has_an_example(run: Run, command: str) -> None:
    assert f"Example: milieu {command}" in run(command, "--help").stdout


def test_without_a_command_help_is_shown(run: Run) -> None:
    assert "Commands:" in run().output


def test_cultures_are_a_table(run: Run) -> None:
    lines = run("cultures").stdout.splitlines()

    [germany] = [line for line in lines if "Germany" in line]
    for part in ("DEU", "Europe", "wvs7 (2017-2018)", "undp-ai-2025"):
        assert part in germany


def test_cultures_are_json(run: Run) -> None:
    cultures = run.json("cultures")

    assert len(cultures) > 30
    germany = next(culture for culture in cultures if culture["code"] == "DEU")
    assert germany["native_name"] == "Deutschland"


def test_packs_are_a_table_with_their_terms(run: Run) -> None:
    lines = run("packs").stdout.splitlines()

    [wvs] = [line for line in lines if "wvs7" in line]
    assert "2017-2023" in wvs
    assert " no " in wvs
    [undp] = [line for line in lines if "undp-ai-2025" in line]
    assert " yes " in undp


def test_packs_are_json(run: Run) -> None:
    packs = {pack["id"]: pack for pack in run.json("packs")}

    assert not packs["wvs7"]["commercial_use"]
    assert packs["undp-ai-2025"]["licence"].startswith("CC")


def test_exemplars_are_a_table(run: Run) -> None:
    result = run("exemplars", RELIGION, "--culture", "DE", "--k", "2")

    head, _, *rows = (line for line in result.stdout.splitlines() if line.strip())
    assert head == f"Germany: {RELIGION}"
    assert "1528 asked" in result.stdout
    assert sum("wvs7 " in row for row in rows) == 2


def test_exemplars_are_json(run: Run) -> None:
    found = run.json("exemplars", RELIGION, "-c", "Germany", "--k", "2", "--retriever", "chrf")

    assert len(found["exemplars"]) == 2
    assert found["retriever"] == "chrf"
    assert found["same_question"] == "wvs7:Q6"


def test_exemplars_are_asked_of_a_running_service(run: Run, milieu_url: str) -> None:
    arguments = ["exemplars", RELIGION, "-c", "DE", "--k", "2"]
    port = milieu_url.rsplit(":", 1)[1]

    # In this process there would be no encoder to find them with.
    found = run.json(*arguments, MILIEU_PORT=port, MILIEU_ENCODER__NAME="/none")

    assert found == run.json(*arguments)


def test_exemplars_below_the_floor_are_said_to_be_none(run: Run) -> None:
    assert "Nothing is near enough" in run("exemplars", FAR, "-c", "DE").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["exemplars", "x", "-c", "Germny"], "Did you mean Germany"),
        (["exemplars", "x", "-c", "IS"], "No loaded survey asked people of Iceland"),
        (["exemplars", "x", "-c", "DE", "--k", "0"], "--k: found 0, expected 1 to 20"),
        (["exemplars", "x", "-c", "DE", "--k", "21"], "--k: found 21, expected 1 to 20"),
        (["exemplars", "x", "-c", "DE", "--retriever", "google"], "expected dense, chrf, "),
    ],
)
def test_what_does_not_fit_is_said_in_one_message(
    run: Run, arguments: list[str], said: str
) -> None:
    check_refused(run(*arguments), said)


def test_settings_that_do_not_fit_are_said_in_one_message(run: Run) -> None:
    check_refused(run("cultures", MILIEU_PROT="1"), "unknown variable MILIEU_PROT")
    check_refused(run("packs", MILIEU_PORT="x"), "MILIEU_PORT: ", "found 'x'")
    check_refused(run("cultures", MILIEU_PACKS="nope"), "No pack has the id 'nope'")
    check_refused(run("index", MILIEU_ENCODER__NAME="/none"), "Encoder '/none' cannot be loaded")
    check_refused(run("cultures", MILIEU_COMMERCIAL_USE="1"), "may not be used commercially")


def test_an_index_is_built_and_said_where(run: Run, tmp_path: Path) -> None:
    result = run("index", MILIEU_CACHE_FOLDER=str(tmp_path), MILIEU_PACKS=SMALL_PACK)

    assert result.exit_code == 0
    message = " ".join(result.stderr.split())
    assert f"in {tmp_path}" in message
    [_] = (tmp_path / "index").glob("*/manifest.json")


def test_ask_prints_answer_shares_and_evidence(run: Run, milieu_url: str, fake: FakeVllm) -> None:
    result = run("ask", RELIGION, "--culture", "DE", "--k", "3", "--url", milieu_url)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Germany: ")
    for part in ("Highly important", "%", "█", "Shown to the model:", "1528 asked"):
        assert part in result.stdout


def test_ask_shows_how_other_peoples_answered(run: Run, milieu_url: str, fake: FakeVllm) -> None:
    arguments = ["ask", RELIGION, "-c", "DE", "--method", "icl", "--elsewhere", "2"]
    answer = run.json(*arguments, "--url", milieu_url)

    shown = [exemplar["elsewhere"] for exemplar in answer["exemplars"]]
    assert sum(culture is not None for culture in shown) == 2
    # Nothing is noted of what was left out.
    assert answer["warnings"] == []


def test_ask_prints_json(run: Run, milieu_url: str, fake: FakeVllm) -> None:
    options = ["-o", "yes [/bold]", "-o", "[red]no"]
    arguments = ["ask", RELIGION, "-c", "KE", *options, "--method", "persona", "--url", milieu_url]
    answer = run.json(*arguments)

    assert answer["culture"]["code"] == "KEN"
    assert answer["method"] == "persona"
    assert [share["label"] for share in answer["shares"]] == ["yes [/bold]", "[red]no"]


def test_text_that_looks_like_markup_is_printed_as_it_is(
    run: Run, milieu_url: str, fake: FakeVllm
) -> None:
    options = ["-o", "yes [/bold]", "-o", "[red]no"]
    result = run("ask", f"{RELIGION} [/]", "-c", "DE", *options, "--url", milieu_url)

    assert result.exit_code == 0, result.output
    assert "yes [/bold]" in result.stdout
    assert "[red]no" in result.stdout
    assert run("exemplars", f"{RELIGION} [/]", "-c", "DE").exit_code == 0


def test_ask_says_which_rung_of_the_ladder_answered(
    run: Run, milieu_url: str, fake: FakeVllm
) -> None:
    result = run("ask", RELIGION, "--culture", "DE", "--method", "adapter", "--url", milieu_url)

    assert "Source: survey" in result.stdout
    assert "Method: icl says: " in result.stdout
    assert "Not adapter: the servers take no adapters" in result.stdout


def test_ask_says_what_is_not_steered(run: Run, milieu_url: str, fake: FakeVllm) -> None:
    result = run("ask", FAR, "-c", "DE", "--url", milieu_url)

    assert "Not steered: no survey question of Germany is near enough" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-c", "Germny"], "Did you mean Germany, Armenia"),
        (["-c", "DE", "--k", "0"], "body.k: Input should be greater than or equal to 1"),
        (["-c", "DE", "--method", ""], "body.method"),
        (["-c", "DE", "-o", "yes"], "found 1 options, expected 2 to 20"),
    ],
)
def test_ask_says_what_the_service_refuses(
    run: Run, milieu_url: str, fake: FakeVllm, arguments: list[str], said: str
) -> None:
    check_refused(run("ask", RELIGION, *arguments, "--url", milieu_url), said.split(",")[0])


def test_ask_says_when_vllm_is_away(run: Run, milieu_url: str, fake: FakeVllm) -> None:
    fake.script(Scripted(status=500))

    arguments = ("-c", "DE", "--answer-from", "model", "--url", milieu_url)
    check_refused(run("ask", RELIGION, *arguments), "No vLLM", "(503)")


def test_ask_takes_address_and_key_from_the_settings(
    run: Run, fake_server: FakeServer, fake: FakeVllm, cache_folder: Path
) -> None:
    settings = settings_for(fake_server.url, cache_folder, api_keys="first,second")
    with served(settings) as url:
        port = url.rsplit(":", 1)[1]
        assert run.json("ask", RELIGION, "-c", "DE", MILIEU_PORT=port, MILIEU_API_KEYS="second")
        refused = run("ask", RELIGION, "-c", "DE", MILIEU_PORT=port, MILIEU_API_KEYS="third")
    check_refused(refused, "X-API-Key", "(401)")


@contextmanager
def babbling(reply: bytes) -> Iterator[str]:
    """Serve one connection with `reply`, whatever is asked; yields the URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=5.0)


def test_ask_without_a_service_says_how_to_start_one(run: Run) -> None:
    result = run("ask", RELIGION, "-c", "DE", "--url", "http://127.0.0.1:9")

    check_refused(result, "No service at http://127.0.0.1:9", "Start one with `milieu serve`")


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"])
def test_ask_of_what_is_no_service_says_so(run: Run, reply: bytes) -> None:
    with babbling(reply) as url:
        check_refused(run("ask", RELIGION, "-c", "DE", "--url", url), f"No service at {url}")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://[", "http://:x"])
def test_ask_needs_an_http_url(run: Run, url: str) -> None:
    check_refused(run("ask", RELIGION, "-c", "DE", "--url", url), f"No service at {url}")


@contextmanager
def serving(cache_folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run `milieu serve` on a free port as a process of its own."""
    process = subprocess.Popen(
        [*MILIEU, "serve", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"MILIEU_CACHE_FOLDER": str(cache_folder)} | env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_answers_until_it_is_told_to_stop(
    run: Run, fake_server: FakeServer, fake: FakeVllm, cache_folder: Path
) -> None:
    env = {"MILIEU_VLLM__URLS": fake_server.url, "MILIEU_VLLM__MODEL": fake.model}
    with serving(cache_folder, **env) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        said = next(line for line in lines if "Milieu answers at" in line)
        url = said.split()[3]
        answer = run.json("ask", RELIGION, "-c", "DE", "--url", url)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        status = process.wait(timeout=20.0)

    assert answer["steered"]
    assert status == 0
    [served_line] = [line for line in rest.splitlines() if "event=request_served" in line]
    assert "method=POST route=/answer status=200" in served_line
    assert "Traceback" not in rest


def test_serve_on_a_taken_port_says_so_at_once(cache_folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [*MILIEU, "serve", "--port", port],
            cwd=ROOT,
            env=os.environ | {"MILIEU_CACHE_FOLDER": str(cache_folder)},
            capture_output=True,
            text=True,
            timeout=60.0,
        )

    assert result.returncode == 2
    message = " ".join(result.stderr.split())
    assert f"Cannot listen on 127.0.0.1:{port}" in message
    assert "--port or MILIEU_PORT" in message
    assert "Traceback" not in message


def test_serve_beside_a_vllm_without_the_model_says_so(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path
) -> None:
    env = {"MILIEU_VLLM__URLS": fake_server.url, "MILIEU_VLLM__MODEL": "llama"}
    with serving(cache_folder, **env) as process:
        _, said = process.communicate(timeout=60.0)

    assert process.returncode == 2
    assert "milieu: vLLM does not serve 'llama': it serves fake." in said
    assert "Traceback" not in said


def test_a_damaged_index_is_mended_by_building_it_anew(run: Run, tmp_path: Path) -> None:
    own = {"MILIEU_CACHE_FOLDER": str(tmp_path), "MILIEU_PACKS": SMALL_PACK}
    run("index", **own)
    (vectors,) = (tmp_path / "index").glob("*/vectors-*.npy")
    vectors.write_bytes(vectors.read_bytes() + b"x")

    arguments = ("exemplars", RELIGION, "--culture", "DE")
    damaged = run(*arguments, **own)
    assert damaged.exit_code == 2
    assert "milieu index" in " ".join(damaged.stderr.split())

    assert run("index", **own).exit_code == 0
    assert run(*arguments, **own).exit_code == 0
