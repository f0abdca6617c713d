"""What `milieu ask` does."""

from __future__ import annotations

from typing import Any

from app.settings import read_settings
from cli.service_client import ask_service
from cli.tables import print_answer


def ask(body: dict[str, Any], *, url: str | None, as_json: bool) -> None:
    """Print what the service replies to a request of `/answer`.

    Raises:
        ServiceUnreachable, ServiceRefused: as `ask_service` says.
    """
    reply = ask_service(read_settings(), "/answer", body, url=url)
    print_answer(reply, as_json=as_json)
