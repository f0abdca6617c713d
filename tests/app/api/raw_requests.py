"""Requests that are damaged in their bytes, as no client library would send them."""

from __future__ import annotations

import errno
import http.client
import json
import random
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from tests.app.experiments import ADMIN, DEFINITION, NAME
from tests.app.service import NEIGHBOURS, RELIGION
from tests.mutations import mutate

LIMIT_S = 20.0
# A 5xx that has its reason in what is asked for: there is no vLLM behind the adapters, say.
TOLD = {502, 503, 504}
_QUESTION = {"question": RELIGION, "culture": "DE"}
_CHAT = {"model": "fake@DE", "messages": [{"role": "user", "content": NEIGHBOURS}]}
_BATCH = {"questions": [RELIGION, {"question": NEIGHBOURS}], "cultures": ["DE", "NGA"]}
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SETTINGS = {"k": 3, "exemplar_style": "shares", "orders": 2, "temperature": 0.5, "user": "u1"}
_CONTENT_TYPES = (
    *("application/json", "text/csv", "text/plain", "application/json; charset=utf-16", "", "/"),
    *("multipart/form-data", "multipart/form-data; boundary=", "application/x-www-form-urlencoded"),
    *("application/json; charset=\xff", "text/csv; charset=rot13", "a" * 5000),
)
_HEADERS = (
    b"Content-Encoding: gzip", b"Content-Encoding: deflate, br", b"Content-Encoding: gzip, gzip",
    b"Content-Length: -1", b"Content-Length: 9999999999999999999999", b"Content-Length: 1e3",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: \x0bchunked", b"X-Culture: \xff\xfe",
    b"X-Culture: DE\r\nX-Culture: FR", b"X-Culture: " + b"A" * 2000, b"X-Culture: %00",
    b"Accept: text/html;q=nan", b"Accept: ;;;,,,", b"Accept: */*;q=1e999", b"Accept-Language: \xe4",
    b"Authorization: Bearer", b"Authorization: Bearer \xff", b"Authorization: Basic ====",
    b"Cookie: milieu_session=\x01; =;;", b"Cookie: " + b"a=b; " * 500, b"Host:", b"Host: \xff",
    b"traceparent: 00-zz-zz-01", b"X-Request-Id: \xc3\x28" + b"x" * 900, b"Expect: 100-continue",
    b"Range: bytes=9-1", b"If-None-Match: \"", b"If-Modified-Since: Mon, 99 Jan", b": no name",
    b"Origin: null", b"Sec-Fetch-Site: same-origin", b"Upgrade: websocket\r\nConnection: Upgrade",
    b"X-Large: " + b"x" * 100_000, b"\r\n".join(b"X-Many-%d: 1" % n for n in range(500)),
)  # fmt: skip
_PATHS = (
    b"%00", b"%ff", b"%2e%2e/%2e%2e/etc/passwd", b"//", b"/../..", b"\xe2\x82\xac", b"%", b"%zz",
    b";a=b", b"%0d%0aX: y", b"/" * 200, b"a" * 9000, b"#x", b"\x01", b" ", b"?", b"\\",
    b"%e2%80%ae", b"*",
)  # fmt: skip
_QUERIES = (
    b"culture=DE&culture=FR", b"culture=%00", b"culture=", b"&&&", b"=", b"culture", b"%=%",
    b"a" * 9000, b"limit=1e400", b"limit=-1", b"limit=99999999999999999999", b"limit=NaN",
    b"search=%ff%fe",
    b"search=" + b"x" * 5000, b"question=%ed%a0%80&culture=DE", b"options=a&options=b&options=a",
    b"k=3&k=4", b"k=\xd9\xa3", b"temperature=inf", b"next=%2F%2Fevil",
    b"user=" + b"%F0%9F%92%A9" * 99,
)  # fmt: skip
_HOST, _LENGTHS = b"Host: localhost", (b"content-length", b"transfer-encoding")
_METHODS = (
    b"get",
    b"FOO",
    b"TRACE",
    b"OPTIONS",
    b"HEAD",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"\x00",
    b"PRI",
)


class RawRequest(NamedTuple):
    """A request as bytes; `head` ends before the empty line."""

    method: bytes
    target: bytes
    headers: tuple[bytes, ...] = ()
    body: bytes = b""

    @property
    def is_whole(self) -> bool:
        """Whether its body is as long as it says, once."""
        lengths = [line for line in self.headers if line.lower().startswith(_LENGTHS)]
        return lengths == [b"Content-Length: %d" % len(self.body)]

    def completed(self) -> RawRequest:
        """Return the request with a length, unless it has one."""
        if any(line.lower().startswith(_LENGTHS) for line in self.headers):
            return self
        return self._replace(headers=(*self.headers, b"Content-Length: %d" % len(self.body)))

    def write(self) -> bytes:
        """Return what is sent."""
        head = b"%s %s HTTP/1.1" % (self.method, self.target)
        return b"\r\n".join((head, *self.headers, b"", self.body))


class RawReply(NamedTuple):
    """A reply; None as a status stands for a connection that was closed without one."""

    status: int | None
    text: str = ""


def _post(path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> RawRequest:
    kind = "text/csv" if isinstance(body, str) else "application/json"
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    given = {"Content-Type": kind, **(headers or {})}
    return RawRequest(b"POST", path.encode(), _write_headers(given), data)


def _get(path: str, *, headers: Mapping[str, str] | None = None) -> RawRequest:
    return RawRequest(b"GET", path.encode(), _write_headers(headers or {}))


def _write_headers(headers: Mapping[str, str]) -> tuple[bytes, ...]:
    return tuple(f"{name}: {value}".encode("latin-1") for name, value in headers.items())


SOUND = (
    _post("/answer", _QUESTION | _SETTINGS),
    _post("/answer", _QUESTION | {"stream": True, "options": ["a", "b"], "seed": 1}),
    _get(f"/answer?culture=DE&question={quote(RELIGION)}&k=3"),
    _post("/v1/chat/completions", _CHAT | _STREAM),
    _post("/v1/chat/completions", _CHAT | {"temperature": 0.1, "n": 1, "max_tokens": 5}),
    _post("/v1/batch", _BATCH | {"recipes": [{"method": "icl", "k": 2}]}),
    _post("/v1/batch?culture=DE", f'question,options\n"{RELIGION}",\n"{NEIGHBOURS}",a|b\n'),
    _post("/v1/exemplars", _QUESTION | {"k": 3}),
    _post("/v1/feedback", {"answer_id": "ans_1", "metric": "helpful", "value": True}),
    _post("/v1/experiments", DEFINITION, headers=ADMIN),
    _post(f"/v1/experiments/{NAME}/start", {"allow_unsent": True}, headers=ADMIN),
    _get("/v1/experiments", headers=ADMIN),
    _get(f"/v1/experiments/{NAME}/report", headers=ADMIN),
    _get("/v1/adapters", headers=ADMIN),
    _get("/v1/adapters/status", headers=ADMIN),
    _post("/v1/adapters/german@0a1b2c3d/activate", {"cultures": ["DE"]}, headers=ADMIN),
    _get("/v1/questions?search=religion&culture=DE&limit=3"),
    _get("/v1/questions/wvs7:Q1"),
    _get("/v1/cultures/DE"),
    _get("/v1/models/fake@DE"),
    _get("/v1/answers/ans_1"),
    _get("/?question=Is%20it&culture=DE", headers={"Accept": "text/html"}),
    _post("/key", "key=a&next_path=/", headers=_FORM),
    _get("/metrics"),
    _get("/openapi.json"),
)  # fmt: skip


def send_sound(request: RawRequest, url: str) -> RawReply:
    """Send a request as it is."""
    return send(request._replace(headers=(_HOST, *request.headers)).completed(), url)


def damage(seed: int) -> RawRequest:
    """Return a request that was damaged in one to three places by this seed."""
    rng = random.Random(seed)
    request = SOUND[seed % len(SOUND)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        request = _damage_once(request, rng)
    if rng.random() < 0.98:
        request = request._replace(headers=(_HOST, *request.headers))
    return request.completed()


def _damage_once(request: RawRequest, rng: random.Random) -> RawRequest:
    target, headers = request.target, request.headers
    match rng.choice(("body",) * 6 + ("type", "header", "header", "path", "query", "method")):
        case "body" if request.body:
            _, body = mutate(
                request.body, [other.body or b"x" for other in SOUND], rng.getrandbits(32)
            )
            return request._replace(body=body)
        case "type":
            kind = f"Content-Type: {rng.choice(_CONTENT_TYPES)}".encode("latin-1")
            kept = tuple(line for line in headers if not line.startswith(b"Content-Type"))
            return request._replace(headers=(*kept, kind))
        case "path":
            at = rng.randrange(1, len(target) + 1)
            return request._replace(target=target[:at] + rng.choice(_PATHS) + target[at:])
        case "query":
            mark = b"&" if b"?" in target else b"?"
            return request._replace(target=target + mark + rng.choice(_QUERIES))
        case "method":
            return request._replace(method=rng.choice(_METHODS))
        case _:
            return request._replace(headers=(*headers, rng.choice(_HEADERS)))


def send(request: RawRequest, url: str) -> RawReply:
    """Send a request on a connection of its own and return what comes back.

    Raises:
        TimeoutError: nothing came for `LIMIT_S`.
    """
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), LIMIT_S) as connection:
        try:
            connection.sendall(request.write())
            if not request.is_whole:
                # The service would wait for the rest.
                connection.shutdown(socket.SHUT_WR)
        except OSError as exc:
            # It was refused before it was all sent; the reply may be there. A connection that is
            # gone cannot be shut down either.
            if not isinstance(exc, ConnectionError) and exc.errno != errno.ENOTCONN:
                raise
        reply = http.client.HTTPResponse(connection, method=request.method.decode("latin-1"))
        try:
            reply.begin()
            return RawReply(reply.status, reply.read().decode("utf-8", "replace"))
        except (http.client.HTTPException, ConnectionError):
            return RawReply(None)


def find_fault(request: RawRequest, reply: RawReply) -> str:
    """Return what is wrong with a reply, empty if nothing is."""
    if reply.status is not None and reply.status >= 500:
        is_told = (reply.status in TOLD and '"detail"' in reply.text) or '"message"' in reply.text
        if not is_told or "A fault in Milieu" in reply.text:
            return f"status {reply.status}: {reply.text[:300]}"
    if "Traceback (most recent call last)" in reply.text:
        return "a traceback"
    return ""
