"""Keys of clients: kept as digests, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

HASHED = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def hash_key(key: str) -> str:
    """Return the digest of a key as settings may hold it: `sha256:` and 64 hexadecimal digits."""
    return HASHED + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def hash_keys(given: Iterable[str]) -> tuple[str, ...]:
    """Return the digests of keys, some of which may be given as digests."""
    return tuple(key if is_hashed(key) else hash_key(key) for key in given)


def is_hashed(key: str) -> bool:
    """Return whether a setting holds the digest of a key, and not the key."""
    return _DIGEST.fullmatch(key) is not None


def check_key(key: str) -> str:
    """Return a key of the settings as it is.

    Raises:
        ValueError: it is meant for a digest, and is none.
    """
    if key.startswith(HASHED) and not is_hashed(key):
        raise ValueError("a key begins with sha256: and goes on otherwise than 64 digits of 0-9a-f")
    return key


def match_key(sent: str, digests: Sequence[str]) -> bool:
    """Return whether `sent` is a key with one of the digests. A digest itself is no key."""
    found = hash_key(sent)
    # Every digest is compared, in constant time, so that timing tells nothing.
    return any([hmac.compare_digest(found, digest) for digest in digests])


def find_clear(keys: Iterable[str]) -> str | None:
    """Return the first key that can be sent, None where all are digests."""
    return next((key for key in keys if not is_hashed(key)), None)
