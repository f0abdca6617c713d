"""A child process that no way of ending this one leaves behind: spawned, ended, its last words."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from app.process import supervisor

# Beyond the time that the command has to end by itself.
MARGIN_S = 5.0
_TAIL_BYTES = 64 * 1024


class SupervisedProcess:
    """A command under the supervisor script, which ends all of it when this process is gone."""

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
        """Return its exit status when it has ended."""
        return await self._process.wait()

    async def end(self) -> None:
        """End it, in good order if it will. Does nothing when it has ended."""
        if self.status is not None:
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


def read_last_lines(log: Path, n: int, *, noise: re.Pattern[str]) -> list[str]:
    """Return the last `n` lines of `log` that do not begin with `noise`, none without a file."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [line for line in lines if not noise.match(line)][-n:]
