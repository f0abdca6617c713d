"""Sessions of browsers that a key was entered in; in memory, so that they end with the service."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.state.shared import SharedFile

COOKIE = "milieu_session"
MAX_SESSIONS = 1000
# After the last request.
IDLE_S = 8 * 3600.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What the key that was entered opens."""

    USER = "user"
    ADMIN = "admin"


class _Session(NamedTuple):
    role: Role
    until_s: float
    owner: str


class Sessions:
    """Which sessions are open, and what each of them may do. The keys themselves are not kept."""

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, idle_s: float = IDLE_S) -> None:
        """Keep `max_sessions` at most; each ends when it was not used for `idle_s`."""
        self._max_sessions, self._idle_s = max_sessions, idle_s
        # By token, the one used last at the end.
        self._open: OrderedDict[str, _Session] = OrderedDict()

    def open(self, role: Role, owner: str = "") -> str:
        """Return the token of a new session; where there are too many the oldest one ends.

        `owner` stands for the key that was entered.
        """
        token = secrets.token_urlsafe(32)
        self._open[token] = _Session(role, time.monotonic() + self._idle_s, owner)
        while len(self._open) > self._max_sessions:
            self._open.popitem(last=False)
        return token

    def find(self, token: str) -> Role | None:
        """Return what a session may do, None where it is not open; it is kept open by this."""
        session = self._open.pop(token, None)
        if session is None or session.until_s < time.monotonic():
            return None
        self._open[token] = session._replace(until_s=time.monotonic() + self._idle_s)
        return session.role

    def find_owner(self, token: str) -> str:
        """Return what stands for the key that was entered, empty where no session is open."""
        session = self._open.get(token)
        return "" if session is None else session.owner

    def close(self, token: str) -> None:
        """End a session; nothing where there is none."""
        self._open.pop(token, None)


class SharedSessions(Sessions):
    """The sessions of a service with several workers: what one opens is open for all."""

    def __init__(
        self, file: SharedFile, *, max_sessions: int = MAX_SESSIONS, idle_s: float = IDLE_S
    ) -> None:
        super().__init__(max_sessions=max_sessions, idle_s=idle_s)
        self._file = file

    def open(self, role: Role, owner: str = "") -> str:
        """Return the token of a new session; where there are too many the oldest one ends."""
        token = secrets.token_urlsafe(32)
        with self._file.change() as connection:
            # The clock counts from the start of the machine, alike for all of its processes.
            until_s = time.monotonic() + self._idle_s
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)", (_hide(token), role, until_s)
            )
            connection.execute(
                "DELETE FROM sessions WHERE token NOT IN "
                "(SELECT token FROM sessions ORDER BY until_s DESC LIMIT ?)",
                (self._max_sessions,),
            )
        return token

    def find(self, token: str) -> Role | None:
        """Return what a session may do, None where it is not open; it is kept open by this."""
        now_s = time.monotonic()
        found = self._file.connection.execute(
            "UPDATE sessions SET until_s = ? WHERE token = ? AND until_s >= ? RETURNING role",
            (now_s + self._idle_s, _hide(token), now_s),
        ).fetchone()
        return None if found is None else Role(found[0])

    def find_owner(self, token: str) -> str:
        """Return what stands for the key that was entered, empty where no session is open."""
        found = self._file.connection.execute(
            "SELECT owner FROM sessions WHERE token = ?", (_hide(token),)
        ).fetchone()
        return "" if found is None else str(found[0])

    def close(self, token: str) -> None:
        """End a session; nothing where there is none."""
        self._file.connection.execute("DELETE FROM sessions WHERE token = ?", (_hide(token),))


def _hide(token: str) -> str:
    """Return what is kept of a token: who reads the file cannot use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(headers: Headers) -> str:
    """Return the token that a browser sent, empty where it sent none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


def is_own_request(method: str, headers: Headers) -> bool:
    """Return whether a browser sent this from the page itself, or the user by the address line.

    Others may make a browser send a request, with its cookies. Where a browser does not say where
    a request comes from, only reading is taken for the user's own.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin" or (site == "none" and method in SAFE_METHODS)
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    return method in SAFE_METHODS
