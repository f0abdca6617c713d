"""`milieu serve --workers 2` on a fake vLLM, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from app.state.run_folder import LOCK
from benchmarks.service_process import find_free_port

START_S = 240.0
END_S = 40.0
_COMMAND = "from cli.main import main; main()"


class Served(NamedTuple):
    """A service with its workers; `log` is what all of its processes have said."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def workers(self) -> set[int]:
        """The process ids of the workers."""
        found = set()
        for child in psutil.Process(self.process.pid).children():
            # It may end meanwhile.
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.add(child.pid)
        return found


def find_run_folder(served: Served) -> Path:
    """Return the folder that parent and workers share."""
    files = psutil.Process(served.process.pid).open_files()
    [held] = {Path(file.path) for file in files if Path(file.path).name == LOCK}
    return held.parent


@contextmanager
def serve_with_workers(
    folder: Path, variables: Mapping[str, str], *, n: int = 2, port: int | None = None
) -> Iterator[Served]:
    """Run a service with `n` workers and the settings in `variables`; its log is in `folder`.

    It is at `port`, or at one that is free.
    """
    port = find_free_port() if port is None else port
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "serve", "--workers", str(n), "--port", str(port)],
            env=os.environ | {"MILIEU_DATA_FOLDER": str(folder / "data")} | dict(variables),
            stdout=output,
            stderr=output,
        )
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for(lambda: "Milieu answers at" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield served
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        finally:
            process.kill()
            process.wait()


def wait_for(is_so: Callable[[], bool], *, within_s: float = START_S) -> None:
    """Return when something is so.

    Raises:
        TimeoutError: it is not, in time.
    """
    until_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not so within {within_s:g} s")
        time.sleep(0.05)
