"""The folder of one run of a service with workers: in memory if that can be, gone when it ends.

Parent and workers hold a shared lock on a file in it. The kernel drops a lock with its process,
so a folder whose lock nobody has is left over, however its service ended.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# A file system in memory, where there is one: what is kept here is kept in memory alone.
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  # the folder in it is made anew, and its owner's
LOCK = "held"
_PREFIX = "milieu-"


@contextmanager
def make_run_folder(memory: Path = MEMORY_FOLDER) -> Iterator[Path]:
    """Make a folder that only its owner may enter, and delete it; clear away what is left over.

    It is in `memory`, or in the folder for temporary files if that is missing.
    """
    is_usable = memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)
    place = memory if is_usable else Path(tempfile.gettempdir())
    for left_over in sorted(place.glob(f"{_PREFIX}*")):
        if remove_unless_held(left_over):
            logger.info("run_folder_removed", extra={"fields": {"folder": str(left_over)}})
    with tempfile.TemporaryDirectory(
        prefix=_PREFIX, dir=place, ignore_cleanup_errors=True
    ) as folder:
        new = Path(folder) / f"{LOCK}.new"
        new.touch(mode=0o600)
        with _hold(new):
            # Under its name nobody ever finds it without a lock.
            new.rename(new.with_name(LOCK))
            yield Path(folder)


@contextmanager
def share_run_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for the block, and delete it after if all others are gone, the parent too."""
    with _hold(folder / LOCK):
        yield
    remove_unless_held(folder)


def remove_unless_held(folder: Path) -> bool:
    """Delete the folder of a run of this user that no process has, and return whether it was."""
    with suppress(OSError):
        if folder.lstat().st_uid != os.getuid():
            return False
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)
        return True
    return False


@contextmanager
def _hold(file: Path) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
