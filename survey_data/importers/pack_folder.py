"""Put a pack in its folder, whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from survey_data.errors import FolderTaken, PackInvalid
from survey_data.model import Pack
from survey_data.packs import write_pack

MANIFEST = "pack.toml"


def check_free(folder: Path, *, force: bool = False) -> None:
    """Return if a pack may be written to `folder`: it is absent, empty, or `force` is set.

    Raises:
        FolderTaken: it holds something; or, with `force`, something that is no pack.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderTaken(f"{folder} is a file; name a folder for the pack.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not force:
        raise FolderTaken(
            f"{folder} is not empty. Name another folder, or replace the pack there with --force."
        )
    if not (folder / MANIFEST).is_file():
        raise FolderTaken(
            f"{folder} holds something that is no pack (no {MANIFEST}), which --force does not "
            "replace. Name another folder."
        )


def place_pack(folder: Path, pack: Pack, *, force: bool = False) -> Pack:
    """Write `pack` to `folder` and return it as it is read back from there.

    It is written beside the folder, read back whole, and then moved: a failure leaves what was
    there before.

    Raises:
        FolderTaken: see `check_free`.
        PackInvalid: the pack breaks the format; the file is named as it would be in `folder`.
    """
    check_free(folder, force=force)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One level deeper than packs lie, so that no service that looks for packs finds it half-made.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "made"
        try:
            written = write_pack(made, pack)
        except PackInvalid as exc:
            raise exc.moved(made, folder) from exc
        replaced = Path(scratch) / "replaced"
        if folder.is_dir():
            folder.rename(replaced)
        try:
            made.rename(folder)
        except OSError:
            if replaced.is_dir():
                replaced.rename(folder)
            raise
    return written
