"""The mini model's weights folder: a manifest, written last, and the check against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from files.hashes import hash_file

WEIGHTS = Path(__file__).parent / "weights"
MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


class WeightsInvalid(Exception):
    """A weights folder is not what its manifest says; names the file."""


def write_weights_manifest(folder: Path, training: Mapping[str, object]) -> None:
    """Record the sha256 of every file in `folder`, and how the weights were trained."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "training": dict(training),
        "sha256": {name: hash_file(folder / name) for name in names},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def check_weights(folder: Path) -> None:
    """Check every file of `folder` against its manifest.

    Raises:
        WeightsInvalid: there is no manifest, a file is missing or altered, or weights are pickled.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        recorded: dict[str, str] = manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WeightsInvalid(
            f"{path} cannot be read: {exc}. Restore the folder, or train the model again "
            "(python -m mini_model.train)."
        ) from exc
    for name, expected in recorded.items():
        file = folder / name
        if not file.is_file():
            raise WeightsInvalid(f"{file} is missing; {path} lists it. Restore the folder.")
        found = hash_file(file)
        if found != expected:
            raise WeightsInvalid(
                f"{file} has sha256 {found}, but {path} records {expected}. Restore the file."
            )
    for file in folder.iterdir():
        if file.suffix in {".bin", ".pt", ".pth", ".pkl"}:
            raise WeightsInvalid(f"{file} may hold pickled code; only safetensors are loaded.")
