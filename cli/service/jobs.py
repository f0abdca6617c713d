"""What `milieu serve`, `milieu ask` and `milieu exemplars` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import OptionInvalid, ServiceUnreachable
from app.settings import read_settings
from cli.console import notes
from cli.lazy import LazyModule
from cli.service_client import ask_service
from cli.tables import print_answer, print_exemplars
from prompting.recipe import MAX_K
from retrieval.selector_name import SelectorName

if TYPE_CHECKING:
    from app import serving
    from cli.service import local_exemplars
else:
    serving = LazyModule("app.serving")
    local_exemplars = LazyModule("cli.service.local_exemplars")


def run_service(**given: Any) -> None:
    """Run the service until it is told to stop, with the settings that are `given`.

    Raises:
        SettingsInvalid: the settings do not fit.
        AppError: the service cannot start.
    """
    serving.run_service(read_settings(**_drop_none(given)), notes)


def ask_question(*, url: str | None, as_json: bool, **body: Any) -> None:
    """Print what the service replies to a request of `/answer`.

    Raises:
        ServiceUnreachable, ServiceRefused: as `ask_service` says.
    """
    reply = ask_service(read_settings(), "/answer", _drop_none(body), url=url)
    print_answer(reply, as_json=as_json)


def show_exemplars(*, url: str | None, as_json: bool, **body: Any) -> None:
    """Print what `/v1/exemplars` replies, of the service at `url` or that of the settings.

    Where none runs at the settings' address, the reply is made in this process.

    Raises:
        OptionInvalid: k is out of range, or there is no such retriever.
        ServiceUnreachable: nothing answers at `url`.
        ServiceRefused: the service answered with a problem.
        CultureUnknown, CultureNotCovered: nobody of that name was surveyed.
    """
    body, names = _drop_none(body), [name.value for name in SelectorName]
    if not 1 <= body.get("k", 1) <= MAX_K:
        raise OptionInvalid("--k", str(body["k"]), f"1 to {MAX_K}")
    if body.get("retriever", names[0]) not in names:
        raise OptionInvalid("--retriever", body["retriever"], ", ".join(names))
    settings = read_settings()
    try:
        reply = ask_service(settings, "/v1/exemplars", body, url=url)
    except ServiceUnreachable:
        if url is not None:
            raise
        with notes.status("Loading the encoder and the index …"):
            reply = local_exemplars.find_exemplars(settings, **body)
    print_exemplars(reply, as_json=as_json)


def _drop_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
