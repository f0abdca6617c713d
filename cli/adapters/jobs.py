"""What `milieu adapters` does: on the registry's folder, or through a running service."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import typer

from adapters.culturespa.card import read_card
from adapters.fetch import Download, fetch, is_hub_id
from adapters.manifest import MANIFEST, TRAINING, AdapterFacts, AdapterManifest
from adapters.readiness import Readiness
from adapters.registry import AdapterRegistry
from adapters.states import measure_effect_nat
from app.api.schemas.adapters import AdapterDetail, StatusResponse, detail_of
from app.errors import AdapterNotThere, CulturesMissing
from app.model_files import prepare_model_files
from app.settings import Settings, read_settings
from app.state.adapters import load_adapter_base, open_registry
from cli.console import notes, out
from cli.service_connection import connect_as_admin
from cli.tables import print_adapter, print_adapters, print_replicas
from milieu_client import ServiceUnreachable
from survey_data.cultures import read_catalogue

OFFLINE = "With --offline the folder itself is changed, for services that are not running."
RUNS = "Only a running service knows its servers; `milieu adapters list` shows the registry."
MAX_NAME_CHARS = 63


def run_add(
    source: str,
    about: AdapterFacts,
    *,
    revision: str | None,
    name: str | None,
    cultures: Sequence[str],
    download: Download | None = None,
) -> None:
    """Check the adapter in the folder or hub repository `source`, and copy it into the registry.

    An existing folder takes precedence over a repository of that name. Without a name here or in
    its manifest, it is named after the folder. Without `cultures` it is for those of its manifest,
    or of the card that CultureSPA wrote.

    Raises:
        AdapterNotThere: it is neither a folder nor a possible hub id.
        AdapterError, AppError: it cannot be fetched, is not sound, or has the name of another.
    """
    with notes.status("Checking the adapter …"), tempfile.TemporaryDirectory() as scratch:
        settings, folder = read_settings(), Path(source)
        codes: Sequence[str] | None = read_catalogue().codes(cultures) if cultures else None
        if not folder.exists():
            if not is_hub_id(source):
                raise AdapterNotThere(source)
            fetched = fetch(source, revision, Path(scratch) / "fetched", download=download)
            folder, about = fetched.folder, replace(about, source=fetched.source)
        if not (folder / MANIFEST).is_file():
            name = _make_name(Path(source).absolute().name) if name is None else name
            if (folder / TRAINING).is_file():
                codes, about = _complete_from_card(folder, codes, about)
        base = load_adapter_base(prepare_model_files(settings), settings.model)
        max_rank = settings.vllm.max_lora_rank
        manifest = open_registry(settings).add(
            folder, base=base, max_rank=max_rank, name=name, cultures=codes, about=about
        )
    served = ", ".join(manifest.cultures)
    _say(f"Added {manifest.version_name} for {served or 'any culture'}. Next:")
    _say(f"  milieu adapters activate {manifest.version_name}{'' if served else ' --culture …'}")


def _complete_from_card(
    folder: Path, cultures: Sequence[str] | None, about: AdapterFacts
) -> tuple[Sequence[str], AdapterFacts]:
    """Return what was given, completed by what CultureSPA wrote beside the adapter."""
    card = read_card(folder)
    n = sum(card.n_examples.values())
    return card.cultures if cultures is None else cultures, replace(
        about,
        method=about.method or f"culturespa-{card.mode}",
        data=about.data or f"{n} of the model's own answers",
        licence=about.licence or card.licence,
        metrics=about.metrics or card.metrics,
    )


def run_list(*, as_json: bool) -> None:
    """Print the adapters of the registry."""
    registry = open_registry(read_settings())
    adapters = [_describe(registry, manifest) for manifest in registry.entries()]
    print_adapters(adapters, as_json=as_json)


def run_status(*, url: str | None, as_json: bool) -> None:
    """Print how far each server of a running service is with the versions that should be live.

    Raises:
        typer.Exit: with status 1, some version is not ready on some server.
    """
    found = _administer(read_settings(), "GET", "/v1/adapters/status", None, url=url, remedy=RUNS)
    status = StatusResponse.model_validate(found)
    print_replicas(status, as_json=as_json)
    ready = [version.state for replica in status.replicas for version in replica.versions]
    if not all(state is Readiness.READY for state in ready):
        raise typer.Exit(1)


def run_show(name: str, *, as_json: bool) -> None:
    """Print one adapter of the registry."""
    registry = open_registry(read_settings())
    print_adapter(_describe(registry, registry.get(registry.resolve(name))), as_json=as_json)


def run_activate(name: str, cultures: Sequence[str], *, url: str | None, offline: bool) -> None:
    """Make an adapter the active one for `cultures`, by default for all that it serves."""
    settings = read_settings()
    if not offline:
        path = f"/v1/adapters/{_quote(name)}/activate"
        _say_reply(_administer(settings, "POST", path, {"cultures": list(cultures)}, url=url))
        return
    codes, registry = read_catalogue().codes(cultures), open_registry(settings)
    manifest = registry.get(registry.resolve(name))
    codes = codes or manifest.cultures
    if not codes:
        raise CulturesMissing(manifest.version_name)
    registry.activate(codes, manifest.version_name)
    _say_active(manifest.version_name, codes)
    _say("Its effect is measured when a service loads it.")


def run_change_back(
    change: Literal["deactivate", "rollback"], culture: str, *, url: str | None, offline: bool
) -> None:
    """Let the base model answer for a culture, or undo the last change of what does."""
    settings = read_settings()
    if not offline:
        path, body = f"/v1/adapters/{change}", {"culture": culture}
        _say_reply(_administer(settings, "POST", path, body, url=url))
        return
    codes, registry = read_catalogue().codes([culture]), open_registry(settings)
    if change == "rollback":
        _say_active(registry.rollback(codes[0]), codes)
    else:
        registry.deactivate(codes[0])
        _say_active(None, codes)


def run_remove(name: str, *, url: str | None, offline: bool) -> None:
    """Delete an adapter that is active for no culture."""
    settings = read_settings()
    if offline:
        registry = open_registry(settings)
        removed = registry.resolve(name)
        registry.remove(removed)
    else:
        path = f"/v1/adapters/{_quote(name)}"
        removed = _administer(settings, "DELETE", path, None, url=url)["removed"]
    _say(f"Removed {removed}.")


def _administer(
    settings: Settings,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    *,
    url: str | None,
    remedy: str = OFFLINE,
) -> dict[str, Any]:
    try:
        with (
            notes.status("Asking the service …"),
            connect_as_admin(settings, url=url) as milieu,
        ):
            reply: dict[str, Any] = milieu.request(method, path, body)
            return reply
    except ServiceUnreachable as exc:
        raise ServiceUnreachable(exc.url, exc.reason, remedy=remedy) from exc


def _describe(registry: AdapterRegistry, manifest: AdapterManifest) -> AdapterDetail:
    name = manifest.version_name
    active_for = tuple(culture for culture, active in registry.active().items() if active == name)
    effect = measure_effect_nat(registry.canaries(name))
    return detail_of(manifest, active_for, loaded=None, effect_nat=effect)


def _make_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME_CHARS].strip("-")


def _quote(name: str) -> str:
    # A name of dots alone would be read as a folder in the path.
    return quote(name, safe="@").replace(".", "%2E")


def _say_reply(reply: dict[str, Any]) -> None:
    _say_active(reply["adapter"], reply["cultures"], f" ({reply['took_ms']:.0f} ms)")


def _say_active(adapter: str | None, codes: Sequence[str], took: str = "") -> None:
    _say(f"{adapter or 'The model as it is'} answers for {', '.join(codes)} now{took}.")


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)
