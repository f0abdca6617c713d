"""Ask a running service, for the command line."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from app.errors import ServiceRefused, ServiceUnreachable
from app.settings import Settings

TIMEOUT_S = 120.0


def ask_service(settings: Settings, body: dict[str, Any], *, url: str | None) -> dict[str, Any]:
    """Return the reply of `/answer` of the service at `url`, by default that of the settings.

    Raises:
        ServiceUnreachable: nothing listens there.
        ServiceRefused: it answered with a problem.
    """
    base = (url or settings.url).rstrip("/")
    headers = {"Content-Type": "application/json"}
    # A key goes to the service of the settings only, not to whatever address was typed.
    if settings.api_keys and base == settings.url:
        headers["Authorization"] = f"Bearer {settings.api_keys[0].get_secret_value()}"
    if not base.startswith(("http://", "https://")):
        raise ServiceUnreachable(base, "no http URL")
    data = json.dumps(body).encode()
    try:
        request = urllib.request.Request(f"{base}/answer", data=data, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
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
