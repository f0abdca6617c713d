"""What the mini model never trains on, fixed before its first training run."""

from __future__ import annotations

import json
from collections.abc import Sequence
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

    def __or__(self, other: Split) -> Split:
        """Return what either holds out."""
        return Split(self.cultures | other.cultures, self.questions | other.questions)

    def of_pack(self, pack: str) -> tuple[str, ...]:
        """Return the held-out questions of one pack, sorted."""
        return tuple(sorted(key for key in self.questions if key.startswith(f"{pack}:")))


def read_split() -> Split:
    """Return the split in `mini_model/split.json`."""
    data = json.loads(files("mini_model").joinpath("split.json").read_text(encoding="utf-8"))
    return Split(frozenset(data["cultures"]), frozenset(data["questions"]))


# What the choice of a recipe looks at: not trained on either, but no part of the held-out split.
VALIDATION_CULTURES = ("BRA", "CHN", "ZWE")


def make_validation_split(keys: Sequence[str], held_out: Split) -> Split:
    """Return every fifth of `keys` that is not held out, from the third, and three cultures."""
    trained = [key for key in keys if key not in held_out.questions]
    return Split(frozenset(VALIDATION_CULTURES), frozenset(trained[2::5]))
