"""Write a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".part"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give the path to write to; with the end of the block that file takes the place of `file`.

    A reader finds the old content or the new, never half, also where the power fails. Where the
    block raises, `file` stays as it was. Several processes may write the same file at once.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(file: Path, content: bytes) -> None:
    """Write `content` to `file`, whole or not at all."""
    with replacing(file) as part:
        part.write_bytes(content)


def write_text(file: Path, text: str) -> None:
    """Write `text` to `file` as UTF-8, whole or not at all."""
    write_bytes(file, text.encode())


def is_part(file: Path) -> bool:
    """Return whether `file` is what a kill left half written."""
    return file.name.startswith(".") and file.name.endswith(_SUFFIX)
