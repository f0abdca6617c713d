"""Ids that nobody can guess, drawn many at a time.

A system call for each lets go of the interpreter, and on a busy service the event loop then waits
for its threads before it gets it back.
"""

from __future__ import annotations

import os
import secrets

_N_DIGITS, _N_DRAWN = 32, 256
_left: list[str] = []
# Two processes must not hand out the same ones.
os.register_at_fork(after_in_child=_left.clear)


def draw_id() -> str:
    """Return 32 hexadecimal digits, drawn as a secret is, and never returned before."""
    try:
        return _left.pop()
    except IndexError:
        digits = secrets.token_hex(_N_DIGITS * _N_DRAWN // 2)
        ids = [digits[at : at + _N_DIGITS] for at in range(0, len(digits), _N_DIGITS)]
        _left.extend(ids[1:])
        return ids[0]
