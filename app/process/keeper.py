"""Runs one command, and ends all of it when whoever started this goes away, however it does.

`python -I -S keeper.py GRACE_S COMMAND…`, with a pipe as standard input that stays open
for as long as the command is wanted. Nothing here is imported from outside the standard library,
so that the keeper starts in milliseconds and needs few megabytes.

The end of the pipe tells of the starter's death even by SIGKILL, which a signal handler would not
see; PR_SET_PDEATHSIG alone would not do either, for it acts on a thread, and not on grandchildren.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from typing import NoReturn

POLL_S = 0.2
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class _Ended(Exception):
    """The keeper was told to stop by a signal."""


def main(argv: list[str]) -> int:
    """Run the command in a process group of its own; return its exit status, as a shell would."""
    grace_s, command = float(argv[1]), argv[2:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    # Orphans of the command become the keeper's children, so that it sees the last of them end.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_end_with_keeper
    )
    try:
        while child.poll() is None and not _starter_is_gone():
            pass
    except _Ended:
        pass
    _end(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _starter_is_gone() -> bool:
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], POLL_S)
    return bool(readable) and not os.read(sys.stdin.fileno(), 4096)


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the command to end, then kill what is left of its group."""
    with contextlib.suppress(_Ended, subprocess.TimeoutExpired):
        child.terminate()
        child.wait(timeout=grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _end_with_keeper() -> None:
    # For the case that the keeper itself is killed: the command may still end in good order.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _on_signal(number: int, frame: object) -> NoReturn:
    raise _Ended


if __name__ == "__main__":
    sys.exit(main(sys.argv))
