"""A real PostgreSQL server on a free port, in a temporary folder, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

START_S = 60
# PostgreSQL does not run as root; where we are root, this user of the Debian package does it.
SYSTEM_USER = "postgres"


class PostgresMissing(Exception):
    """PostgreSQL's programs are not on this machine, or nobody may run them."""


class PostgresServer:
    """A server that listens on loopback and trusts whoever connects."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]

    @property
    def dsn(self) -> str:
        return f"postgresql://milieu@127.0.0.1:{self._port}/postgres"

    def make(self) -> None:
        self._call("initdb", "-D", str(self._data), "-U", "milieu", "-A", "trust", "-E", "UTF8")

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = str(self._folder / "log")
        self._call(
            "pg_ctl", "-D", str(self._data), "-w", "-t", str(START_S), "-l", log,
            "-o", options, "start",
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is what a crash is: nothing is finished."""
        self._call("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def start_killed(self) -> None:
        """Start it anew after `processes` were killed and have ended."""
        # It takes a zombie that nobody has waited for yet for a server that runs.
        for lock in (self._data / "postmaster.pid", *self._folder.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)
        self.start()

    @property
    def processes(self) -> list[psutil.Process]:
        """Those of the server that run now, to be killed."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _call(self, program: str, *args: str) -> None:
        command = [*_as_system_user(), str(self._binaries / program), *args]
        # The server keeps what it inherits, so its output goes to a file that nobody waits for.
        with (self._folder / f"{program}.out").open("ab") as output:
            done = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                timeout=START_S,
                check=False,
            )
        if done.returncode:
            said = (self._folder / f"{program}.out").read_text()[-2000:]
            raise RuntimeError(f"{program} ended with {done.returncode}: {said}")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the time of the block.

    Raises:
        PostgresMissing: its programs are not there.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="milieu-postgres-"))
    try:
        if os.geteuid() == 0:
            account = _system_account()
            os.chown(folder, account.pw_uid, account.pw_gid)
        server = PostgresServer(binaries, folder)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """The folder of `initdb`: that of the newest Debian package, else on the path."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(versions, key=lambda found: int(found.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    if newest:
        return newest[0].parent
    if on_path is None:
        raise PostgresMissing("needs initdb, pg_ctl and postgres: apt-get install postgresql")
    return Path(on_path).resolve().parent


def _as_system_user() -> Sequence[str]:
    if os.geteuid():
        return ()
    account = _system_account()
    return ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")


def _system_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError as exc:
        raise PostgresMissing(f"is root and needs a system user '{SYSTEM_USER}'") from exc
