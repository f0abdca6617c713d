"""What a model is called whose folder alone is known."""

from __future__ import annotations

from pathlib import Path


def name_model(folder: Path | None, default: str) -> str:
    """Return the name of a model folder: its own, or the model's in a cache of the Hub.

    Without a folder, or where that is the root, it is `default`. In a cache of the Hub the folder
    is `models--OWNER--NAME/snapshots/COMMIT`, and the model OWNER/NAME.
    """
    if folder is None:
        return default
    whole = folder.expanduser().resolve()
    if whole.parent.name == "snapshots" and whole.parents[1].name.startswith("models--"):
        return whole.parents[1].name.removeprefix("models--").replace("--", "/")
    return whole.name or default
