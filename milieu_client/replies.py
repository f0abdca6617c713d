"""From what HTTP brings, a reply, an event or an exception, to results and the client's errors."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from milieu_client.answers import Answer, Delta, Evidence
from milieu_client.calls import Call, read_as, write_body
from milieu_client.errors import (
    KeyUnsendable,
    MilieuError,
    ReplyUnreadable,
    ServiceRefused,
    ServiceTimedOut,
    ServiceUnreachable,
)

T = TypeVar("T")
MAX_SHOWN_CHARS = 300


def check_url(url: str) -> str:
    """Return the address of a service without a slash at its end.

    Raises:
        ServiceUnreachable: it is no http address.
    """
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 - it is checked when it is read
        httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        is_http = False
    if not is_http:
        raise ServiceUnreachable(url, "no http URL")
    return url.rstrip("/")


def write_headers(key: str | None, version: str) -> dict[str, str]:
    """Return the headers of every request.

    Raises:
        KeyUnsendable: the key has a character that no header can carry.
    """
    headers = {"User-Agent": f"milieu-client/{version}"}
    if key:
        if not (key.isascii() and key.isprintable()):
            raise KeyUnsendable
        headers["Authorization"] = f"Bearer {key}"
    return headers


def is_on_this_machine(url: str) -> bool:
    """Return whether the address is a loopback one; a proxy could not reach it."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_certificates(url: str) -> ssl.SSLContext | bool:
    """Return what a server proves itself by, as `verify` of a client: the system's, for https.

    To read those takes longer than a short answer does, and http has no use for them.
    """
    return url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def make_request(
    http: httpx2.Client | httpx2.AsyncClient, url: str, call: Call[Any]
) -> httpx2.Request:
    """Return the request of a call to the service at `url`."""
    headers = {"Content-Type": "application/json"} if call.body is not None else {}
    return http.build_request(
        call.method,
        url + call.path,
        params=dict(call.query) or None,
        content=None if call.body is None else write_body(call.body),
        headers=headers,
        timeout=httpx2.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s,
    )


def read_reply(url: str, call: Call[T], reply: httpx2.Response) -> T:
    """Return what `call` reads of a reply that was accepted and is there as a whole.

    Raises:
        ReplyUnreadable: it is not what the call expects.
    """
    return read_line(url, call, reply.content)


def read_line(url: str, call: Call[T], line: bytes) -> T:
    """Return what `call` reads of a reply, or of a line of one that is streamed.

    Raises:
        ReplyUnreadable: it is not what the call expects.
    """
    try:
        return call.read(line)
    except (ValueError, RecursionError) as exc:
        raise ReplyUnreadable(url, str(exc)) from exc


def read_refusal(reply: httpx2.Response) -> ServiceRefused:
    """Return the problem that a reply of another status than 2xx tells of."""
    try:
        found = json.loads(reply.content)
    except (ValueError, RecursionError):
        found = None
    about = {
        "request_id": reply.headers.get("x-request-id"),
        "retry_after_s": _read_retry_after(reply.headers.get("retry-after")),
    }
    return read_problem(found, status=reply.status_code, fallback=reply.text, **about)


def read_problem(found: Any, *, status: int, fallback: str = "", **about: Any) -> ServiceRefused:
    """Return the problem in a JSON value: problem details, or OpenAI's error body.

    Where it is neither, the detail is the start of the text `fallback`.
    """
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        error = found["error"]
        found = {"detail": error.get("message"), "type": error.get("code")}
    if not isinstance(found, dict) or not isinstance(found.get("detail"), str):
        return ServiceRefused(status, fallback[:MAX_SHOWN_CHARS] or "no reason was sent", **about)
    errors = found.get("errors")
    return ServiceRefused(
        status,
        found["detail"],
        title=str(found.get("title") or ""),
        type=str(found.get("type") or ""),
        errors=tuple(errors) if isinstance(errors, list) else (),
        **about,
    )


def check_answered(url: str, last: Evidence | Delta | Answer | None) -> None:
    """Check that a streamed answer came to its end, which is the whole answer.

    Raises:
        ServiceUnreachable: the `last` that came is something else.
    """
    if not isinstance(last, Answer):
        raise ServiceUnreachable(url, "the answer broke off")


def check_complete(url: str, reply: httpx2.Response, *, n_read: int) -> None:
    """Check that a streamed reply had as many results as it promised.

    Raises:
        ServiceUnreachable: it had fewer.
    """
    promised = reply.headers.get("x-total-count", str(n_read))
    if promised != str(n_read):
        raise ServiceUnreachable(url, f"the reply broke off after {n_read} of {promised} results")


def read_event(url: str, event: httpx2.ServerSentEvent) -> Evidence | Delta | Answer | None:
    """Return what an event of a streamed answer brings; None for a kind that is not known.

    Raises:
        ServiceRefused: the service broke the answer off with a problem.
        ReplyUnreadable: it is not what its name says.
    """
    try:
        match event.event:
            case "evidence":
                return read_as(Evidence, event.data)
            case "delta":
                return read_as(Delta, event.data)
            case "answer":
                return read_as(Answer, event.data)
            case "problem":
                found = json.loads(event.data)
                raise read_problem(found, status=int(found["status"]), fallback=event.data)
            case _:
                return None
    except (ValueError, KeyError, TypeError) as exc:
        raise ReplyUnreadable(url, f"event {event.event}: {exc}") from exc


@contextmanager
def explain_failures(url: str, *, timeout_s: float) -> Iterator[None]:
    """Turn what the HTTP library raises into the client's own errors.

    Raises:
        ServiceUnreachable: no reply came, or it broke off.
        ServiceTimedOut: the service was silent for `timeout_s`.
    """
    try:
        yield
    except (httpx2.RequestError, httpx2.StreamError) as exc:
        raise _explain(url, exc, timeout_s=timeout_s) from exc


def _explain(url: str, exc: Exception, *, timeout_s: float) -> MilieuError:
    if isinstance(exc, httpx2.TimeoutException):
        if isinstance(exc, httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return ServiceUnreachable(url, f"timed out after {timeout_s:g} s")
        return ServiceTimedOut(url, timeout_s=timeout_s)
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
            reason = f"[Errno {cause.errno}] {os.strerror(cause.errno)}"
            return ServiceUnreachable(url, reason)
        cause = cause.__cause__ or cause.__context__
    return ServiceUnreachable(url, str(exc) or type(exc).__name__)


def _read_retry_after(text: str | None) -> float | None:
    """Return the seconds that `Retry-After` tells, as a number or as a date; None if it is neither.

    Source: RFC 9110, section 10.2.3.
    """
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
