"""Problems as pages where a browser shows them, and the headers of every response."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import PROBLEM_JSON
from app.web.pages import Pages
from app.web.policy import PROTECTION

# Programs ask here, whatever they accept.
FOR_PROGRAMS = ("/v1/", "/answer", "/openapi.json", "/metrics", "/livez", "/readyz", "/static/")
# As they are sent: each response has them.
_PROTECTION = [(name.lower().encode(), value.encode()) for name, value in PROTECTION.items()]
KEPT = ("retry-after", "www-authenticate", "allow")


@dataclass
class PageResponses:
    """Sends problems as pages to browsers, and protects what it sends."""

    app: ASGIApp
    pages: Pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_shown = _is_shown(scope)
        held: Message | None = None
        body = bytearray()

        async def send_page(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                missing = (pair for pair in _PROTECTION if pair[0] not in given)
                message["headers"] = [*message["headers"], *missing]
                if is_shown and Headers(scope=message).get("content-type") == PROBLEM_JSON:
                    held = message
                    return
            elif held is not None:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await self._send_problem(scope, receive, send, held, bytes(body))
                return
            await send(message)

        await self.app(scope, receive, send_page)

    async def _send_problem(
        self, scope: Scope, receive: Receive, send: Send, start: Message, body: bytes
    ) -> None:
        request, headers = Request(scope), MutableHeaders(scope=start)
        problem: dict[str, Any] = json.loads(body)
        kept = {name: headers[name] for name in KEPT if name in headers}
        if request_id := headers.get("x-request-id"):
            kept["X-Request-Id"] = request_id
        page = self.pages.render(
            request,
            "problem.html",
            status=start["status"],
            headers=kept | PROTECTION,
            problem=problem,
            request_id=request_id or "",
            needs_key=problem["status"] in (401, 403) and "key-refused" in problem["type"],
        )
        await page(scope, receive, send)


def _is_shown(scope: Scope) -> bool:
    if scope["path"].startswith(FOR_PROGRAMS):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")
