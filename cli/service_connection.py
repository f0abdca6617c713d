"""Which service a command talks to, and with which key."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.addresses import is_loopback
from app.errors import AdminKeyMissing
from app.keys import find_clear
from app.settings import Settings
from app.state.admin_key import FILE, read_admin_key
from milieu_client import NO_RETRIES, Milieu

# An adapter may have to wait for room, be loaded on several servers, and be verified on each.
CHANGE_TIMEOUT_S = 600.0


def connect(settings: Settings, *, url: str | None) -> Milieu:
    """Return a client of the service at `url`, by default that of the settings."""
    base = (url or settings.url).rstrip("/")
    # A key goes to the service of the settings only, not to whatever address was typed.
    is_own = base == settings.url
    key = find_clear(key.get_secret_value() for key in settings.api_keys) if is_own else None
    return Milieu(base, key=key, retries=NO_RETRIES)


def connect_as_admin(settings: Settings, *, url: str | None) -> Milieu:
    """Return a client of the service at `url` that may do what only admins may.

    The key comes from the settings, or for a service on this machine from the data folder.
    """
    base = (url or settings.url).rstrip("/")
    key = None
    if settings.admin_keys:
        key = find_clear(key.get_secret_value() for key in settings.admin_keys)
    elif base == settings.url or _is_here(base):
        key = read_admin_key(settings.data_folder)
    if key is None:
        # It helps more to know whether there is a service at all.
        with Milieu(base, retries=NO_RETRIES) as milieu:
            milieu.request("GET", "/livez")
        raise AdminKeyMissing(base, settings.data_folder / FILE)
    return Milieu(base, key=key, timeout_s=CHANGE_TIMEOUT_S, retries=NO_RETRIES)


def _is_here(base: str) -> bool:
    try:
        return is_loopback(urlsplit(base).hostname or "")
    except ValueError:
        return False
