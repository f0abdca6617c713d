"""Which questions are asked, and which may never be shown with each of them.

A question's own answers, those of a paraphrase and those of a near-duplicate would tell the model
what it is asked for, so that an evaluation would measure copying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from evaluation.split_name import SplitName
from survey_data.model import Question

N_FOLDS = 10

Alike: TypeAlias = Mapping[str, frozenset[str]]
"""By key, the keys of the questions that count as the same; see `retrieval.likeness.find_alike`."""


@dataclass(frozen=True)
class QuestionSplit:
    """The questions to ask, and for each the keys that count as unknown with it.

    Attributes:
        asked: their keys.
        hidden: maps each of them to the keys that count as unknown with it, itself among them.
        unused: keys of questions that are shown with none of them.
    """

    asked: tuple[str, ...]
    hidden: Mapping[str, frozenset[str]]
    unused: frozenset[str] = frozenset()

    @cached_property
    def barred(self) -> Mapping[str, frozenset[str]]:
        """Maps each question to the keys that must not be among its exemplars."""
        return {key: hidden | self.unused for key, hidden in self.hidden.items()}


def leave_one_out(asked: Sequence[str], alike: Alike) -> QuestionSplit:
    """Return the split of the papers: every question is asked, all unlike it may be exemplars."""
    return QuestionSplit(tuple(asked), {key: alike[key] for key in asked})


def hold_out(asked: Sequence[str], alike: Alike, *, share: float, seed: int = 0) -> QuestionSplit:
    """Return a split that asks about `share` of the questions and never shows any of them.

    Questions that are alike, directly or by way of others, are drawn together, so that no question
    asked is like any of the exemplars. At least one question is asked.

    Raises:
        ValueError: `share` is not above 0 and below 1.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of questions to ask is {share:g}; it has to be within 0 and 1")
    groups = [group for group in _groups(alike) if not group.isdisjoint(asked)]
    wanted = max(1, round(share * len(asked)))
    drawn: set[str] = set()
    for number in np.random.default_rng(seed).permutation(len(groups)):
        if len(drawn) >= wanted:
            break
        drawn |= groups[number].intersection(asked)
    barred = frozenset().union(*(alike[key] for key in drawn))
    kept = tuple(key for key in asked if key in drawn)
    return QuestionSplit(kept, dict.fromkeys(kept, barred))


def hide_together(
    asked: Sequence[str],
    alike: Alike,
    name: SplitName,
    *,
    questions: Mapping[str, Question],
    seed: int = 0,
) -> QuestionSplit:
    """Return the split `name` of the questions to ask; their like are hidden with them too."""
    groups = [list(asked)]
    if name is not SplitName.HELD_OUT:
        units = [[key] for key in asked]
        if name is SplitName.BATTERY:
            batteries: dict[tuple[object, ...], list[str]] = {}
            for key in asked:
                batteries.setdefault(questions[key].battery, []).append(key)
            units = list(batteries.values())
        order = np.random.default_rng(seed).permutation(len(units)).tolist()
        groups = [[k for unit in order[i::N_FOLDS] for k in units[unit]] for i in range(N_FOLDS)]
    hidden: dict[str, frozenset[str]] = {}
    for group in groups:
        together = frozenset[str]().union(*(alike[key] for key in group))
        hidden |= dict.fromkeys(group, together)
    return QuestionSplit(tuple(asked), hidden)


def _groups(alike: Alike) -> list[set[str]]:
    """Return the questions in groups that nothing links, in the order given."""
    left = dict.fromkeys(alike)
    groups = []
    while left:
        group: set[str] = set()
        fresh = [next(iter(left))]
        while fresh:
            key = fresh.pop()
            if key in left:
                del left[key]
                group.add(key)
                fresh.extend(other for other in alike[key] if other in left)
        groups.append(group)
    return groups
