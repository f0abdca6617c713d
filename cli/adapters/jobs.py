"""What `milieu adapters` does: on the registry's folder, or by a running service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from adapters.manifest import AdapterFacts
from app.errors import ServiceUnreachable
from app.settings import Settings, read_settings
from app.state.adapters import open_registry
from cli import tables
from cli.adapters import registry
from cli.console import notes, out
from cli.service_client import administer_service
from survey_data.cultures import read_catalogue

OFFLINE = "With --offline the folder itself is changed, for services that are not running."


def add_adapter(
    source: str,
    *,
    revision: str | None,
    name: str | None,
    cultures: Sequence[str] | None,
    method: str,
    data: str,
    licence: str,
) -> None:
    """Copy an adapter into the registry, and say how to activate it.

    Raises:
        AdapterError, AppError, SurveyDataError: as `registry.add_adapter` does.
    """
    with notes.status("Checking the adapter …"):
        manifest = registry.add_adapter(
            read_settings(),
            source,
            revision=revision,
            name=name,
            cultures=read_catalogue().codes(cultures) if cultures else None,
            about=AdapterFacts(method=method, data=data, licence=licence),
        )
    served = ", ".join(manifest.cultures)
    _say(f"Added {manifest.version_name} for {served or 'any culture'}. Next:")
    which = "" if served else " --culture …"
    _say(f"  milieu adapters activate {manifest.version_name}{which}")


def list_adapters(*, as_json: bool) -> None:
    """Print the adapters of the registry."""
    tables.print_adapters(registry.list_adapters(read_settings()), as_json=as_json)


def show_adapter(name: str, *, as_json: bool) -> None:
    """Print one adapter of the registry."""
    tables.print_adapter(registry.show_adapter(read_settings(), name), as_json=as_json)


def activate(name: str, cultures: Sequence[str], *, url: str | None, offline: bool) -> None:
    """Make an adapter the active one of `cultures`, of all that it serves where none is given."""
    settings = read_settings()
    if offline:
        codes = read_catalogue().codes(cultures)
        manifest = registry.activate_adapter(settings, name, codes)
        _say_active(manifest.version_name, codes or manifest.cultures)
        _say("Its effect is measured when a service loads it.")
    else:
        path = f"/v1/adapters/{_quote(name)}/activate"
        body = {"cultures": list(cultures)}
        _say_reply(_administer(settings, "POST", path, body, url=url))


def deactivate(culture: str, *, url: str | None, offline: bool) -> None:
    """Let the base model answer for a culture."""
    settings = read_settings()
    if offline:
        codes = read_catalogue().codes([culture])
        open_registry(settings).deactivate(codes[0])
        _say_active(None, codes)
    else:
        path, body = "/v1/adapters/deactivate", {"culture": culture}
        _say_reply(_administer(settings, "POST", path, body, url=url))


def roll_back(culture: str, *, url: str | None, offline: bool) -> None:
    """Undo the last change of what answers for a culture."""
    settings = read_settings()
    if offline:
        codes = read_catalogue().codes([culture])
        _say_active(open_registry(settings).rollback(codes[0]), codes)
    else:
        path, body = "/v1/adapters/rollback", {"culture": culture}
        _say_reply(_administer(settings, "POST", path, body, url=url))


def remove(name: str, *, url: str | None, offline: bool) -> None:
    """Delete an adapter that is active for no culture."""
    settings = read_settings()
    if offline:
        removed = registry.remove_adapter(settings, name)
    else:
        path = f"/v1/adapters/{_quote(name)}"
        removed = _administer(settings, "DELETE", path, None, url=url)["removed"]
    _say(f"Removed {removed}.")


def _administer(
    settings: Settings, method: str, path: str, body: dict[str, Any] | None, *, url: str | None
) -> dict[str, Any]:
    try:
        with notes.status("Asking the service …"):
            return administer_service(settings, method, path, body, url=url)
    except ServiceUnreachable as exc:
        raise ServiceUnreachable(exc.url, exc.reason, remedy=OFFLINE) from exc


def _quote(name: str) -> str:
    # A name of dots alone would be taken for a folder of the path.
    return quote(name, safe="@").replace(".", "%2E")


def _say_reply(reply: dict[str, Any]) -> None:
    _say_active(reply["adapter"], reply["cultures"], took_ms=reply["took_ms"])


def _say_active(adapter: str | None, codes: Sequence[str], took_ms: float | None = None) -> None:
    took = "" if took_ms is None else f" ({took_ms:.0f} ms)"
    what = "The model as it is" if adapter is None else adapter
    _say(f"{what} answers for {', '.join(codes)} now{took}.")


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)
