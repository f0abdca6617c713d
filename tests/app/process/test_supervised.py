"""Children that nothing leaves behind, and what they inherit."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from app.process.supervised import SupervisedProcess, read_last_lines
from app.process.supervisor import TIMER_SLACK_NS

NOTHING = re.compile("$")


async def test_what_it_prints_and_its_status_come_back(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("wb") as errors:
        process = await _spawn(errors, "import sys; print('a'); print('b'); sys.exit(3)")
    lines = [line async for line in process.lines()]

    assert lines == [b"a\n", b"b\n"]
    assert await process.wait() == 3
    await process.end()


@pytest.mark.skipif(sys.platform != "linux", reason="timer slack is Linux's")
async def test_its_threads_may_wake_later_than_they_ask_to(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("wb") as errors:
        slack = "print(open('/proc/self/timerslack_ns').read())"
        process = await _spawn(errors, slack)
    lines = [line async for line in process.lines()]
    await process.wait()

    assert int(lines[0]) == TIMER_SLACK_NS


@pytest.mark.parametrize("stays", [False, True])
async def test_what_a_killed_supervisor_leaves_is_ended(tmp_path: Path, stays: bool) -> None:
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stays else ""
    grandchild = f"{ignores}import time; print('up', flush=True); time.sleep(60)"
    source = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "print(os.getppid(), os.getpid(), child.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = await _spawn(output, source, grace_s=0.5, stdout=output)
    async with asyncio.timeout(20.0):
        while log.read_text().count("\n") < 2:  # noqa: ASYNC110  # others write to it
            await asyncio.sleep(0.01)
    [numbers] = [line for line in log.read_text().splitlines() if line != "up"]
    supervisor, command, left = map(int, numbers.split())
    for pid in (supervisor, command):
        os.kill(pid, signal.SIGKILL)

    await process.wait()

    assert not is_running(left)


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_last_lines_are_those_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_last_lines(log, 2, noise=NOTHING) == []
    log.write_text("one\n\ntwo\nthree\n")

    assert read_last_lines(log, 2, noise=NOTHING) == ["two", "three"]
    assert read_last_lines(log, 9, noise=re.compile("$|two")) == ["one", "three"]


async def _spawn(
    errors: BinaryIO, source: str, *, grace_s: float = 3.0, stdout: BinaryIO | None = None
) -> SupervisedProcess:
    return await SupervisedProcess.spawn(
        (sys.executable, "-c", source),
        grace_s=grace_s,
        env=os.environ,
        stderr=errors,
        stdout=stdout,
    )
