"""`milieu adapters`: what is in the registry, and which of it answers for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.errors import ServiceUnreachable
from app.settings import Settings, read_settings
from cli import tables
from cli.console import explained, notes
from cli.service_client import administer_service
from survey_data.cultures import read_catalogue

adapters = typer.Typer(
    help="LoRA adapters that speak for cultures: add, look at, activate, roll back, remove.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Url = Annotated[str | None, typer.Option(help="The running service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Name = Annotated[str, typer.Argument(help="name@version, or a name that has one version.")]
Cultures = Annotated[
    list[str] | None, typer.Option("--culture", "-c", help="Code or name. Repeatable.")
]
OneCulture = Annotated[str, typer.Option("--culture", "-c", help="Code or name.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Change the folder itself, without a service.")
]
LATER = "With --offline the folder itself is changed, for services that are not running."


@adapters.command()
def add(
    source: Annotated[
        str, typer.Argument(help="A folder as peft saves it, or a hub id, owner/name.")
    ],
    culture: Cultures = None,
    name: Annotated[str | None, typer.Option(help="Default: that of the folder.")] = None,
    method: Annotated[str, typer.Option(help="How it was made.")] = "",
    data: Annotated[str, typer.Option(help="What it was trained on.")] = "",
    licence: Annotated[str, typer.Option(help="What may be done with it.")] = "",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
) -> None:
    """Check an adapter and copy it into the registry. Nothing answers with it yet.

    Without --culture it is for those that its manifest names, or else for any.

    Example: milieu adapters add ./german-lora --culture DE --licence CC-BY-4.0
    """
    with explained(), notes.status("Checking the adapter …"):
        from adapters.manifest import About
        from cli.adapters.registry import add_adapter

        manifest = add_adapter(
            read_settings(),
            source,
            revision=revision,
            name=name,
            cultures=_codes(culture) if culture else None,
            about=About(method=method, data=data, licence=licence),
        )
    whom = ", ".join(manifest.cultures)
    _say(f"Added {manifest.version_name} for {whom or 'any culture'}. Next:")
    which = "" if whom else " --culture …"
    _say(f"  milieu adapters activate {manifest.version_name}{which}")


@adapters.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the adapters of the registry, and whom each is active for. Needs no service.

    Example: milieu adapters list
    """
    with explained():
        from cli.adapters.registry import list_adapters

        found = list_adapters(read_settings())
    tables.print_adapters(found, as_json=as_json)


@adapters.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show all that is known of an adapter. Needs no service.

    Example: milieu adapters show german-lora@1a2b3c4d
    """
    with explained():
        from cli.adapters.registry import show_adapter

        found = show_adapter(read_settings(), name)
    tables.print_adapter(found, as_json=as_json)


@adapters.command()
def activate(
    name: Name, culture: Cultures = None, url: Url = None, offline: Offline = False
) -> None:
    """Let an adapter answer for its cultures, or for those that are named.

    The service loads and proves it first; where that fails, the one before goes on.

    Example: milieu adapters activate german-lora@1a2b3c4d --culture DE
    """
    with explained():
        settings = read_settings()
        if offline:
            from cli.adapters.registry import activate_adapter

            codes = _codes(culture or ())
            manifest = activate_adapter(settings, name, codes)
            _say_active(manifest.version_name, codes or manifest.cultures)
            _say("Its effect is measured when a service loads it.")
        else:
            path = f"/v1/adapters/{_quoted(name)}/activate"
            _say_reply(_asked(settings, "POST", path, {"cultures": culture or []}, url=url))


@adapters.command()
def deactivate(culture: OneCulture, url: Url = None, offline: Offline = False) -> None:
    """Let the model as it is answer for a culture. A rollback brings the adapter back.

    Example: milieu adapters deactivate --culture DE
    """
    with explained():
        settings = read_settings()
        if offline:
            from app.state.adapters import registry_of

            codes = _codes([culture])
            registry_of(settings).deactivate(codes[0])
            _say_active(None, codes)
        else:
            path = "/v1/adapters/deactivate"
            _say_reply(_asked(settings, "POST", path, {"culture": culture}, url=url))


@adapters.command()
def rollback(culture: OneCulture, url: Url = None, offline: Offline = False) -> None:
    """Go back to what answered for a culture before the last change.

    Example: milieu adapters rollback --culture DE
    """
    with explained():
        settings = read_settings()
        if offline:
            from app.state.adapters import registry_of

            codes = _codes([culture])
            _say_active(registry_of(settings).rollback(codes[0]), codes)
        else:
            path = "/v1/adapters/rollback"
            _say_reply(_asked(settings, "POST", path, {"culture": culture}, url=url))


@adapters.command()
def remove(name: Name, url: Url = None, offline: Offline = False) -> None:
    """Delete an adapter that is active for no culture, once no request uses it.

    Example: milieu adapters remove german-lora@1a2b3c4d
    """
    with explained():
        settings = read_settings()
        if offline:
            from cli.adapters.registry import remove_adapter

            removed = remove_adapter(settings, name)
        else:
            path = f"/v1/adapters/{_quoted(name)}"
            removed = _asked(settings, "DELETE", path, None, url=url)["removed"]
        _say(f"Removed {removed}.")


def _asked(
    settings: Settings, method: str, path: str, body: dict[str, Any] | None, *, url: str | None
) -> dict[str, Any]:
    try:
        with notes.status("Asking the service …"):
            return administer_service(settings, method, path, body, url=url)
    except ServiceUnreachable as exc:
        raise ServiceUnreachable(exc.url, exc.reason, remedy=LATER) from exc


def _codes(cultures: Sequence[str]) -> tuple[str, ...]:
    catalogue = read_catalogue()
    return tuple(dict.fromkeys(catalogue.resolve(text).code for text in cultures))


def _quoted(name: str) -> str:
    # A name of dots alone would be taken for a folder of the path.
    return quote(name, safe="@").replace(".", "%2E")


def _say_reply(reply: dict[str, Any]) -> None:
    _say_active(reply["adapter"], reply["cultures"], took_ms=reply["took_ms"])


def _say_active(adapter: str | None, codes: Sequence[str], took_ms: float | None = None) -> None:
    took = "" if took_ms is None else f" ({took_ms:.0f} ms)"
    what = "The model as it is" if adapter is None else adapter
    _say(f"{what} answers for {', '.join(codes)} now{took}.")


def _say(text: str) -> None:
    tables.out.print(text, highlight=False, soft_wrap=True)
