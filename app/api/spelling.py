"""Reads method and path of a request as other servers do."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Each GET of it may ask a model.
ANSWER_PATH = "/answer"


@dataclass
class RequestSpelling:
    """Takes a path with a slash at its end for that without, and HEAD for GET without the body.

    A redirect would name a scheme that a proxy in front may not have, and clients that send a body
    do not follow it.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        if scope["method"] != "HEAD" or scope["path"] == ANSWER_PATH:
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The server leaves the body out of what it counts only for this one.
                scope["method"] = "HEAD"
            elif message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        await self.app(scope, receive, send_head)
