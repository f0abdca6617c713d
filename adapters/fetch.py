"""Fetches an adapter from the model hub: the files of a LoRA adapter and no others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from adapters.errors import AdapterNotFetched
from adapters.manifest import CARD, CONFIG, MANIFEST, WEIGHTS

# Pickled weights are not even downloaded.
FILES = (CONFIG, WEIGHTS, CARD, MANIFEST)
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_HUB_ID = re.compile(rf"{_PART}/{_PART}")
# `huggingface_hub.snapshot_download`, or a stand-in: takes the same arguments, and returns the
# folder of the cache that is named by the commit and holds the files.
Download: TypeAlias = Callable[..., str]
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class Fetched(NamedTuple):
    """A folder with an adapter's files, and `<hub id>@<commit>`, where they came from."""

    folder: Path
    source: str


def is_hub_id(text: str) -> bool:
    """Return whether `text` may name a repository of the hub: `owner/name`."""
    return _HUB_ID.fullmatch(text) is not None and ".." not in text and "--" not in text


def fetch(
    hub_id: str,
    revision: str | None,
    folder: Path,
    *,
    offline: bool = False,
    download: Download | None = None,
) -> Fetched:
    """Download an adapter into `folder`, which must be new or empty, as plain files.

    The hub's cache keeps files as links; they are copied. What was downloaded is not inspected
    here. `revision` is a branch, tag or commit, None the newest; `offline` takes it from the cache.

    Raises:
        AdapterNotFetched: the id or revision is invalid, there is no such repository, it holds no
            LoRA weights as safetensors, or the folder is not empty.
    """
    is_revision = revision is None or (_REVISION.fullmatch(revision) and ".." not in revision)
    if not is_hub_id(hub_id) or not is_revision:
        raise AdapterNotFetched(
            hub_id,
            found=f"an id or revision ({str(revision)[:40]!r}) that is invalid on the hub",
            expected="owner/name, and a branch, tag or commit",
            remedy="See how the hub names it.",
        )
    if folder.exists() and any(folder.iterdir()):
        raise AdapterNotFetched(
            hub_id,
            found=f"files in {folder}",
            expected="a new or empty folder",
            remedy="Name another one.",
        )
    cached = _download(hub_id, revision, offline=offline, download=download)
    _copy(hub_id, cached, folder)
    return Fetched(folder, f"{hub_id}@{cached.name}")


def _download(
    hub_id: str, revision: str | None, *, offline: bool, download: Download | None
) -> Path:
    try:
        if download is None:
            # Takes a second to import, which only this command should spend.
            from huggingface_hub import snapshot_download

            download = snapshot_download
        found = download(
            hub_id, revision=revision, allow_patterns=list(FILES), local_files_only=offline
        )
    # The hub's client raises errors of several libraries; each means no adapter.
    except Exception as exc:
        raise AdapterNotFetched(
            hub_id,
            found=f"{type(exc).__name__}: {str(exc)[:300]}",
            expected="a repository" + (" in the local cache" if offline else " of the hub"),
            remedy="Download it once while online." if offline else "See that it can be reached.",
        ) from exc
    return Path(found)


def _copy(hub_id: str, cached: Path, folder: Path) -> None:
    # <cache>/models--owner--name/snapshots/<commit>/<file> -> …/blobs/<hash>
    repository = cached.resolve().parent.parent
    files = {name: (cached / name).resolve() for name in FILES if (cached / name).exists()}
    for name, file in files.items():
        if not file.is_relative_to(repository):
            raise AdapterNotFetched(
                hub_id,
                found=f"{name} as a link out of the cache",
                expected="a file of the repository",
                remedy="Delete the repository from the hub's cache and fetch it again.",
            )
    if missing := {CONFIG, WEIGHTS} - files.keys():
        raise AdapterNotFetched(
            hub_id,
            found=f"no {' and no '.join(sorted(missing))}",
            expected="a LoRA adapter as peft saves it, its weights as safetensors",
            remedy="Pickled weights are not loaded; ask the publisher for safetensors.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        shutil.copyfile(file, folder / name)
