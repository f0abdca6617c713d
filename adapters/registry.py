"""A folder of adapters, each immutable under its name and version, and what is active.

    <name>@<version>/   one adapter: config, weights, card, and its manifest, written last
    active.json         the active version of each culture, and those before it
    canaries/           what canary prompts were answered with each adapter here
    .lock               held while any of this changes
    .adding-…           an adapter on its way in; left by a kill, the next change clears it
    .removed-…          an adapter on its way out, likewise

A server knows an adapter by its version name and reads it from its path, so neither ever comes to
mean other weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from adapters.active import Activations, read_activations, write_activations
from adapters.base_model import AdapterBase
from adapters.canary import check_effect, list_prompts
from adapters.entries import CANARIES_FOLDER, AdapterEntries
from adapters.errors import (
    AdapterFault,
    AdapterForOthers,
    AdapterInUse,
    AdapterRefused,
    AdapterTaken,
    AdapterUnverified,
    ManifestInvalid,
    RegistryInvalid,
)
from adapters.folders import LOCK_DEADLINE_S, SharedFolder, copy_files, make_read_only, sync
from adapters.inspection import MAX_BYTES, Inspection, inspect, measure_files
from adapters.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    AdapterFacts,
    AdapterManifest,
    Canary,
    is_name,
    write_canaries,
    write_manifest,
)

_CULTURE = re.compile(r"[A-Z]{3}")


class AdapterRegistry(AdapterEntries):
    """The adapters in a folder, and what is active. Several processes may share one folder.

    Every change raises RegistryBusy if another process did not release the registry in time, and
    otherwise what `AdapterEntries` raises.
    """

    def __init__(self, folder: Path, *, lock_deadline_s: float = LOCK_DEADLINE_S) -> None:
        """Open the registry in `folder`, which is created if it is missing.

        Raises:
            RegistryInvalid: it cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RegistryInvalid(
                folder,
                found=f"no folder, and none can be created ({exc.strerror})",
                expected="a place to keep adapters in",
                remedy="Set MILIEU_DATA_FOLDER to a folder that can be written.",
            ) from exc
        super().__init__(folder.resolve())
        self._shared = SharedFolder(self.folder, lock_deadline_s=lock_deadline_s)

    def add(
        self,
        source_folder: Path,
        *,
        base: AdapterBase,
        max_rank: int,
        name: str | None = None,
        cultures: Sequence[str] | None = None,
        about: AdapterFacts | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> AdapterManifest:
        """Copy the adapter in `source_folder` into the registry, and return its manifest.

        The copy is inspected, not the source, which may change meanwhile. Adding the same again
        changes nothing. Name, cultures (alpha-3; empty for any) and each field of `about` that is
        not given are taken from the manifest that came with the adapter.

        Raises:
            AdapterRefused: it is not a sound adapter for `base`; `reason` says why.
            AdapterTaken: the same weights are here under this name, with another description.
        """
        measure_files(source_folder, max_bytes=max_bytes)
        with self._shared.receive() as folder:
            copy_files(source_folder, folder, max_bytes=max_bytes)
            inspected = inspect(folder, base, max_rank=max_rank, max_bytes=max_bytes)
            manifest = _build_manifest(
                inspected, base=base, name=name, cultures=cultures, about=about or AdapterFacts()
            )
            _replace_manifest(folder, manifest)
            make_read_only(folder)
            with self._shared.lock():
                if manifest.version_name in self._list_versions():
                    return self._check_same(manifest)
                folder.rename(self.folder / manifest.version_name)
                sync(self.folder)
        return manifest

    def active(self) -> dict[str, str]:
        """Return the version name that is active for each culture; others have the base model."""
        return read_activations(self.folder).active

    def states(self) -> Mapping[str, tuple[str | None, ...]]:
        """Return what was active for each culture, oldest first; see `Activations`."""
        return read_activations(self.folder).states

    def activate(
        self, cultures: Sequence[str], version_name: str, *, verified: bool = False
    ) -> None:
        """Make an adapter the active one of `cultures`, alpha-3 codes, having verified it.

        For all of them or none. With `verified` its effect must have been measured here, see
        `record_canaries`.

        Raises:
            AdapterForOthers: it was not made for one of the cultures, or that is not a code.
            AdapterUnverified: `verified` is required, and it is not.
            AdapterRefused: a file is altered.
        """
        with self._shared.lock():
            manifest = self.verify(version_name)
            for culture in cultures:
                if not _CULTURE.fullmatch(culture) or not manifest.serves(culture):
                    raise AdapterForOthers(
                        version_name, culture=culture[:20], cultures=manifest.cultures
                    )
            if verified and not self.canaries(version_name):
                raise AdapterUnverified(version_name)
            activations = read_activations(self.folder)
            for culture in cultures:
                activations = activations.activate(culture, version_name)
            self._write(activations)

    def deactivate(self, culture: str) -> None:
        """Let the base model answer for `culture`; `rollback` brings the adapter back."""
        with self._shared.lock():
            self._write(read_activations(self.folder).activate(culture, None))

    def rollback(self, culture: str) -> str | None:
        """Go back to what was active for `culture` before, and return it; None: the base model.

        Raises:
            NothingToRollBack: no adapter was ever active, or all was rolled back.
            AdapterUnknown: the earlier adapter's folder is gone; nothing is changed.
            AdapterRefused: a file of the earlier adapter is altered; nothing is changed.
        """
        with self._shared.lock():
            activations = read_activations(self.folder).roll_back(culture)
            version_name = activations.active.get(culture)
            if version_name is not None:
                self.verify(version_name)
            self._write(activations)
        return version_name

    def remove(self, version_name: str) -> None:
        """Delete an adapter. No server may have it loaded: deleting its files can kill one.

        Raises:
            AdapterInUse: it is active for a culture.
        """
        with self._shared.lock():
            folder = self.path(version_name)
            self.check_removable(version_name)
            activations = read_activations(self.folder)
            self._write(activations.without(version_name))
            self._canaries_file(version_name).unlink(missing_ok=True)
            self._shared.depart(folder)

    def check_removable(self, version_name: str) -> None:
        """Check that an adapter may be removed.

        Raises:
            AdapterInUse: it is active for a culture.
        """
        self.path(version_name)
        active = read_activations(self.folder).active
        if cultures := tuple(c for c, name in active.items() if name == version_name):
            raise AdapterInUse(version_name, cultures=cultures)

    def record_canaries(self, version_name: str, canaries: Sequence[Canary]) -> None:
        """Check what was measured with an adapter on a server here, and keep it.

        Raises:
            AdapterRefused: it has no effect, or one other than its publisher recorded.
            ValueError: there are no canaries, or their prompts are not the recorded ones.
        """
        recorded = self.get(version_name).about.canaries
        if not canaries:
            raise ValueError("at least one canary must have been measured")
        if recorded and list_prompts(recorded) != list_prompts(canaries):
            raise ValueError("the prompts must be those that the publisher recorded, in order")
        base = [canary.base_logprobs for canary in canaries]
        check_effect(base, [canary.adapter_logprobs for canary in canaries], recorded)
        with self._shared.lock():
            self.path(version_name)
            (self.folder / CANARIES_FOLDER).mkdir(exist_ok=True)
            write_canaries(self._canaries_file(version_name), tuple(canaries))

    def _write(self, activations: Activations) -> None:
        write_activations(self.folder, activations)
        sync(self.folder)

    def _check_same(self, manifest: AdapterManifest) -> AdapterManifest:
        """Return the manifest of the entry that is there, which must say what `manifest` says."""
        there = self.verify(manifest.version_name)
        one, other = _join_facts(there), _join_facts(manifest)
        # Where it was taken from is not a property of an adapter.
        differing = tuple(n for n in one if n != "source" and one[n] != other[n])
        if differing:
            raise AdapterTaken(manifest.version_name, fields=differing)
        return there


def _join_facts(manifest: AdapterManifest) -> dict[str, Any]:
    entry = asdict(manifest)
    about: dict[str, Any] = entry.pop("about")
    return entry | about


def _replace_manifest(folder: Path, manifest: AdapterManifest) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)
    try:
        write_manifest(folder, manifest)
    except ManifestInvalid as exc:
        raise AdapterRefused(
            AdapterFault.MANIFEST, found=f"a wrong description ({exc})", expected="one that fits"
        ) from exc


def _build_manifest(
    inspected: Inspection,
    *,
    base: AdapterBase,
    name: str | None,
    cultures: Sequence[str] | None,
    about: AdapterFacts,
) -> AdapterManifest:
    """Return the manifest of an inspected adapter: what was given, else what it came with."""
    published = inspected.published
    if published is not None:
        name = published.name if name is None else name
        cultures = published.cultures if cultures is None else cultures
        names = [f.name for f in fields(AdapterFacts)]
        given = {name: value for name in names if (value := getattr(about, name))}
        about = replace(published.about, **given)
    if name is None or not is_name(name):
        raise AdapterRefused(
            AdapterFault.NAME,
            found="no name" if name is None else f"the name {name[:80]!r}",
            expected="1 to 63 lower-case letters, digits and '-', no '-' first",
            remedy="Give it such a name.",
        )
    return AdapterManifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=inspected.version,
        base_model=base.name,
        base_sha256=base.sha256,
        rank=inspected.rank,
        alpha=inspected.alpha,
        target_modules=inspected.target_modules,
        cultures=tuple(sorted(set(cultures or ()))),
        about=replace(about, metrics=dict(about.metrics)),
        sha256=inspected.sha256,
    )
