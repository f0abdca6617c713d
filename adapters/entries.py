"""The adapters in a registry's folder: reading and checking them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from adapters.errors import AdapterAmbiguous, AdapterUnknown, ManifestInvalid, RegistryInvalid
from adapters.inspection import check_hashes, measure_files
from adapters.manifest import (
    MANIFEST,
    AdapterManifest,
    Canary,
    is_version_name,
    read_canaries,
    read_manifest,
)
from files.hashes import hash_file

CANARIES_FOLDER = "canaries"


class AdapterEntries:
    """The adapters in a folder, to be read.

    A name that a client gives becomes a path only if the folder's listing has it: any method raises
    AdapterUnknown for others, and RegistryInvalid for a file that is not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        """Read from `folder`, an absolute path."""
        self.folder = folder

    def entries(self) -> tuple[AdapterManifest, ...]:
        """Return the manifests of all adapters, by name and version.

        Raises:
            RegistryInvalid: a manifest cannot be read; `remove` still takes its entry.
        """
        found = []
        for version_name in self._list_versions():
            try:
                found.append(self.get(version_name))
            except (AdapterUnknown, RegistryInvalid):
                # Another process may have removed it since it was listed.
                if version_name in self._list_versions():
                    raise
        return tuple(found)

    def get(self, version_name: str) -> AdapterManifest:
        """Return the manifest of one adapter; its files are not read, see `verify`."""
        folder = self.path(version_name)
        try:
            manifest = read_manifest(folder / MANIFEST)
        except ManifestInvalid as exc:
            raise _refuse_entry(folder, f"an invalid manifest ({exc})") from exc
        if manifest.version_name != version_name:
            raise _refuse_entry(folder, f"the manifest of {manifest.version_name}")
        return manifest

    def path(self, version_name: str) -> Path:
        """Return the absolute folder of one adapter, for a server to load it from."""
        if not is_version_name(version_name) or version_name not in self._list_versions():
            raise AdapterUnknown(version_name)
        return self.folder / version_name

    def verify(self, version_name: str) -> AdapterManifest:
        """Return the manifest of one adapter, after every file was checked against it.

        Raises:
            AdapterRefused: a file is altered, missing or too many; `reason` says which.
        """
        manifest = self.get(version_name)
        folder = self.path(version_name)
        # Whatever its size limit was when it was added.
        sizes = measure_files(folder, max_bytes=sys.maxsize)
        check_hashes(manifest, {n: hash_file(folder / n) for n in sizes if n != MANIFEST})
        return manifest

    def resolve(self, text: str) -> str:
        """Return the version name that `text` means: a full one, or a name with one version.

        Raises:
            AdapterUnknown: no adapter has that name.
            AdapterAmbiguous: several versions have that name.
        """
        listing = self._list_versions()
        if text in listing:
            return text
        versions = tuple(name for name in listing if name.partition("@")[0] == text)
        if len(versions) > 1:
            raise AdapterAmbiguous(text, versions=versions)
        if not versions:
            raise AdapterUnknown(text)
        return versions[0]

    def canaries(self, version_name: str) -> tuple[Canary, ...]:
        """Return what was last measured here with an adapter, empty if nothing was."""
        self.path(version_name)
        file = self._canaries_file(version_name)
        if not file.exists():
            return ()
        try:
            return read_canaries(file)
        except ManifestInvalid as exc:
            raise RegistryInvalid(
                file,
                found=f"no canaries ({exc})",
                expected="what `record_canaries` writes",
                remedy="Delete it, and measure them again.",
            ) from exc

    def _list_versions(self) -> tuple[str, ...]:
        with os.scandir(self.folder) as entries:
            found = [entry for entry in entries if is_version_name(entry.name)]
            return tuple(sorted(e.name for e in found if e.is_dir(follow_symlinks=False)))

    def _canaries_file(self, version_name: str) -> Path:
        return self.folder / CANARIES_FOLDER / f"{version_name}.json"


def _refuse_entry(folder: Path, found: str) -> RegistryInvalid:
    return RegistryInvalid(
        folder / MANIFEST,
        found=found,
        expected=f"that of {folder.name}, as it was written",
        remedy="Remove the adapter, and add it again.",
    )
