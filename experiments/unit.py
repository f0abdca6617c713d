"""Who is answered: end user, session or request, and the only form in which that is kept."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.errors import SecretTooShort, UnitInvalid

MIN_SECRET_BYTES = 16
MAX_UNIT_CHARS = 256
# No unit's text: those begin with a kind and a colon.
FINGERPRINT_TEXT = b"fingerprint of the secret"


class UnitKind(StrEnum):
    """What a unit is."""

    USER = "user"
    SESSION = "session"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit, as the client names it. Lives as long as a request; `UnitHasher.hash` is kept.

    Attributes:
        name: the client's word for it, 1 to 256 characters. It is in no `repr`.
    """

    kind: UnitKind
    name: str = field(repr=False)

    def __post_init__(self) -> None:
        n_chars = len(self.name)
        if not 1 <= n_chars <= MAX_UNIT_CHARS:
            raise UnitInvalid(f"{n_chars} characters", f"1 to {MAX_UNIT_CHARS}")
        try:
            self.name.encode()
        except UnicodeEncodeError as exc:
            raise UnitInvalid("half of a surrogate pair", "text that UTF-8 can write") from exc

    @property
    def text(self) -> str:
        """Kind and name, as one text that two units share only when they are equal."""
        return f"{self.kind}:{self.name}"


def unit_of(*, user: str = "", session: str = "", request_id: str) -> Unit:
    """Return the unit of a request: the user if named, else the session, else the request.

    Raises:
        UnitInvalid: the name is too long, or not text.
    """
    if user:
        return Unit(UnitKind.USER, user)
    if session:
        return Unit(UnitKind.SESSION, session)
    return Unit(UnitKind.REQUEST, request_id)


class UnitHasher:
    """Hashes units with a secret, so that a copy of the store does not reveal who is in it."""

    def __init__(self, secret: bytes) -> None:
        """Take the secret, which all gateways of one store share.

        Raises:
            SecretTooShort: it has less than 16 bytes.
        """
        if len(secret) < MIN_SECRET_BYTES:
            raise SecretTooShort(len(secret), expected=MIN_SECRET_BYTES)
        self._secret = secret

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that identify the secret and reveal nothing about it."""
        return hmac.new(self._secret, FINGERPRINT_TEXT, hashlib.sha256).hexdigest()[:16]

    def hash(self, unit: Unit) -> str:
        """Return the HMAC-SHA256 of kind and name, as 64 hexadecimal digits."""
        return hmac.new(self._secret, unit.text.encode(), hashlib.sha256).hexdigest()
