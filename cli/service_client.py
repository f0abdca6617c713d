"""The client of a Milieu service: of `milieu ask`, `milieu adapters` and `milieu evaluate`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp

from app.errors import AdminKeyMissing, ServiceRefused, ServiceUnreachable
from app.settings import Settings, is_loopback
from app.state.admin_key import FILE, read_admin_key

TIMEOUT_S = 120.0
# An adapter may have to wait for room, be loaded on several servers, and be verified on each.
CHANGE_TIMEOUT_S = 600.0


class ServiceReply(NamedTuple):
    """What a service sent, whatever its status."""

    status: int
    text: str


class ServiceClient:
    """Sends requests to one service; used in an `async with`.

    It follows no redirects: the key in a request is meant for the given address alone. A proxy, if
    one is set, is not used for services on this machine.
    """

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """Talk to the service at `url`, with `key` if it is given.

        Raises:
            ServiceUnreachable: `url` is not an http address.
        """
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise ServiceUnreachable(self.url, "no http URL")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(trust_env=not _is_here(self.url))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> ServiceReply:
        """Return the service's reply.

        Raises:
            ServiceUnreachable: no HTTP reply came within `timeout_s`.
        """
        assert self._session is not None, "used in an `async with`"
        try:
            async with self._session.request(
                method,
                self.url + path,
                json=body,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as reply:
                return ServiceReply(reply.status, (await reply.read()).decode("utf-8", "replace"))
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise ServiceUnreachable(self.url, _explain(exc)) from exc


def ask_service(
    settings: Settings, path: str, body: Mapping[str, Any], *, url: str | None
) -> dict[str, Any]:
    """Return the reply to `body` from the service at `url`, by default that of the settings."""
    base = (url or settings.url).rstrip("/")
    # A key goes to the service of the settings only, not to whatever address was typed.
    is_own = settings.api_keys and base == settings.url
    key = settings.api_keys[0].get_secret_value() if is_own else None
    return asyncio.run(_call(base, "POST", path, body, key=key, timeout_s=TIMEOUT_S))


def administer_service(
    settings: Settings,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    url: str | None,
) -> dict[str, Any]:
    """Return the reply of an admin route of the service at `url`.

    The key comes from the settings, or for a service on this machine from the data folder.
    """
    base = (url or settings.url).rstrip("/")
    key = None
    if settings.admin_keys:
        key = settings.admin_keys[0].get_secret_value()
    elif base == settings.url or _is_here(base):
        key = read_admin_key(settings.data_folder)
    if key is None:
        # It helps more to know whether there is a service at all.
        asyncio.run(_call(base, "GET", "/livez", timeout_s=TIMEOUT_S))
        raise AdminKeyMissing(base, settings.data_folder / FILE)
    return asyncio.run(_call(base, method, path, body, key=key, timeout_s=CHANGE_TIMEOUT_S))


async def _call(
    base: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    timeout_s: float,
) -> dict[str, Any]:
    async with ServiceClient(base, key=key) as client:
        status, text = await client.send(method, path, body, timeout_s=timeout_s)
    try:
        reply: dict[str, Any] = json.loads(text)
        detail = "" if status < 300 else str(reply["detail"])
    except (ValueError, KeyError, TypeError) as exc:
        if status < 300:
            raise ServiceUnreachable(base, str(exc)) from exc
        raise ServiceRefused(status, text[:300]) from exc
    if status >= 300:
        raise ServiceRefused(status, detail)
    return reply


def _is_here(base: str) -> bool:
    try:
        return is_loopback(urlsplit(base).hostname or "")
    except ValueError:
        return False


def _explain(exc: Exception) -> str:
    """Return why no reply came, in the system's words if it has any."""
    if isinstance(exc, TimeoutError):
        return "timed out"
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        return f"[Errno {cause.errno}] {os.strerror(cause.errno)}"
    return str(cause)
