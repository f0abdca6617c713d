"""Secrets that are made once and kept in a file which only its owner may read."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from app.errors import SecretFileInvalid

logger = logging.getLogger(__name__)

MIN_CHARS = 32
_N_BYTES = 32
_MAX_BYTES = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_secret(file: Path, *, remedy: str) -> str:
    """Return the secret in `file`, made if there is none; of several makers one wins.

    `remedy` is what to do about a file that holds none, for the error's message.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no secret.
        OSError: it cannot be read, or a new one not written.
    """
    if (secret := read_secret(file, remedy=remedy)) is not None:
        return secret
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written first, and then put in place whole unless another is there: only its owner may read it
    # (mkstemp sees to that), and nobody reads half of it.
    descriptor, part = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(_N_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(part, file)
            event = file.name.replace("-", "_") + "_made"
            logger.info(event, extra={"fields": {"file": str(file)}})
    finally:
        os.unlink(part)
    secret = read_secret(file, remedy=remedy)
    if secret is None:
        raise FileNotFoundError(f"{file} was deleted as soon as it was made")
    return secret


def read_secret(file: Path, *, remedy: str) -> str | None:
    """Return the secret in `file`, None where there is no such file.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no secret.
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        mode = os.fstat(descriptor).st_mode
        is_plain = stat.S_ISREG(mode)
        if not is_plain or mode & _OTHERS:
            found = f"mode {stat.S_IMODE(mode):o}" if is_plain else "no plain file"
            expected = "a file that only its owner may read"
            if is_plain:
                remedy = f"Take the others' rights from it: chmod 600 {file}"
            raise SecretFileInvalid(file, found=found, expected=expected, remedy=remedy)
        secret = os.read(descriptor, _MAX_BYTES).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if len(secret) < MIN_CHARS or not secret.isascii() or not secret.isprintable() or " " in secret:
        expected = f"{MIN_CHARS} characters or more, in one word"
        found = f"{len(secret)} characters"
        raise SecretFileInvalid(file, found=found, expected=expected, remedy=remedy)
    return secret
