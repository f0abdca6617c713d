"""Refuses what a key asks for beyond its limits, before anything is done for it."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware import OPEN_FOLDER, OPEN_PATHS, Refuse, limited_by
from app.errors import LimitExceeded

# Those who watch the service are not to be kept out by those who use it.
UNLIMITED_PATHS = OPEN_PATHS | {"/metrics"}


class Limits(Protocol):
    """What counts the requests of each key; `app.state.key_limits.KeyLimits` is one."""

    def hold(self, asked_by: str) -> AbstractContextManager[None]:
        """Count a request as under way for a block; raises LimitExceeded."""


@dataclass
class LimitCheck:
    """Lets a request pass that its key may make; a refusal is 429 and says which limit it met."""

    app: ASGIApp
    limits: Limits
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, until the end of its answer, or refuse it."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                held.enter_context(self.limits.hold(limited_by(scope)))
            except LimitExceeded as error:
                await self.refuse(scope, error)(scope, receive, send)
                return
            await self.app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in UNLIMITED_PATHS or path.startswith(OPEN_FOLDER)
