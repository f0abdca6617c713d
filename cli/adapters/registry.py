"""What `milieu adapters` does on the registry's folder, without a service."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adapters.culturespa.card import read_card
from adapters.fetch import Download, fetch, is_hub_id
from adapters.manifest import MANIFEST, TRAINING, AdapterFacts, AdapterManifest
from adapters.registry import AdapterRegistry
from adapters.serving import measure_effect_nat
from app.api.schemas.adapters import AdapterDetail, detail_of
from app.errors import AdapterNotThere, CulturesMissing
from app.settings import Settings
from app.state.adapters import load_base_model, open_registry

MAX_NAME_CHARS = 63


def add_adapter(
    settings: Settings,
    source: str,
    *,
    revision: str | None,
    name: str | None,
    cultures: Sequence[str] | None,
    about: AdapterFacts,
    download: Download | None = None,
) -> AdapterManifest:
    """Check the adapter in the folder or hub repository `source`, and copy it into the registry.

    A folder that is there goes before a repository of that name. Without a name, of itself or in
    its manifest, it is called as the folder. `cultures` are alpha-3 codes, None those of its
    manifest, or of the card that CultureSPA wrote.

    Raises:
        AdapterNotThere: it is no folder, and cannot be a hub id.
        AdapterNotFetched: the hub has no such repository.
        AdapterRefused: it is not sound; `reason` says why.
        StepFileInvalid: it has a card of CultureSPA, which is not as it was written.
        AdapterTaken, RegistryBusy, BaseModelInvalid: as the registry and the base model do.
    """
    with tempfile.TemporaryDirectory(prefix="milieu-adapter-") as scratch:
        folder = Path(source)
        if not folder.exists():
            if not is_hub_id(source):
                raise AdapterNotThere(source)
            fetched = fetch(source, revision, Path(scratch) / "fetched", download=download)
            folder, about = fetched.folder, replace(about, source=fetched.source)
        if not (folder / MANIFEST).is_file():
            if name is None:
                name = _named_as(Path(source).absolute().name)
            if (folder / TRAINING).is_file():
                cultures, about = _as_its_card_says(folder, cultures, about)
        return open_registry(settings).add(
            folder,
            base=load_base_model(settings),
            max_rank=settings.vllm.max_lora_rank,
            name=name,
            cultures=cultures,
            about=about,
        )


def _as_its_card_says(
    folder: Path, cultures: Sequence[str] | None, about: AdapterFacts
) -> tuple[Sequence[str], AdapterFacts]:
    """Return what was given, and for the rest what CultureSPA wrote beside the adapter.

    Raises:
        StepFileInvalid: the card is none, or of other files.
    """
    card = read_card(folder)
    n = sum(card.n_examples.values())
    return card.cultures if cultures is None else cultures, replace(
        about,
        method=about.method or f"culturespa-{card.mode}",
        data=about.data or f"{n} of the model's own answers",
        licence=about.licence or card.licence,
        metrics=about.metrics or card.metrics,
    )


def list_adapters(settings: Settings) -> list[AdapterDetail]:
    """Return every adapter of the registry.

    Raises:
        RegistryInvalid: a file of the registry is not as it was written.
    """
    registry = open_registry(settings)
    return [_detail(registry, manifest) for manifest in registry.entries()]


def show_adapter(settings: Settings, name: str) -> AdapterDetail:
    """Return one adapter of the registry.

    Raises:
        AdapterUnknown, AdapterAmbiguous: it is not the name of one.
        RegistryInvalid: a file of the registry is not as it was written.
    """
    registry = open_registry(settings)
    return _detail(registry, registry.get(registry.resolve(name)))


def activate_adapter(settings: Settings, name: str, cultures: Sequence[str]) -> AdapterManifest:
    """Make an adapter the active one of `cultures`, all that it serves where none is given.

    It is proven when a service loads it.

    Raises:
        AdapterUnknown, AdapterAmbiguous, AdapterForOthers, AdapterRefused: as the registry does.
        CulturesMissing: it serves any culture, and none is given.
    """
    registry = open_registry(settings)
    manifest = registry.get(registry.resolve(name))
    codes = cultures or manifest.cultures
    if not codes:
        raise CulturesMissing(manifest.version_name)
    registry.activate_all(codes, manifest.version_name)
    return manifest


def remove_adapter(settings: Settings, name: str) -> str:
    """Delete an adapter, and return its version name.

    Raises:
        AdapterUnknown, AdapterAmbiguous: it is not the name of one.
        AdapterInUse: it is active for a culture.
    """
    registry = open_registry(settings)
    version_name = registry.resolve(name)
    registry.remove(version_name)
    return version_name


def _detail(registry: AdapterRegistry, manifest: AdapterManifest) -> AdapterDetail:
    name = manifest.version_name
    active_for = tuple(culture for culture, active in registry.active().items() if active == name)
    effect = measure_effect_nat(registry.canaries(name))
    return detail_of(manifest, active_for, loaded=None, effect_nat=effect)


def _named_as(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME_CHARS].strip("-")
