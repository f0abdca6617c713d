"""Files that are damaged in every way that a disk, an editor or an attacker may think of."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_DEEP = 100_000
# What stands between quotation marks, a number, or a word.
_VALUE = re.compile(rb'"[^"\n]*"|-?\d+(?:\.\d+)?|\b[A-Za-z_]+\b')
_STRANGE = (
    *(b"NaN", b"Infinity", b"-Infinity", b".nan", b".inf", b"1e400", b"-1", b"1e-400", b"0x10"),
    *(b"9" * 5000, b"1." + b"0" * 5000, b"null", b"true", b"[]", b"{}", b'""', b"", b"~", b"*a"),
    *(b'"\\ud800"', b'"\\u0000"', b'"\x00"', b'"\xff\xfe"', b'"../../etc/passwd"', b"1_000"),
    *(b"2026-13-45", b"1979-05-27T07:32:00Z", b"0.1.2", b"!!python/object:os.system", b"&a"),
    *(
        b"!!bool maybe",
        b"!!timestamp soon",
        b"!!float ''",
        b"!!int x",
        b"? [1]\n: 2",
        b"!!binary x",
    ),
    *(b":".join([b"1"] * 400) + b".0", b"".join(b"a%d: 1\n" % n for n in range(20_000))),
    *('"\u202e"'.encode(), '"\u2028"'.encode(), "\u0663".encode(), b"\x1b[31m"),
    b'"' + b"x" * 300_000 + b'"',
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
)
_BYTES = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\r",
    b"\x1a",
    b'"',
    b"{",
    b"[",
    b"\\",
    b"\xef\xbb\xbf",
)


class Mutation(NamedTuple):
    """One way to damage a file, and its name."""

    name: str
    damage: Callable[[bytes, random.Random], bytes]


def _flip(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 64))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _put(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.choice(_BYTES) * rng.choice((1, 1, 8)) + data[at:]


def _replace_value(data: bytes, rng: random.Random) -> bytes:
    values = list(_VALUE.finditer(data))
    if not values:
        return _put(data, rng)
    value = rng.choice(values)
    return data[: value.start()] + rng.choice(_STRANGE) + data[value.end() :]


def _swap_values(data: bytes, rng: random.Random) -> bytes:
    values = list(_VALUE.finditer(data))
    if len(values) < 2:
        return _flip(data, rng)
    one, other = sorted(rng.sample(values, 2), key=re.Match.start)
    between = data[one.end() : other.start()]
    return data[: one.start()] + other[0] + between + one[0] + data[other.end() :]


def _change_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines.insert(at, rng.choice(lines))
        case 1:
            del lines[at]
        case 2:
            rng.shuffle(lines)
        case _:
            lines *= 200
    return b"".join(lines)


def _repeat_field(data: bytes, rng: random.Random) -> bytes:
    fields = list(re.finditer(rb'"\w+": ?[^,{}\[\]\n]+, ?', data))
    if not fields:
        return _change_lines(data, rng)
    field = rng.choice(fields)
    return data[: field.end()] + field[0] + data[field.end() :]


def _replace_all(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"\x00" * 100, b"\xff\xfe", b"PK\3\4", *_STRANGE)) or data[:1]


MUTATIONS = (
    Mutation("flip bits", _flip),
    Mutation("truncate", lambda data, rng: data[: rng.randrange(len(data))]),
    Mutation("put bytes", _put),
    Mutation("replace a value", _replace_value),
    Mutation("replace a value, again", _replace_value),
    Mutation("swap values", _swap_values),
    Mutation("change lines", _change_lines),
    Mutation("repeat a field", _repeat_field),
    Mutation("replace all", _replace_all),
    Mutation("UTF-16", lambda data, _: data.decode("latin-1").encode("utf-16")),
    Mutation("empty", lambda *_: b""),
)


def mutate(data: bytes, others: Sequence[bytes], seed: int) -> tuple[str, bytes]:
    """Return how a file is damaged by this seed, and what becomes of `data`.

    `others` are files that it may be mistaken for.
    """
    rng = random.Random(seed)
    if rng.random() < 0.05:
        return "another file", rng.choice(others)
    mutation = MUTATIONS[seed % len(MUTATIONS)]
    return mutation.name, mutation.damage(data, rng)
