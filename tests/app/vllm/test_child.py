"""The supervised child: started, watched, started again, and never left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import VllmStartFailed
from app.vllm.child import LocalVllm
from app.vllm.child_command import (
    CPU_LORA_PLUGIN,
    LocalVllmOptions,
    LoraOptions,
    vllm_command,
    vllm_environment,
)
from app.vllm.client import VllmClient
from tests.conftest import REPOSITORY
from tests.fakes.vllm import MODEL
from tests.fakes.vllm_process import fake_command

BROKEN_WEIGHTS = Path(__file__).with_name("broken_weights.log")
SERVICE = """
import asyncio, sys
from pathlib import Path
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, vllm_command
from tests.fakes.vllm_process import fake_command

async def main(kind, model_dir, log):
    command = {"fake": fake_command, "real": vllm_command}[kind]
    options = LocalVllmOptions(
        Path(model_dir), "fake", Path(log), dtype="float32", first_backoff_s=0.1
    )
    async with LocalVllm(options, command=command) as vllm:
        while True:
            print(vllm.n_restarts, vllm.ready, flush=True)
            await asyncio.sleep(0.2)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def options(tmp_path: Path) -> LocalVllmOptions:
    """Options of a child that is a fake, with its state in the model's folder."""
    (tmp_path / "config.json").write_text("{}")
    return LocalVllmOptions(
        tmp_path,
        MODEL,
        tmp_path / "logs" / "vllm.log",
        start_deadline_s=30.0,
        stop_grace_s=3.0,
        health_interval_s=0.1,
        first_backoff_s=0.1,
        longest_backoff_s=2.0,
    )


async def test_it_is_ready_when_it_answers(options: LocalVllmOptions) -> None:
    async with _started(options) as vllm:
        assert vllm.ready
        assert vllm.n_restarts == 0
        async with VllmClient([vllm.url], api_key=vllm.api_key) as client:
            assert [model.id for model in await client.models()] == [MODEL]
        pids = _pids(options)

    assert not vllm.ready
    assert not _alive(pids)


async def test_it_can_be_stopped_twice_and_before_it_was_started(
    options: LocalVllmOptions,
) -> None:
    vllm = LocalVllm(options, command=fake_command)
    await vllm.stop()

    async with vllm:
        pass

    await vllm.stop()


@pytest.mark.parametrize("victim", [0, 1], ids=["server", "grandchild"])
async def test_a_killed_child_comes_back_at_the_same_address(
    options: LocalVllmOptions, victim: int
) -> None:
    async with _started(options) as vllm:
        url, pids = vllm.url, _pids(options)
        if victim == 1:
            # The fake does not mind; this shows that the supervisor ends the rest of a group.
            os.kill(pids[1], signal.SIGKILL)
        os.kill(pids[0], signal.SIGKILL)

        await _until(lambda: vllm.n_restarts == 1 and vllm.ready)

        assert vllm.url == url
        assert not _alive(pids)
        assert set(_pids(options)).isdisjoint(pids)
        assert _logs(options) == ["vllm.log", "vllm.log.1"]


async def test_a_child_that_falls_ill_is_started_again(options: LocalVllmOptions) -> None:
    _fares(options, "falls-ill", "well")
    async with _started(options) as vllm:
        pids = _pids(options)

        await _until(lambda: vllm.n_restarts == 1 and vllm.ready)

        assert not _alive(pids)


async def test_it_is_tried_again_until_it_starts(options: LocalVllmOptions) -> None:
    _fares(options, "well", "dies", "dies", "well")
    async with _started(options) as vllm:
        started = time.monotonic()
        os.kill(_pids(options)[0], signal.SIGKILL)

        await _until(lambda: vllm.n_restarts == 3 and vllm.ready)

        # Waits of 0.1, 0.2 and 0.4 s.
        assert time.monotonic() - started > 0.7
        assert _logs(options) == ["vllm.log", "vllm.log.1", "vllm.log.2"]


async def test_a_start_that_fails_says_what_the_log_says(options: LocalVllmOptions) -> None:
    _fares(options, "dies")
    vllm = LocalVllm(options, command=fake_command)

    with pytest.raises(VllmStartFailed, match="ended with status 3") as caught:
        await vllm.start()

    # Of the traceback, the frames are left out.
    assert caught.value.log_lines == (
        "Traceback (most recent call last):",
        "MemoryError: too little of it",
    )
    assert str(options.log_file) in str(caught.value)
    assert not vllm.ready


async def test_a_start_that_fails_says_what_vllm_said_of_its_weights(
    options: LocalVllmOptions,
) -> None:
    # What vLLM 0.32 printed over weights that were cut off, without most of the frames.
    shutil.copy(BROKEN_WEIGHTS, options.model_dir / "last_words.txt")
    _fares(options, "quotes")

    with pytest.raises(VllmStartFailed, match="SafetensorError") as caught:
        await LocalVllm(options, command=fake_command).start()

    assert caught.value.log_lines[-1].startswith("RuntimeError: Engine core initialization failed")
    assert not any(line.startswith(" ") or "  File" in line for line in caught.value.log_lines)


async def test_a_port_that_is_taken_meanwhile_is_given_up_for_another(
    options: LocalVllmOptions,
) -> None:
    ports: list[int] = []

    def command(options: LocalVllmOptions, port: int) -> list[str]:
        ports.append(port)
        taken = "raise OSError(98, 'Address already in use')"
        return [sys.executable, "-c", taken] if len(ports) == 1 else fake_command(options, port)

    async with LocalVllm(options, command=command) as vllm:
        assert vllm.ready
        assert vllm.url.endswith(f":{ports[1]}")
    assert len(ports) == 2


async def test_a_start_that_takes_too_long_fails(options: LocalVllmOptions) -> None:
    _fares(options, "hangs")
    vllm = LocalVllm(replace(options, start_deadline_s=3.0), command=fake_command)

    with pytest.raises(VllmStartFailed, match="not ready within 3 s"):
        await vllm.start()

    assert not _alive(_pids(options))


async def test_a_cancelled_start_leaves_nothing_behind(options: LocalVllmOptions) -> None:
    _fares(options, "hangs")
    starting = asyncio.create_task(LocalVllm(options, command=fake_command).start())
    await _until(lambda: bool(_pids(options)))
    pids = _pids(options)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not _alive(pids)


async def test_a_child_that_does_not_end_when_told_to_is_killed(
    options: LocalVllmOptions,
) -> None:
    _fares(options, "stays")
    short = replace(options, stop_grace_s=0.5)
    starting = asyncio.create_task(LocalVllm(short, command=fake_command).start())
    await _until(lambda: bool(_pids(options)))
    pids = _pids(options)
    cancelled = time.monotonic()

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert 0.5 <= time.monotonic() - cancelled < 4.0
    assert not _alive(pids)


async def test_a_folder_without_a_model_is_refused_at_once(options: LocalVllmOptions) -> None:
    (options.model_dir / "config.json").unlink()

    with pytest.raises(VllmStartFailed, match=r"no model \(config.json\)"):
        await LocalVllm(options, command=fake_command).start()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_outlives_the_service(
    options: LocalVllmOptions, number: signal.Signals
) -> None:
    service = _service("fake", options.model_dir, options.log_file)
    try:
        await _until(lambda: _reported(service)[-1:] == ["0 True"])
        pids = _descendants(service.pid)
        assert len(pids) == 3, "supervisor, server and grandchild"

        service.send_signal(number)
        service.wait(10.0)

        await _until(lambda: not _alive(pids))
    finally:
        _finish(service)


async def test_a_killed_supervisor_takes_the_server_with_it(options: LocalVllmOptions) -> None:
    async with _started(options) as vllm:
        server, grandchild = _pids(options)
        os.kill(_parent(server), signal.SIGKILL)

        await _until(lambda: not _alive([server]))
        await _until(lambda: vllm.n_restarts == 1 and vllm.ready)
        # The real server ends its engine itself when it is told to; the fake does not.
        assert not _alive([grandchild])


def test_the_command_line_holds_no_secret_and_the_environment_no_settings_of_milieu() -> None:
    options = LocalVllmOptions(Path("/m"), "mini", Path("/l"), lora=LoraOptions())

    command = vllm_command(options, 8123)
    environment = vllm_environment(
        options, api_key="secret", base={"PATH": "/bin", "MILIEU_API_KEYS": "other"}
    )

    assert "secret" not in " ".join(command)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "8123"
    assert environment["VLLM_API_KEY"] == "secret"
    assert environment["PATH"] == "/bin"
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert "MILIEU_API_KEYS" not in environment


@pytest.mark.parametrize(("for_cpu", "n_slots", "n_kept"), [(True, 6, 6), (False, 2, 6)])
def test_on_a_cpu_every_adapter_has_a_slot(
    monkeypatch: pytest.MonkeyPatch, for_cpu: bool, n_slots: int, n_kept: int
) -> None:
    monkeypatch.setattr("app.vllm.child_command._is_for_cpu", lambda: for_cpu)
    lora = LoraOptions(max_loras=2, max_cpu_loras=6)

    command = vllm_command(LocalVllmOptions(Path("/m"), "mini", Path("/l"), lora=lora), 8123)

    assert command[command.index("--max-loras") + 1] == str(n_slots)
    assert command[command.index("--max-cpu-loras") + 1] == str(n_kept)


@pytest.mark.parametrize(("for_cpu", "expected"), [(True, [str(3 * 2**28)]), (False, [])])
def test_on_a_cpu_the_cache_has_the_size_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch, for_cpu: bool, expected: list[str]
) -> None:
    monkeypatch.setattr("app.vllm.child_command._is_for_cpu", lambda: for_cpu)
    options = LocalVllmOptions(Path("/m"), "mini", Path("/l"), kv_cache_gib=0.75)

    command = vllm_command(options, 8123)
    environment = vllm_environment(options, api_key="x", base={"VLLM_CPU_KVCACHE_SPACE": "40"})

    given = [
        value for flag, value in itertools.pairwise(command) if flag == "--kv-cache-memory-bytes"
    ]
    assert given == expected
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment


@pytest.mark.parametrize(
    ("chosen", "expected"), [("", f",{CPU_LORA_PLUGIN}"), ("theirs", f"theirs,{CPU_LORA_PLUGIN}")]
)
def test_a_choice_of_plugins_does_not_leave_out_the_one_that_adapters_need(
    chosen: str, expected: str
) -> None:
    options = LocalVllmOptions(Path("/m"), "mini", Path("/l"), lora=LoraOptions())

    environment = vllm_environment(options, api_key="secret", base={"VLLM_PLUGINS": chosen})

    assert environment["VLLM_PLUGINS"] == expected


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(600)
async def test_the_real_one_comes_back_after_a_kill_and_ends_with_the_service(
    vllm_model_dir: Path, tmp_path: Path
) -> None:
    service = _service("real", vllm_model_dir, tmp_path / "vllm.log")
    try:
        await _until(lambda: _reported(service)[-1:] == ["0 True"], within_s=280.0)
        supervisor, server, *rest = _descendants(service.pid)
        assert rest, "the engine is a process of its own"
        os.kill(server, signal.SIGKILL)

        await _until(lambda: _reported(service)[-1:] == ["1 True"], within_s=280.0)
        assert not _alive([supervisor, server, *rest])

        pids = _descendants(service.pid)
        service.kill()
        service.wait(10.0)
        await _until(lambda: not _alive(pids), within_s=20.0)
    finally:
        _finish(service)


@pytest.mark.deep
@pytest.mark.vllm
async def test_the_real_one_says_why_it_cannot_start(vllm_model_dir: Path, tmp_path: Path) -> None:
    weights, broken = "model.safetensors", tmp_path / "model"
    shutil.copytree(vllm_model_dir, broken, ignore=shutil.ignore_patterns(weights))
    with (vllm_model_dir / weights).open("rb") as whole:
        (broken / weights).write_bytes(whole.read(2**20))
    options = LocalVllmOptions(
        broken, "broken", tmp_path / "vllm.log", dtype="float32", start_deadline_s=250.0
    )

    with pytest.raises(VllmStartFailed, match="SafetensorError"):
        await LocalVllm(options).start()


@asynccontextmanager
async def _started(options: LocalVllmOptions) -> AsyncIterator[LocalVllm]:
    async with LocalVllm(options, command=fake_command) as vllm:
        yield vllm


def _fares(options: LocalVllmOptions, *ills: str) -> None:
    (options.model_dir / "ills.txt").write_text("\n".join(ills))


def _pids(options: LocalVllmOptions) -> list[int]:
    """The fake's server and its child; none before it runs."""
    file = options.model_dir / "pids.txt"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def _logs(options: LocalVllmOptions) -> list[str]:
    return sorted(file.name for file in options.log_file.parent.iterdir())


def _service(kind: str, model_dir: Path, log_file: Path) -> subprocess.Popen[bytes]:
    """Start a service with a child; what it says goes to a file beside the log."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with _report(log_file).open("wb") as report:
        service = subprocess.Popen(
            [sys.executable, "-c", SERVICE, kind, str(model_dir), str(log_file)],
            cwd=REPOSITORY,
            stdout=report,
        )
    return service


def _report(log_file: Path) -> Path:
    return log_file.with_name("report.txt")


def _reported(service: subprocess.Popen[bytes]) -> list[str]:
    """What the service said so far, line by line."""
    assert service.poll() is None, f"the service ended with {service.returncode}"
    assert isinstance(service.args, Sequence)
    return _report(Path(str(service.args[-1]))).read_text().splitlines()


def _finish(service: subprocess.Popen[bytes]) -> None:
    if service.poll() is None:
        service.kill()
        service.wait(10.0)


def _descendants(pid: int) -> list[int]:
    """Every process under `pid`, parents first."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """State, parent and so on of a process; what is before them is its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _alive(pids: Sequence[int]) -> list[int]:
    """Those of `pids` that still run; a zombie does not."""
    alive = []
    for pid in pids:
        try:
            state = _stat(pid)[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            alive.append(pid)
    return alive


async def _until(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # what it waits for happens in other processes
            await asyncio.sleep(0.05)
