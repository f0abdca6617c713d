"""Folders that several processes share: copying untrusted files in, locking, deleting."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from adapters.errors import AdapterFault, AdapterRefused, RegistryBusy
from adapters.inspection import check_size

LOCK = ".lock"
LOCK_DEADLINE_S = 30.0
_ADDING, _REMOVED = ".adding-", ".removed-"
_LOCK_POLL_S = 0.02
_COPY_BYTES = 2**20


class SharedFolder:
    """A folder whose folders come and go whole, whichever process is killed meanwhile."""

    def __init__(self, folder: Path, *, lock_deadline_s: float = LOCK_DEADLINE_S) -> None:
        self._folder = folder
        self._lock_deadline_s = lock_deadline_s

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock; the kernel releases it when a process dies.

        Raises:
            RegistryBusy: another holder did not release it in time.
        """
        with _open(self._folder / LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
            started = time.monotonic()
            while not _try_lock(descriptor):
                if time.monotonic() - started > self._lock_deadline_s:
                    raise RegistryBusy(self._folder, waited_s=self._lock_deadline_s)
                time.sleep(_LOCK_POLL_S)
            yield

    @contextmanager
    def receive(self) -> Iterator[Path]:
        """Make a folder for something on its way in; it is deleted unless it is renamed.

        It stays locked, so that another process can tell it from one that a kill left behind.

        Raises:
            RegistryBusy: another holder did not release the lock in time.
        """
        with ExitStack() as stack:
            with self.lock():
                self._clear()
                folder = Path(tempfile.mkdtemp(prefix=_ADDING, dir=self._folder))
                held = _try_lock(stack.enter_context(_open(folder, os.O_DIRECTORY)))
                assert held  # nobody else knows of it yet
            try:
                yield folder
            finally:
                if folder.exists():
                    _delete(folder)

    def depart(self, folder: Path) -> None:
        """Delete `folder`: out of sight at once, then off the disk. Needs the lock."""
        folder.rename(self._folder / f"{_REMOVED}{folder.name}-{time.time_ns()}")
        sync(self._folder)
        self._clear()

    def _clear(self) -> None:
        for folder in self._folder.iterdir():
            if not folder.name.startswith((_ADDING, _REMOVED)):
                continue
            # Its own process may have deleted it just now.
            with suppress(FileNotFoundError), _open(folder, os.O_DIRECTORY) as descriptor:
                if _try_lock(descriptor):
                    _delete(folder)


def copy_files(source: Path, target: Path, *, max_bytes: int) -> None:
    """Copy the files in `source` into `target`, never through a link nor more than `max_bytes`.

    Raises:
        AdapterRefused: a file became a link, vanished or grew since it was looked at.
    """
    try:
        folder = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise AdapterRefused(
            AdapterFault.FOLDER,
            found=f"{source}, which cannot be opened ({exc})",
            expected="a folder",
        ) from exc
    try:
        n_bytes = 0
        for name in sorted(os.listdir(folder)):
            n_bytes += _copy_file(name, folder, target=target, limit=max_bytes - n_bytes)
    finally:
        os.close(folder)


def make_read_only(folder: Path) -> None:
    """Make `folder` and its files read-only, and wait until they are on the disk."""
    # Readable for all: a server may run as another user.
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    sync(folder)


def sync(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk."""
    with _open(folder, os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def _copy_file(name: str, folder: int, *, target: Path, limit: int) -> int:
    """Copy the file `name` of the open `folder`, and return its size in bytes."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError as exc:
        raise AdapterRefused(
            AdapterFault.LINK if exc.errno == errno.ELOOP else AdapterFault.FILE_MISSING,
            found=f"{name[:80]!r}, which cannot be opened ({exc})",
            expected="a file",
        ) from exc
    n_bytes = 0
    with os.fdopen(descriptor, "rb") as there, (target / name).open("xb") as here:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AdapterRefused(
                AdapterFault.FILE_UNEXPECTED,
                found=f"{name[:80]!r}, no plain file",
                expected="a file",
            )
        while data := there.read(_COPY_BYTES):
            n_bytes += len(data)
            check_size("all files", n_bytes, limit=limit)
            here.write(data)
        here.flush()
        os.fsync(here.fileno())
    return n_bytes


@contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _delete(folder: Path) -> None:
    # A read-only folder too.
    folder.chmod(0o700)
    shutil.rmtree(folder)


def _try_lock(descriptor: int) -> bool:
    """Return whether this open file now holds its lock; False while another open file does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
