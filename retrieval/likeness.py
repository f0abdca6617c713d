"""Which survey questions count as the same one, so that showing one would give away another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retrieval.index import QuestionIndex
from survey_data.model import Question
from survey_data.wording import fold_text

# Cosine of all-MiniLM-L6-v2 from which two questions count as one, see docs/decisions/0006.
SAME_QUESTION = 0.80


def find_alike(
    questions: Mapping[str, Question], index: QuestionIndex, *, threshold: float = SAME_QUESTION
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
    marks = [("words", fold_text(question.text))]
    return [*marks, ("item", question.source_item)] if question.source_item else marks
