"""Hashes of files and of what is kept in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def hash_file(file: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def hash_fields(fields: dict[str, Any]) -> str:
    """Return the sha256, in hex, of JSON fields, in whatever order they stand."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
