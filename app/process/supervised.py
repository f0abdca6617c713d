"""A child process that no way of ending this one leaves behind: spawned, ended, its last words."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from app.process import supervisor

# Beyond the time that the command has to end by itself.
MARGIN_S = 5.0
POLL_S = 0.05
_TAIL_BYTES = 64 * 1024


class SupervisedProcess:
    """A command under the supervisor script, which ends all of it when this process is gone.

    If the supervisor itself is killed, this process ends what is left of the command.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, grace_s: float) -> None:
        self._process = process
        self._grace_s = grace_s

    @classmethod
    async def spawn(
        cls,
        command: Sequence[str],
        *,
        grace_s: float,
        env: Mapping[str, str],
        stderr: IO[bytes],
        stdout: IO[bytes] | None = None,
    ) -> Self:
        """Start `command`, which has `grace_s` to end by itself when it is told to.

        What it prints is read by `lines` where `stdout` is None.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(supervisor.__file__)), str(grace_s)),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
            stderr=stderr,
            env=env,
            start_new_session=True,
        )
        return cls(process, grace_s=grace_s)

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.returncode

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines that it prints, until it prints no more."""
        assert self._process.stdout is not None, "it was spawned without a file for them"
        async for line in self._process.stdout:
            yield line

    async def wait(self) -> int:
        """Return its exit status when all of it has ended."""
        status = await self._process.wait()
        if status < 0:
            await self._end_orphans()
        return status

    async def end(self) -> None:
        """End it, in good order if it will. Does nothing when all of it has ended."""
        if self.status is not None:
            await self.wait()
            return
        assert self._process.stdin is not None, "it is spawned with a pipe"
        # The supervisor ends the command when this pipe does.
        self._process.stdin.close()
        try:
            async with asyncio.timeout(self._grace_s + MARGIN_S):
                await self.wait()
        except TimeoutError:
            self._process.kill()
            await self.wait()

    async def _end_orphans(self) -> None:
        """End what a killed supervisor has left, in good order if it will."""
        # The kernel has told the command, but not what that had started.
        for number, within_s in ((signal.SIGTERM, self._grace_s), (signal.SIGKILL, MARGIN_S)):
            for pid in _list_session(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while _list_session(self._process.pid):  # noqa: ASYNC110  # no own children
                        await asyncio.sleep(POLL_S)
                return


def _list_session(leader: int) -> list[int]:
    """Return the processes of a session that have not ended, none where there is no `/proc`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with suppress(OSError):
            state, _, _, session, *_ = file.read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                found.append(int(file.parent.name))
    return found


def read_last_lines(log: Path, n: int, *, noise: re.Pattern[str]) -> list[str]:
    """Return the last `n` lines of `log` that do not begin with `noise`, none without a file."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [line for line in lines if not noise.match(line)][-n:]
