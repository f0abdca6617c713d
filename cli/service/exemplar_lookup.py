"""What `milieu exemplars` does: ask the running service, or look them up in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import OptionInvalid, ServiceUnreachable
from app.settings import Settings, read_settings
from cli.console import notes
from cli.lazy import LazyModule
from cli.service_client import ask_service
from cli.tables import print_exemplars
from prompting.recipe import MAX_K
from retrieval.selector_name import SelectorName

if TYPE_CHECKING:
    from cli.service import local_exemplars
else:
    local_exemplars = LazyModule("cli.service.local_exemplars")


def show_exemplars(
    question: str,
    culture: str,
    *,
    k: int | None,
    retriever: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Print what `/v1/exemplars` replies, of the service at `url` or that of the settings.

    Where none runs at the settings' address, the reply is made in this process.

    Raises:
        OptionInvalid: k is out of range, or there is no such retriever.
        ServiceUnreachable: nothing answers at `url`.
        ServiceRefused: the service answered with a problem.
        CultureUnknown, CultureNotCovered: nobody of that name was surveyed.
    """
    if k is not None and not 1 <= k <= MAX_K:
        raise OptionInvalid("--k", str(k), f"1 to {MAX_K}")
    names = [name.value for name in SelectorName]
    if retriever is not None and retriever not in names:
        raise OptionInvalid("--retriever", retriever, ", ".join(names))
    body: dict[str, Any] = {"question": question, "culture": culture}
    body |= {"k": k} if k is not None else {}
    body |= {"retriever": retriever} if retriever is not None else {}
    print_exemplars(_find(read_settings(), body, url=url), as_json=as_json)


def _find(settings: Settings, body: dict[str, Any], *, url: str | None) -> dict[str, Any]:
    try:
        return ask_service(settings, "/v1/exemplars", body, url=url)
    except ServiceUnreachable:
        if url is not None:
            raise
    with notes.status("Loading the encoder and the index …"):
        return local_exemplars.find_exemplars(settings, **body)
