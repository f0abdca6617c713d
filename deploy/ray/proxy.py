"""What Ray Serve's HTTP proxies do beside their own work.

They find it by an environment variable, which whatever starts Ray must set:
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deploy.ray.proxy.list_middlewares`.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RETRY_AFTER_S = 1


class LostReplica:
    """Says 503 with `Retry-After` where a replica ended before it had begun to answer.

    Serve says 500 then, which no client sends again, and it does not send again itself what a
    replica had begun to work on. An answer that breaks off is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        has_begun = has_left = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        async def listen() -> Message:
            nonlocal has_left
            message = await receive()
            has_left = has_left or message["type"] == "http.disconnect"
            return message

        await self._app(scope, listen, watch)
        if scope["type"] == "http" and not has_begun and not has_left:
            await _refuse(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The replica that had this request has ended. Send it again.",
    }
    response = JSONResponse(
        problem,
        503,
        headers={"Retry-After": str(RETRY_AFTER_S)},
        media_type="application/problem+json",
    )
    await response(scope, receive, send)


def list_middlewares() -> list[Middleware]:
    """Return what each proxy puts before Serve."""
    return [Middleware(LostReplica)]
