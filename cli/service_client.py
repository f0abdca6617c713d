"""Ask a running service, for the command line."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.errors import AdminKeyMissing, ServiceRefused, ServiceUnreachable
from app.settings import Settings, is_loopback
from app.state.admin_key import FILE, read_admin_key

TIMEOUT_S = 120.0
# An adapter may have to wait for room, be loaded on several servers, and be proven on each.
CHANGE_TIMEOUT_S = 600.0


def ask_service(settings: Settings, body: dict[str, Any], *, url: str | None) -> dict[str, Any]:
    """Return the reply of `/answer` of the service at `url`, by default that of the settings.

    Raises:
        ServiceUnreachable: nothing listens there.
        ServiceRefused: it answered with a problem.
    """
    base = _base(settings, url)
    # A key goes to the service of the settings only, not to whatever address was typed.
    key = None
    if settings.api_keys and base == settings.url:
        key = settings.api_keys[0].get_secret_value()
    return _call(base, "POST", "/answer", body, key=key, timeout_s=TIMEOUT_S)


def administer_service(
    settings: Settings,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    url: str | None,
) -> dict[str, Any]:
    """Return what an admin route of the service at `url` replies.

    The key is one of the settings; else, for a service on this machine, that of the data folder.

    Raises:
        AdminKeyMissing: there is no such key.
        SecretFileInvalid: the file of the data folder is none.
        ServiceUnreachable: nothing listens there.
        ServiceRefused: it answered with a problem.
    """
    base = _base(settings, url)
    if settings.admin_keys:
        key: str | None = settings.admin_keys[0].get_secret_value()
    elif base == settings.url or _is_here(base):
        key = read_admin_key(settings.data_folder)
    else:
        key = None
    if key is None:
        # Whether there is a service at all is the better thing to know.
        _call(base, "GET", "/livez", timeout_s=TIMEOUT_S)
        raise AdminKeyMissing(base, settings.data_folder / FILE)
    return _call(base, method, path, body, key=key, timeout_s=CHANGE_TIMEOUT_S)


def _base(settings: Settings, url: str | None) -> str:
    base = (url or settings.url).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ServiceUnreachable(base, "no http URL")
    return base


def _is_here(base: str) -> bool:
    try:
        return is_loopback(urlsplit(base).hostname or "")
    except ValueError:
        return False


def _call(
    base: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    timeout_s: float,
) -> dict[str, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    try:
        request = urllib.request.Request(base + path, data=data, headers=headers, method=method)  # noqa: S310
        with _opener(base).open(request, timeout=timeout_s) as response:
            reply: dict[str, Any] = json.loads(response.read())
    except urllib.error.HTTPError as exc:
        problem = exc.read().decode("utf-8", "replace")
        try:
            detail = str(json.loads(problem)["detail"])
        except (ValueError, KeyError, TypeError):
            detail = problem[:300]
        raise ServiceRefused(exc.code, detail) from exc
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise ServiceUnreachable(base, str(getattr(exc, "reason", exc))) from exc
    return reply


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key in the request is for the address that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


def _opener(base: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_Staying()]
    if _is_here(base):
        # A proxy, if one is set, is not for what runs here.
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)
