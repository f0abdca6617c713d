"""`milieu adapters`: what is in the registry, and which adapter answers for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.lazy import Group, LazyModule
from cli.options import AsJson, Culture, Cultures, Url

if TYPE_CHECKING:
    from adapters import manifest
    from cli.adapters import jobs
else:
    manifest = LazyModule("adapters.manifest")
    jobs = LazyModule("cli.adapters.jobs")

adapters = typer.Typer(
    cls=Group,
    help="Manage LoRA adapters.\n\nAn adapter answers for the cultures it is activated for.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="name@version, or a name that has one version.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Change the registry's folder directly, not by a service.")
]


@adapters.command()
def add(
    source: Annotated[
        str, typer.Argument(help="A folder as peft saves it, or a hub id, owner/name.")
    ],
    culture: Cultures = None,
    name: Annotated[str | None, typer.Option(help="Name; default: that of the folder.")] = None,
    method: Annotated[str, typer.Option(help="How the adapter was made.")] = "",
    data: Annotated[str, typer.Option(help="What the adapter was trained on.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the adapter.")] = "",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
) -> None:
    """Check an adapter and copy it into the registry. Nothing answers with it yet.

    Without --culture it is for the cultures that its manifest names, or else for any.

    Example: milieu adapters add ./german-lora --culture DE --licence CC-BY-4.0
    """
    jobs.run_add(
        source,
        manifest.AdapterFacts(method=method, data=data, licence=licence),
        revision=revision,
        name=name,
        cultures=culture or (),
    )


@adapters.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the adapters in the registry, and which cultures each is active for.

    Needs no running service.

    Example: milieu adapters list
    """
    jobs.run_list(as_json=as_json)


@adapters.command()
def status(url: Url = None, as_json: AsJson = False) -> None:
    """Show for each vLLM server which versions answer there, which do not yet, and why.

    Ends with status 1 if a version that should be live is not ready on every server.

    Example: milieu adapters status
    """
    jobs.run_status(url=url, as_json=as_json)


@adapters.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show everything known about an adapter. Needs no running service.

    Example: milieu adapters show german-lora@1a2b3c4d
    """
    jobs.run_show(name, as_json=as_json)


@adapters.command()
def activate(
    name: Name, culture: Cultures = None, url: Url = None, offline: Offline = False
) -> None:
    """Let an adapter answer for its cultures, or for those given by --culture.

    The service loads and verifies it first; if that fails, the previous adapter keeps answering.

    Example: milieu adapters activate german-lora@1a2b3c4d --culture DE
    """
    jobs.run_activate(name, culture or (), url=url, offline=offline)


@adapters.command()
def deactivate(culture: Culture, url: Url = None, offline: Offline = False) -> None:
    """Let the base model answer for a culture. A rollback brings the adapter back.

    Example: milieu adapters deactivate --culture DE
    """
    jobs.run_change_back("deactivate", culture, url=url, offline=offline)


@adapters.command()
def rollback(culture: Culture, url: Url = None, offline: Offline = False) -> None:
    """Go back to what answered for a culture before the last change.

    Example: milieu adapters rollback --culture DE
    """
    jobs.run_change_back("rollback", culture, url=url, offline=offline)


@adapters.command()
def remove(name: Name, url: Url = None, offline: Offline = False) -> None:
    """Delete an adapter that is active for no culture, once no request uses it.

    Example: milieu adapters remove german-lora@1a2b3c4d
    """
    jobs.run_remove(name, url=url, offline=offline)
