"""The questions and cultures that no model of ours trains on, fixed before the first training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SPLIT_FILE = Path(__file__).with_name("split.json")


@dataclass(frozen=True)
class Split:
    """Cultures (alpha-3 codes) and questions (keys) that are held out of all training.

    Four cultures of the `wvs7` pack, from four regions, fifty of its questions (every fifth in
    file order from the third), and 300 of GlobalOpinionQA's (every fourth from the second).
    """

    cultures: frozenset[str]
    questions: frozenset[str]

    def of_pack(self, pack: str) -> tuple[str, ...]:
        """Return the held-out questions of one pack, sorted."""
        return tuple(sorted(key for key in self.questions if key.startswith(f"{pack}:")))


def read_split() -> Split:
    """Return the split in `survey_data/split.json`."""
    data = json.loads(SPLIT_FILE.read_text(encoding="utf-8"))
    return Split(frozenset(data["cultures"]), frozenset(data["questions"]))
