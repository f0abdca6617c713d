"""Runs one command, and ends all of it when whoever started this goes away, however it does.

`python -I -S supervisor.py GRACE_S COMMAND…`, with a pipe as standard input that stays open
for as long as the command is wanted. Nothing here is imported from outside the standard library,
so that the supervisor starts in milliseconds and needs few megabytes.

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

# Timeouts of the command's threads may end this much later, together; events wake them as ever. On
# a CPU vLLM has 13 threads (gloo's) that look around every 10 ms and use 1.4 % of a core at it.
TIMER_SLACK_NS = 50_000_000
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK, _PR_SET_CHILD_SUBREAPER = 1, 29, 36


class _Ended(Exception):
    """The supervisor was told to stop by a signal."""


def main(argv: list[str]) -> int:
    """Run the command in a process group of its own; return its exit status, as a shell would."""
    grace_s, command = float(argv[1]), argv[2:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    # Orphans of the command become the supervisor's children, so that it sees the last of them end.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    deaths = _watch_children()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_prepare
    )
    try:
        while child.poll() is None and not _starter_is_gone(deaths):
            pass
    except _Ended:
        pass
    _end(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _watch_children() -> int:
    """Return a descriptor that can be read when a child has ended, so that nothing need poll."""
    deaths, to_write = os.pipe()
    for descriptor in (deaths, to_write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(to_write, warn_on_full_buffer=False)
    # Only a signal with a handler wakes it.
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return deaths


def _starter_is_gone(deaths: int) -> bool:
    """Wait until a child ends or the pipe does; return whether it was the pipe."""
    starter = sys.stdin.fileno()
    readable, _, _ = select.select([starter, deaths], [], [])
    if deaths in readable:
        os.read(deaths, 4096)
    return starter in readable and not os.read(starter, 4096)


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


def _prepare() -> None:
    """Set what the command inherits."""
    # For the case that the supervisor itself is killed: the command may still end in good order.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_TIMERSLACK, TIMER_SLACK_NS)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _on_signal(number: int, frame: object) -> NoReturn:
    raise _Ended


if __name__ == "__main__":
    sys.exit(main(sys.argv))
