"""Children that nothing leaves behind, and what they inherit."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import BinaryIO

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


def test_the_last_lines_are_those_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_last_lines(log, 2, noise=NOTHING) == []
    log.write_text("one\n\ntwo\nthree\n")

    assert read_last_lines(log, 2, noise=NOTHING) == ["two", "three"]
    assert read_last_lines(log, 9, noise=re.compile("$|two")) == ["one", "three"]


async def _spawn(errors: BinaryIO, source: str) -> SupervisedProcess:
    return await SupervisedProcess.spawn(
        (sys.executable, "-c", source),
        grace_s=3.0,
        env=os.environ,
        stderr=errors,
    )
