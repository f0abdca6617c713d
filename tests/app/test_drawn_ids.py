"""Ids are drawn many at a time, and no process hands out those of another."""

from __future__ import annotations

import re
import subprocess
import sys

from app.drawn_ids import draw_id

# In a process without threads, which may be forked.
FORKED = """
import os
from app.drawn_ids import draw_id
draw_id()  # there are some left now
if os.fork():
    os.wait()
print(*(draw_id() for _ in range(100)), flush=True)
"""


def test_ids_are_32_digits_and_never_the_same() -> None:
    ids = [draw_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", drawn) for drawn in ids)


def test_a_forked_process_draws_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True
    )

    assert len(set(done.stdout.split())) == 200
