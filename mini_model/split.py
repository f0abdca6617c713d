"""What the mini model never trains on, fixed before its first training run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files


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
    """Return the split in `mini_model/split.json`."""
    data = json.loads(files("mini_model").joinpath("split.json").read_text(encoding="utf-8"))
    return Split(frozenset(data["cultures"]), frozenset(data["questions"]))
