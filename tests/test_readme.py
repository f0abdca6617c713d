"""Every command of the README, run as it stands against the real service and the real vLLM.

What starts containers and what names somebody else's servers stands in `text` blocks, which are
not run; so do the settings, which are checked against the program's own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.culturespa.card import read_card
from app.settings import Settings
from evaluation.figures import Figures
from mini_model.weights import WEIGHTS
from tests.conftest import MAX_CPU_LORAS, ServedVllm

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:8000"
START_DEADLINE_S = 240.0
# They would start this very test run, or are run by .ci/run before it.
ONLY_PLANNED = ("make test", "make check")
# Each has a vLLM already; a smaller dose shows that the command works.
DOSED = {
    "make bench": "--requests 8 --rounds 1",
    "make evaluate": "--questions 3 -c DE --out {out}",
}

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The commands of all sh blocks; one that goes on over lines is one command."""
    found = []
    for block in blocks("sh"):
        pending = ""
        for line in block.splitlines():
            pending += line.split("  #")[0].rstrip() + "\n"
            if pending.strip() and pending.count("'") % 2 == 0 and not line.endswith("\\"):
                found.append(pending.strip())
                pending = ""
        assert not pending.strip(), f"a command without an end: {pending}"
    return found


def make(target: str, *arguments: str) -> list[str]:
    # The environment that runs the tests is complete, whether make set it up or not.
    stamps = [f"--assume-old={sys.prefix}/.stamp-{name}" for name in ("run", "dev")]
    return ["make", *stamps, target, f"VENV={sys.prefix}", *arguments]


def environment(**extra: str) -> dict[str, str]:
    dropped = ("MILIEU_", "MAKE", "MFLAGS", "ARGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    # The tests' own, for what is kept of adapters and keys.
    data = {"MILIEU_DATA_FOLDER": os.environ["MILIEU_DATA_FOLDER"]}
    return {**kept, **data, "PATH": f"{BIN}:{kept['PATH']}", **extra}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`make serve`, on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("readme") / "serve.log"
    extra = {"MILIEU_CACHE_FOLDER": str(log.parent / "cache"), "MILIEU_PORT": str(port)}
    with log.open("w") as output:
        process = subprocess.Popen(
            make("serve"),
            cwd=REPOSITORY,
            env=environment(**extra),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not answers(f"http://127.0.0.1:{port}/readyz"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def run(command: list[str], **extra: str) -> str:
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(**extra), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_has_commands_of_every_kind() -> None:
    firsts = {command.split()[0] for command in commands()}

    assert firsts == {"make", "curl", "milieu"}
    assert len(blocks("python")) == 2


def words_of(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", " "))


def on_vllm(vllm: ServedVllm, folder: Path) -> dict[str, str]:
    """Settings for a vLLM that runs and takes adapters, of the embedded model."""
    base = folder / "base"
    if not base.exists():
        base.symlink_to(WEIGHTS)
    return {
        "MILIEU_VLLM__URLS": vllm.url,
        "MILIEU_VLLM__MODEL": vllm.model,
        "MILIEU_VLLM__API_KEY": vllm.api_key,
        "MILIEU_VLLM__LORA": "true",
        "MILIEU_VLLM__MODEL_PATH": str(base),
        "MILIEU_VLLM__MAX_LORAS": "2",
        "MILIEU_VLLM__MAX_CPU_LORAS": str(MAX_CPU_LORAS),
        "MILIEU_CACHE_FOLDER": str(folder),
    }


def evaluated(command: str, vllm: ServedVllm, folder: Path) -> str:
    out = folder / "run"
    shown = run(
        [*words_of(command), "--questions", "2", "--out", str(out)], **on_vllm(vllm, folder)
    )
    assert (out / "report.html").is_file()
    return shown


@pytest.mark.parametrize(
    "command",
    [c for c in commands() if c.startswith("milieu evaluate") and "--adapter" not in c],
)
def test_an_evaluation(command: str, real_vllm: ServedVllm, tmp_path: Path) -> None:
    assert "over plain" in evaluated(command, real_vllm, tmp_path)


def test_adapters_from_their_making_to_their_measuring(
    service: str, real_vllm: ServedVllm, tmp_path: Path
) -> None:
    """The commands on adapters in the order of the README; each needs what the one before left.

    Nothing is fake: five adapters are trained for four cultures, loaded in the real vLLM, more than
    fit into it at once, and measured.
    """
    port = service.rpartition(":")[2]
    shown = {}
    for command in filter(is_on_adapters, commands()):
        words = words_of(command)
        if words[1] == "culturespa":
            words[words.index("--out") + 1] = str(tmp_path / "spa")
            shown["run"] = run(words, **on_vllm(real_vllm, tmp_path))
        elif words[1] == "evaluate":
            shown["evaluate"] = evaluated(command, real_vllm, tmp_path)
        else:
            name = words[2] if words[1] == "adapters" else words[1]
            shown[name] = run(words, MILIEU_PORT=port, MILIEU_CACHE_FOLDER=str(tmp_path))

    assert set(shown) == {"run", "activate", "ask", "rollback", "evaluate"}
    cards = [read_card(folder.parent) for folder in (tmp_path / "spa").glob("5-*/*/card.json")]
    assert len(cards) == 5
    # Each learned what it was shown.
    assert all(card.label_logprob["after"] > card.label_logprob["before"] for card in cards)
    assert "Method: adapter+icl, by culturespa-deu@" in shown["ask"]
    [section] = Figures.model_validate_json(
        (tmp_path / "run" / "figures.json").read_bytes()
    ).sections
    found = {condition.name: condition for condition in section.conditions}
    # The prompt is the same, so what differs is the weights.
    for adapted in ("joint", "specific"):
        assert found[f"adapter, {adapted}"].similarity != found["persona"].similarity
        assert found[f"adapter+icl, {adapted}"].similarity != found["persona+icl"].similarity


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("milieu packs import")])
def test_an_import(command: str, tmp_path: Path) -> None:
    words = words_of(command)
    place = words.index("--out") + 1
    words[place] = str(tmp_path / words[place])

    assert "MILIEU_PACK_FOLDERS" in run(words)
    assert run(["milieu", "packs"], MILIEU_PACK_FOLDERS=str(tmp_path / "my-packs"))


def is_on_adapters(command: str) -> bool:
    return command.startswith("milieu") and ("adapter" in command or "culturespa" in command)


def is_on_experiments(command: str) -> bool:
    return command.startswith("milieu experiments") or "--user" in command


def test_an_experiment_from_its_definition_to_its_end(
    service: str, real_vllm: ServedVllm, tmp_path: Path
) -> None:
    """The commands on experiments in the order of the README, on the store of the service."""
    port = service.rpartition(":")[2]
    shown = {}
    for command in filter(is_on_experiments, commands()):
        words = words_of(command)
        name = words[2] if words[1] == "experiments" else words[1]
        if name == "ask":
            wait_for_experiment(service)
        if name == "report":
            words[words.index("--html") + 1] = str(tmp_path / "report.html")
        own = on_vllm(real_vllm, tmp_path) if name == "replay" else {"MILIEU_PORT": port}
        shown[name] = run(words, **{"MILIEU_CACHE_FOLDER": str(tmp_path)} | own)

    assert set(shown) == {"create", "ask", "report", "replay", "stop"}
    assert "Experiment: religion, arm " in shown["ask"]
    assert "Continue" in shown["report"]
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text()
    assert "adapter+icl" in shown["replay"]


def wait_for_experiment(service: str) -> None:
    """Wait until the service, whose tests ask nothing else of this culture, follows the store."""
    deadline = time.monotonic() + 30.0
    url = f"http://{service}/answer?culture=JP&user=u1&question=Is%20it%3F"
    while True:
        with urllib.request.urlopen(url, timeout=60) as reply:
            if json.loads(reply.read())["experiment"] is not None:
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def is_asked_of_a_service(command: str) -> bool:
    own = ("milieu evaluate", "milieu packs")
    is_own = command.startswith(own) or is_on_adapters(command) or is_on_experiments(command)
    return command.startswith(("curl", "milieu")) and not is_own


@pytest.mark.parametrize("command", [c for c in commands() if is_asked_of_a_service(c)])
def test_curl_and_milieu(command: str, service: str, tmp_path: Path) -> None:
    words = words_of(command.replace(ADDRESS, service))
    if words[0] == "curl":
        words[1:1] = ["--silent", "--show-error", "--fail-with-body", "--max-time", "60"]
    port = service.rpartition(":")[2]

    shown = run(words, MILIEU_PORT=port, MILIEU_CACHE_FOLDER=str(tmp_path))

    assert shown.strip()
    if words[0] == "curl" and "/answer" in command:
        answer = json.loads(shown)
        assert answer["answer"]
        assert answer["exemplars"]
        assert sum(share["share"] for share in answer["shares"]) == pytest.approx(1.0, abs=0.001)
    elif words[0] == "curl":
        assert shown.rstrip().endswith("data: [DONE]")


def test_the_chat_client(service: str) -> None:
    # The second block goes on with what the first one has got.
    script = "\n".join(blocks("python"))

    shown = run([sys.executable, "-c", script.replace(ADDRESS, service)])

    reply, questions, receipt = shown.strip().rsplit("\n", 2)
    assert reply
    assert "police" in questions
    assert "'repeated': False" in receipt


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make")])
def test_make(command: str, service: str, real_vllm: ServedVllm, tmp_path: Path) -> None:
    target = command.split()[1]
    if command in ONLY_PLANNED:
        assert str(BIN) in run(make(target, "--dry-run"))
    elif command in DOSED:
        shown = run(
            make(target, "ARGS=" + DOSED[command].format(out=tmp_path / "run")),
            MILIEU_VLLM__URLS=real_vllm.url,
            MILIEU_VLLM__MODEL=real_vllm.model,
            MILIEU_VLLM__API_KEY=real_vllm.api_key,
            MILIEU_CACHE_FOLDER=str(tmp_path),
        )
        assert "│" in shown or "over plain" in shown
    else:
        # The fixture has run it, and it answers.
        assert target == "serve"
        assert answers(f"http://{service}/livez")


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"\bMILIEU_[A-Z_]+", README))))
def test_settings(variable: str) -> None:
    name, _, leaf = variable.removeprefix("MILIEU_").lower().partition("__")
    field = Settings.model_fields.get(name)

    assert field is not None or variable == "MILIEU_"
    if field is not None and leaf:
        assert leaf in getattr(field.annotation, "model_fields", {})


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    missing = [link for link in links if "://" not in link and not (REPOSITORY / link).exists()]
    assert not missing
