"""Questions and peoples that the adapter never trains on: those the house holds out of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

SPLIT = Path(__file__).parents[2] / "mini_model" / "split.json"


class HeldOut(NamedTuple):
    """Cultures (alpha-3 codes) and questions (keys) that are held out."""

    cultures: frozenset[str]
    questions: frozenset[str]


def read_held_out(file: Path = SPLIT) -> HeldOut:
    """Return what `file` holds out."""
    split = json.loads(file.read_text(encoding="utf-8"))
    return HeldOut(frozenset(split["cultures"]), frozenset(split["questions"]))
