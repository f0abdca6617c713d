"""Pure ASGI middleware: request ids, the request log, keys, body size, and cancelled requests."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.sessions import SAFE_METHODS, Role, Sessions, is_own_request, read_token
from app.drawn_ids import draw_id
from app.errors import AdminKeyRefused, BodyTooLarge, KeyRefused
from app.keys import hash_key, hash_keys, match_key
from app.logs import request_id
from app.telemetry import Metrics
from app.traces import Traces

logger = logging.getLogger(__name__)

# `/key` is where the page takes one.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/key", "/key/forget"})
# All below it: what the page is made of, and nothing that depends on who asks.
OPEN_FOLDER = "/static/"
# These, and all below them.
ADMIN_PATHS = ("/v1/adapters", "/v1/experiments", "/adapters", "/experiments")
MAX_BODY_BYTES = 256 * 1024
# So long after its body has come it is looked whether a client is still there.
WATCH_AFTER_S = 0.25
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Of this service: what stands for a key tells nothing of it, and nothing to another one.
_SALT = secrets.token_bytes(32)
_ASKED_BY, _LIMITED_BY = "asked_by", "limited_by"
Refuse = Callable[[Scope, Exception], ASGIApp]


@dataclass
class RequestContext:
    """Gives each request an id, logs it once, counts it, and returns the id as `X-Request-Id`.

    A fault, an error that no handler knows, is answered here, where the request still has its id.
    """

    app: ASGIApp
    metrics: Metrics
    refuse: Refuse
    traces: Traces | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        # An id from outside goes into the log, so only harmless ones are taken over.
        current = given if _REQUEST_ID.fullmatch(given) else draw_id()
        token = request_id.set(current)
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = current
            await send(message)

        try:
            with self._traced(scope, current):
                await self.app(scope, receive, send_with_id)
        except Exception as error:
            logger.exception("request_failed")
            if status:
                # The response is under way: all that is left is to break it off.
                raise
            await self.refuse(scope, error)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, taken_ms=(time.perf_counter() - started) * 1000.0)
            request_id.reset(token)

    @contextmanager
    def _traced(self, scope: Scope, current: str) -> Iterator[None]:
        if self.traces is None:
            yield
            return
        with self.traces.request(scope["method"], Headers(scope=scope)) as span:
            try:
                yield
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.route": route, "milieu.request_id": current})

    def _record(self, scope: Scope, status: int, *, taken_ms: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # 499 is what web servers log for a client that left before its answer.
        shown = status or 499
        self.metrics.count_request(route, shown)
        fields = {
            "method": scope["method"],
            "route": route,
            "status": shown,
            "ms": round(taken_ms, 1),
        }
        logger.info("request_served", extra={"fields": fields})


@dataclass
class KeyCheck:
    """Lets a request pass that carries one of the keys; without keys every one passes.

    What is an admin's needs an admin key in any case, also where none is set; such a key opens
    everything. Keys may be given as digests; in clear they are not kept. A session stands for the
    key that was entered in it, for the page's own requests alone, and never where an admin changes
    something.
    """

    app: ASGIApp
    keys: tuple[str, ...]
    refuse: Refuse
    admin_keys: tuple[str, ...] = ()
    sessions: Sessions = field(default_factory=Sessions)
    salt: bytes = _SALT

    def __post_init__(self) -> None:
        self.keys, self.admin_keys = hash_keys(self.keys), hash_keys(self.admin_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401 or 403."""
        error = self._error(scope) if scope["type"] == "http" else None
        if scope["type"] == "http":
            scope.setdefault("state", {}).update(self._tell_asker(Headers(scope=scope)))
        app = self.app if error is None else self.refuse(scope, error)
        await app(scope, receive, send)

    def _error(self, scope: Scope) -> Exception | None:
        path = scope["path"]
        is_admins = is_admin_path(path)
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or not (self.keys or is_admins):
            return None
        headers = Headers(scope=scope)
        role = find_role(_read_keys(headers), keys=self.keys, admin_keys=self.admin_keys)
        if role is None and (scope["method"] in SAFE_METHODS or not is_admins):
            role = self._find_session(scope["method"], headers)
        if role is Role.ADMIN or (role is not None and not is_admins):
            return None
        if role is not None:
            return AdminKeyRefused()
        return KeyRefused("an admin key") if is_admins else KeyRefused()

    def _tell_asker(self, headers: Headers) -> dict[str, str]:
        """Return what stands for the key or the session of a request, and whose limits it meets.

        Both are empty where none is known. Sessions that one key was entered in share its limits.
        """
        known = (*self.keys, *self.admin_keys)
        sent = next((given for given in _read_keys(headers) if match_key(given, known)), "")
        owner = hash_key(sent) if sent else ""
        token = "" if sent else read_token(headers)
        if token and self.sessions.find(token) is not None:
            sent, owner = token, self.sessions.find_owner(token)
        # Without keys everybody is the same.
        if not self.keys or not sent:
            return {_ASKED_BY: "", _LIMITED_BY: owner}
        asked_by = hashlib.blake2b(sent.encode(), key=self.salt).hexdigest()
        return {_ASKED_BY: asked_by, _LIMITED_BY: owner}

    def _find_session(self, method: str, headers: Headers) -> Role | None:
        token = read_token(headers)
        if not token or not is_own_request(method, headers):
            return None
        return self.sessions.find(token)


def asked_by(scope: Scope) -> str:
    """Return what stands for the key that a request was sent with, empty where none is needed."""
    told: str = scope["state"][_ASKED_BY]
    return told


def limited_by(scope: Scope) -> str:
    """Return what stands for the key whose limits a request meets, empty for all without one."""
    told: str = scope["state"][_LIMITED_BY]
    return told


def is_admin_path(path: str) -> bool:
    """Return whether `path` is an admin's: one of `ADMIN_PATHS`, or below it."""
    return any(path == of or path.startswith(f"{of}/") for of in ADMIN_PATHS)


def find_role(
    given: list[str], *, keys: tuple[str, ...], admin_keys: tuple[str, ...]
) -> Role | None:
    """Return what one of the `given` keys opens, None where none is known.

    `keys` and `admin_keys` are digests, see `app.keys`.
    """
    is_admin, is_user = _match_any(given, admin_keys), _match_any(given, keys)
    if is_admin:
        return Role.ADMIN
    return Role.USER if is_user else None


def _read_keys(headers: Headers) -> list[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = [headers.get("x-api-key", "")]
    if scheme.lower() == "bearer":
        given.append(bearer.strip())
    return given


def _match_any(given: list[str], digests: tuple[str, ...]) -> bool:
    return any([match_key(sent, digests) for sent in given])


class BodyLimit(NamedTuple):
    """How large a body may be, and the setting that says so, if one does."""

    max_bytes: int
    setting: str = ""


@dataclass
class BodyReader:
    """Reads the body before the route runs, and cancels the route when the client leaves.

    A handler that is not streaming is otherwise never told, and vLLM would go on generating for
    nobody.
    """

    app: ASGIApp
    refuse: Refuse
    max_bytes: int = MAX_BODY_BYTES
    # Of paths with a limit of their own.
    limits: Mapping[str, BodyLimit] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limits.get(scope["path"], BodyLimit(self.max_bytes))
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit.max_bytes:
                error = BodyTooLarge(len(body), limit.max_bytes, setting=limit.setting)
                await self.refuse(scope, error)(scope, receive, send)
                return
        await _run_until_disconnect(self.app, bytes(body), scope, receive, send)


async def _run_until_disconnect(
    app: ASGIApp, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    given = False
    watch = _Watch(receive)

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await watch.left.wait()
        return {"type": "http.disconnect"}

    try:
        with watch:
            await app(scope, replay, send)
    except asyncio.CancelledError:
        # Whoever else wants the task to end is to be obeyed.
        if not watch.left.is_set():
            raise
        watch.serving.uncancel()


class _Watch(AbstractContextManager[None]):
    """Cancels the task that serves a request, once its client has left while the block runs."""

    def __init__(self, receive: Receive) -> None:
        self.left, self.serving = asyncio.Event(), _find_task()
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        # Not at once: a task for it takes longer than much that is answered.
        self._starting = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def __exit__(self, *exc_info: object) -> None:
        self._starting.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _start(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left.set()
        self.serving.cancel()


def _find_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None  # a server runs each request in one
    return task
