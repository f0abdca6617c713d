"""Addresses in settings: what is of this machine alone, and what names a site."""

from __future__ import annotations

import ipaddress
import re

ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"https?://[^/\s*]+")


def is_loopback(host: str) -> bool:
    """Return whether `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return the origins of sites, as browsers send them.

    Raises:
        ValueError: one is no origin.
    """
    for origin in origins:
        if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"found '{origin[:80]}', expected '{ANY_ORIGIN}' or origins such as "
                "https://example.org, without a path"
            )
    return origins
