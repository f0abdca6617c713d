"""Units are known by kind and name, and kept only as hashes."""

from __future__ import annotations

import pytest

from experiments.errors import SecretTooShort, UnitInvalid
from experiments.unit import Unit, UnitHasher, UnitKind, unit_of

SECRET = b"0123456789abcdef"


def test_the_unit_is_the_user_else_the_session_else_the_request() -> None:
    assert unit_of(user="u", session="s", request_id="r") == Unit(UnitKind.USER, "u")
    assert unit_of(session="s", request_id="r") == Unit(UnitKind.SESSION, "s")
    assert unit_of(request_id="r") == Unit(UnitKind.REQUEST, "r")


def test_the_hash_is_an_hmac_of_kind_and_name() -> None:
    # printf 'user:alice' | openssl dgst -sha256 -hmac 0123456789abcdef
    expected = "a2d53898aba5b7cc967235b40586185e401145fe08d02759747fd3293fe820a7"
    assert UnitHasher(SECRET).hash(Unit(UnitKind.USER, "alice")) == expected


def test_another_kind_or_secret_gives_another_hash() -> None:
    hasher, user = UnitHasher(SECRET), Unit(UnitKind.USER, "alice")
    assert hasher.hash(user) == hasher.hash(Unit(UnitKind.USER, "alice"))
    assert hasher.hash(user) != hasher.hash(Unit(UnitKind.SESSION, "alice"))
    assert hasher.hash(user) != UnitHasher(SECRET + b"!").hash(user)


def test_the_fingerprint_is_that_of_the_secret() -> None:
    # printf 'fingerprint of the secret' | openssl dgst -sha256 -hmac 0123456789abcdef
    assert UnitHasher(SECRET).fingerprint == "a446263ebe57796e"
    assert UnitHasher(SECRET + b"!").fingerprint != UnitHasher(SECRET).fingerprint


def test_a_unit_does_not_show_its_name() -> None:
    assert "alice" not in repr(Unit(UnitKind.USER, "alice"))


@pytest.mark.parametrize("name", ["", "a" * 257, "\ud800"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UnitInvalid):
        Unit(UnitKind.USER, name)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(SecretTooShort, match="found 15 bytes, expected 16 or more"):
        UnitHasher(b"a" * 15)
