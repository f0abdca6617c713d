"""`milieu cultures` and `milieu index`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.lazy import LazyModule
from cli.options import AsJson

if TYPE_CHECKING:
    from cli.surveys import jobs
else:
    jobs = LazyModule("cli.surveys.jobs")


def cultures(as_json: AsJson = False) -> None:
    """List the cultures that the loaded surveys cover.

    Example: milieu cultures --json
    """
    jobs.list_cultures(as_json=as_json)


def index() -> None:
    """Build the question index now.

    Otherwise the service builds it when it first starts.

    Example: milieu index
    """
    jobs.rebuild_index()
