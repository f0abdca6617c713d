"""What `milieu serve`, `milieu ask` and `milieu exemplars` do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.errors import OptionInvalid
from app.settings import read_settings
from cli.console import notes
from cli.lazy import LazyModule
from cli.service.command import AskOptions, ExemplarsOptions
from cli.service.output import print_answer, print_exemplars
from cli.service_connection import connect
from milieu_client import ReplyUnreadable, ServiceUnreachable
from prompting.recipe import MAX_K
from retrieval.selector_name import SelectorName

if TYPE_CHECKING:
    from app import serving
    from app.workers import parent
    from cli.service import local_exemplars
else:
    serving = LazyModule("app.serving")
    parent = LazyModule("app.workers.parent")
    local_exemplars = LazyModule("cli.service.local_exemplars")


def start_service(**given: Any) -> None:
    """Run the service until it is told to stop, with the settings that are `given`."""
    settings = read_settings(**_drop_none(given))
    if settings.workers > 1:
        parent.run_workers(settings, notes)
    else:
        serving.run_service(settings, notes)


def ask_question(options: AskOptions, *, url: str | None, as_json: bool) -> None:
    """Print what the service answers."""
    # Options that were not given are left out, not empty.
    fields = {name: value for name, value in asdict(options).items() if value != ()}
    with connect(read_settings(), url=url) as milieu:
        answer = milieu.ask(**fields)
    print_answer(answer, as_json=as_json)


def show_exemplars(options: ExemplarsOptions, *, url: str | None, as_json: bool) -> None:
    """Print the exemplars that the service at `url` finds, or that of the settings.

    If none runs at the settings' address, they are found in this process.
    """
    names = [name.value for name in SelectorName]
    if options.k is not None and not 1 <= options.k <= MAX_K:
        raise OptionInvalid("--k", str(options.k), f"1 to {MAX_K}")
    if options.retriever is not None and options.retriever not in names:
        raise OptionInvalid("--retriever", options.retriever, ", ".join(names))
    settings = read_settings()
    try:
        with connect(settings, url=url) as milieu:
            found = milieu.exemplars(**asdict(options))
    except (ServiceUnreachable, ReplyUnreadable):
        if url is not None:
            raise
        with notes.status("Loading the encoder and the index …"):
            found = local_exemplars.look_up_exemplars(settings, **asdict(options))
    print_exemplars(found, as_json=as_json)


def _drop_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
