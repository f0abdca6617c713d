"""The reader adapter that comes with Milieu, and the check of its files."""

from __future__ import annotations

from pathlib import Path

from embedded_model.errors import ReaderAltered
from embedded_model.source import SMOLLM2
from files.hashes import hash_file
from files.json_text import load_json

FOLDER = Path(__file__).with_name("reader_weights")
READER_NAME = f"{SMOLLM2.name}-reader"
MANIFEST = "manifest.json"
RANK = 16


def check_reader(folder: Path = FOLDER) -> Path:
    """Return `folder`, each file checked against its manifest.

    Raises:
        ReaderAltered: the manifest cannot be read, or a file is missing or altered.
    """
    path = folder / MANIFEST
    try:
        recorded: dict[str, str] = dict(load_json(path.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ReaderAltered(path, found=str(exc), expected="a manifest") from exc
    for name, expected in recorded.items():
        file = folder / name
        found = f"sha256 {hash_file(file)}" if file.is_file() else "no such file"
        if found != f"sha256 {expected}":
            raise ReaderAltered(file, found=found, expected=f"sha256 {expected}")
    return folder
