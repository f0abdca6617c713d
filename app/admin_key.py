"""The admin key of a service whose settings name none: made once, kept in the data folder."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from app.errors import AdminKeyInvalid
from app.settings import Settings

logger = logging.getLogger(__name__)

FILE = "admin-key"
MIN_CHARS = 32
_N_BYTES = 32
_MAX_BYTES = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def with_admin_key(settings: Settings) -> Settings:
    """Return `settings` with an admin key: theirs, else that of the data folder, made if need be.

    Where none can be written there is none, which closes the admin routes; the log says so.

    Raises:
        AdminKeyInvalid: the file can be read by others, or holds no key.
    """
    if settings.admin_keys:
        if min(len(key.get_secret_value()) for key in settings.admin_keys) < MIN_CHARS:
            fields = {"remedy": f"use {MIN_CHARS} characters or more"}
            logger.warning("admin_key_is_short", extra={"fields": fields})
        return settings
    try:
        key = made_admin_key(settings.data_folder)
    except OSError as exc:
        remedy = "set MILIEU_ADMIN_KEYS, or a MILIEU_DATA_FOLDER that can be written"
        fields = {"reason": str(exc), "remedy": remedy}
        logger.warning("admin_key_not_made", extra={"fields": fields})
        return settings
    return settings.model_copy(update={"admin_keys": (SecretStr(key),)})


def made_admin_key(data_folder: Path) -> str:
    """Return the key in `data_folder`, made if there is none; of several makers one wins.

    Raises:
        AdminKeyInvalid: the file can be read by others, or holds no key.
        OSError: it cannot be read, or a new one not written.
    """
    if (key := read_admin_key(data_folder)) is not None:
        return key
    data_folder.mkdir(parents=True, exist_ok=True)
    file = data_folder / FILE
    # Written first, and then put in place whole unless another is there: only its owner may read it
    # (mkstemp sees to that), and nobody reads half of it.
    descriptor, part = tempfile.mkstemp(prefix=f".{FILE}-", dir=data_folder)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(_N_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(part, file)
            logger.info("admin_key_made", extra={"fields": {"file": str(file)}})
    finally:
        os.unlink(part)
    key = read_admin_key(data_folder)
    if key is None:
        raise FileNotFoundError(f"{file} was deleted as soon as it was made")
    return key


def read_admin_key(data_folder: Path) -> str | None:
    """Return the key in `data_folder`, None where there is none.

    Raises:
        AdminKeyInvalid: the file can be read by others, or holds no key.
        OSError: it cannot be read.
    """
    file = data_folder / FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & _OTHERS:
            found = f"mode {stat.S_IMODE(mode):o}" if stat.S_ISREG(mode) else "no plain file"
            raise AdminKeyInvalid(file, found=found, expected="a file that only its owner may read")
        key = os.read(descriptor, _MAX_BYTES).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if len(key) < MIN_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        expected = f"a key of {MIN_CHARS} characters or more"
        raise AdminKeyInvalid(file, found=f"{len(key)} characters", expected=expected)
    return key
