"""CPU seconds that `milieu … --help` takes, for every command in a process of its own.

    python -m benchmarks.cli_start

Prints the median of a few runs (user and system time of the child), and exits 1 if one takes more
than the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from typer.main import get_command

from cli.main import cli

LIMIT_S = 0.3
MILIEU = (sys.executable, "-c", "from cli.main import main; main()")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    arguments = parser.parse_args()
    slowest = 0.0
    for path in walk(get_command(cli)):
        cpu_s = statistics.median(measure(path) for _ in range(arguments.runs))
        slowest = max(slowest, cpu_s)
        print(f"{cpu_s:6.3f} s  milieu {' '.join((*path, '--help'))}", flush=True)
    print(f"{slowest:6.3f} s  at most; the limit is {LIMIT_S} s")
    return int(slowest > LIMIT_S)


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of a command, then those of its subcommands."""
    yield path
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from walk(command.get_command(None, name), (*path, name))


def measure(path: Sequence[str]) -> float:
    """Return the CPU seconds of one command's help in a process of its own."""
    command = [*MILIEU, *path, "--help"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    # It is gone: nothing is left for `wait` to find.
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {child.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
