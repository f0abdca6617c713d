"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_file(file: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
