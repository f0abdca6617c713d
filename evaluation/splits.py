"""Which questions are asked, and which may never be shown with each of them.

A question's own answers, those of a paraphrase and those of a near-duplicate would tell the model
what it is asked for, so that an evaluation would measure copying.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.index import QuestionIndex
from survey_data.model import Question

# Cosine of all-MiniLM-L6-v2 from which two questions count as one, see docs/decisions/0006.
SAME_QUESTION = 0.80


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
    alike = _alike(questions, index, threshold)
    return QuestionSplit(tuple(asked), {key: alike[key] for key in asked})


def held_out(
    asked: Sequence[str],
    *,
    questions: Mapping[str, Question],
    index: QuestionIndex,
    share: float,
    seed: int = 0,
    threshold: float = SAME_QUESTION,
) -> QuestionSplit:
    """Return a split that asks about `share` of the questions and never shows any of them.

    Questions that are alike, directly or by way of others, are drawn together, so that none of
    those asked has its like among the exemplars. At least one question is asked.

    Raises:
        ValueError: `share` is not above 0 and below 1.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of questions to ask is {share:g}; it has to be within 0 and 1")
    alike = _alike(questions, index, threshold)
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


def _alike(
    questions: Mapping[str, Question], index: QuestionIndex, threshold: float
) -> dict[str, frozenset[str]]:
    """Return for each question the keys of those that count as the same, its own among them."""
    keys = index.keys
    near = index.vectors @ index.vectors.T >= threshold
    same: dict[tuple[str, str], set[str]] = {}
    for key in keys:
        for mark in _marks(questions[key]):
            same.setdefault(mark, set()).add(key)
    return {
        key: frozenset({key}).union(
            (keys[j] for j in np.flatnonzero(near[i])),
            *(same[mark] for mark in _marks(questions[key])),
        )
        for i, key in enumerate(keys)
    }


def _marks(question: Question) -> list[tuple[str, str]]:
    """Return what a question shares with its like in another pack: its words, its source item."""
    marks = [("words", " ".join(question.text.casefold().split()))]
    return [*marks, ("item", question.source_item)] if question.source_item else marks


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
