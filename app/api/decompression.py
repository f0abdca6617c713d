"""Bodies that come compressed, as some clients send them by themselves."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware import MAX_BODY_BYTES, BodyLimit, Refuse
from app.errors import BodyTooLarge
from app.request_errors import BodyDamaged, EncodingUnsupported

# For zlib: a gzip header is expected.
_GZIP = 16 + zlib.MAX_WBITS


@dataclass
class Decompressor:
    """Gives routes the plain body of a request whose body is gzip.

    It stands behind `BodyReader`, which has read the whole body. A small body becomes no
    larger than a plain one may be.
    """

    app: ASGIApp
    refuse: Refuse
    max_bytes: int = MAX_BODY_BYTES
    limits: Mapping[str, BodyLimit] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        encoding = _read_encoding(scope)
        if encoding in ("", "identity"):
            await self.app(scope, receive, send)
            return
        try:
            if encoding not in ("gzip", "x-gzip"):
                raise EncodingUnsupported(encoding)
            body = self._decompress((await receive())["body"], self._find_limit(scope))
        except (EncodingUnsupported, BodyDamaged, BodyTooLarge) as error:
            await self.refuse(scope, error)(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(_describe_plain(scope, len(body)), replay, send)

    def _find_limit(self, scope: Scope) -> BodyLimit:
        return self.limits.get(scope["path"], BodyLimit(self.max_bytes))

    def _decompress(self, body: bytes, limit: BodyLimit) -> bytes:
        stream = zlib.decompressobj(_GZIP)
        try:
            plain = stream.decompress(body, limit.max_bytes + 1)
        except zlib.error as exc:
            raise BodyDamaged(str(exc)) from exc
        if len(plain) > limit.max_bytes:
            raise BodyTooLarge(len(plain), limit.max_bytes, setting=limit.setting)
        if not stream.eof:
            raise BodyDamaged("it ends too early")
        return plain


def _read_encoding(scope: Scope) -> str:
    if scope["type"] != "http":
        return ""
    return Headers(scope=scope).get("content-encoding", "").strip().lower()


def _describe_plain(scope: Scope, n_bytes: int) -> Scope:
    plain = dict(scope) | {"headers": list(scope["headers"])}
    headers = MutableHeaders(scope=plain)
    del headers["content-encoding"]
    headers["content-length"] = str(n_bytes)
    return plain
