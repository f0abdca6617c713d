"""Which questions are asked, and which may never be shown with each of them.

A question's own answers, those of a paraphrase and those of a near-duplicate would tell the model
what it is asked for, so that an evaluation would measure copying.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.index import QuestionIndex
from retrieval.likeness import SAME_QUESTION, find_alike
from survey_data.model import Question


@dataclass(frozen=True)
class QuestionSplit:
    """The questions to ask, and for each the keys that must not be among its exemplars."""

    asked: tuple[str, ...]
    barred: Mapping[str, frozenset[str]]


def leave_one_out(
    asked: Sequence[str],
    *,
    questions: Mapping[str, Question],
    index: QuestionIndex,
    threshold: float = SAME_QUESTION,
) -> QuestionSplit:
    """Return the split of the papers: every question is asked, all others may be exemplars.

    All but the question's paraphrases and near-duplicates, in whatever pack: those with a cosine
    of at least `threshold`, those of the same words, and those of the same item of the source.
    """
    alike = find_alike(questions, index, threshold=threshold)
    return QuestionSplit(tuple(asked), {key: alike[key] for key in asked})


def hold_out(
    asked: Sequence[str],
    *,
    questions: Mapping[str, Question],
    index: QuestionIndex,
    share: float,
    seed: int = 0,
    threshold: float = SAME_QUESTION,
) -> QuestionSplit:
    """Return a split that asks about `share` of the questions and never shows any of them.

    Questions that are alike, directly or by way of others, are drawn together, so that no
    question asked has its like among the exemplars. At least one question is asked.

    Raises:
        ValueError: `share` is not above 0 and below 1.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of questions to ask is {share:g}; it has to be within 0 and 1")
    alike = find_alike(questions, index, threshold=threshold)
    groups = [group for group in _groups(index.keys, alike) if not group.isdisjoint(asked)]
    wanted = max(1, round(share * len(asked)))
    drawn: set[str] = set()
    for number in np.random.default_rng(seed).permutation(len(groups)):
        if len(drawn) >= wanted:
            break
        drawn |= groups[number].intersection(asked)
    barred = frozenset().union(*(alike[key] for key in drawn))
    kept = tuple(key for key in asked if key in drawn)
    return QuestionSplit(kept, dict.fromkeys(kept, barred))


def _groups(keys: Collection[str], alike: Mapping[str, frozenset[str]]) -> list[set[str]]:
    """Return the questions in groups that nothing links, in the order given."""
    left = dict.fromkeys(keys)
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
