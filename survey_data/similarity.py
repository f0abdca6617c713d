"""How alike two cultures answer: the alignment score between their modal answers.

Source: Xu et al., arXiv 2410.12971 (the table of country similarities behind prompt P2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from survey_data.errors import SurveyDataError
from survey_data.library import SurveyLibrary
from survey_data.model import Question

N_COMPARED = 3


class ComparisonUnavailable(SurveyDataError):
    """The pack that knows a culture best has too few other cultures to compare it with."""


class CultureContrast(NamedTuple):
    """Alpha-3 codes of the cultures most and least like one culture, the extreme first in both."""

    most_similar: tuple[str, ...]
    least_similar: tuple[str, ...]


def alignment_score(chosen: Sequence[int], gold: Sequence[int], n_options: Sequence[int]) -> float:
    """Return `1 - sqrt(sum((a - g)^2)) / sqrt(sum((n - 1)^2))`; 1 is best, it can be negative.

    Args:
        chosen: position of the chosen option, one per question.
        gold: position of the modal option, counted from the same number as `chosen`.
        n_options: number of options, 2 or more.

    Raises:
        ValueError: there is no question, or the three differ in length.

    Source: METHODS, metric 1 (arXiv 2410.12971, section 4.1).
    """
    if not chosen:
        raise ValueError("the alignment score of no question is not defined")
    missed = sum((a - g) ** 2 for a, g in zip(chosen, gold, strict=True))
    widest = sum((n - 1) ** 2 for _, n in zip(chosen, n_options, strict=True))
    return 1.0 - math.sqrt(missed) / math.sqrt(widest)


def compare_modes(
    own: Mapping[str, int],
    others: Mapping[str, Mapping[str, int]],
    questions: Mapping[str, Question],
) -> dict[str, float]:
    """Return the alignment score of each of `others` with `own`, over the questions both have.

    Answers are indices of options by question key; who has no question in common is left out.
    """
    scores = {}
    for name, answers in others.items():
        if shared := [key for key in own if key in answers]:
            scores[name] = alignment_score(
                [answers[key] for key in shared],
                [own[key] for key in shared],
                [len(questions[key].options) for key in shared],
            )
    return scores


class CultureSimilarity:
    """Similarity between the cultures of a library, computed when first asked for, then kept.

    Answers are compared within one pack only, since question sets differ between packs: the pack
    in which the culture answered most questions, the first of equal ones.
    """

    def __init__(self, library: SurveyLibrary) -> None:
        self._library = library
        self._scores_of = lru_cache(maxsize=None)(self._compute_scores)

    def scores(self, culture: str) -> dict[str, float]:
        """Return the similarity to every other culture of the pack, by code; 100 is most alike.

        A culture that was asked none of the same questions is left out.

        Raises:
            CultureNotCovered: no loaded pack surveyed `culture`.
        """
        self._library.cover(culture)
        return dict(self._scores_of(culture))

    def contrast(self, culture: str, n: int = N_COMPARED) -> CultureContrast:
        """Return the `n` cultures most like `culture` and the `n` least like it.

        If the pack has fewer than 2n other cultures, half of them each, so that none is in both.
        Equal scores are in the order of codes.

        Raises:
            CultureNotCovered: no loaded pack surveyed `culture`.
            ComparisonUnavailable: fewer than two other cultures can be compared with it.
        """
        scores = self.scores(culture)
        n = min(n, len(scores) // 2)
        if n < 1:
            raise ComparisonUnavailable(
                f"Found {len(scores)} other cultures to compare {culture} with, expected 2 or "
                "more. Load a pack that surveyed more cultures, or use a method that compares none."
            )
        most = sorted(scores, key=lambda code: (-scores[code], code))
        least = sorted(scores, key=lambda code: (scores[code], code))
        return CultureContrast(tuple(most[:n]), tuple(least[:n]))

    @cached_property
    def _modes(self) -> dict[str, dict[str, dict[str, int]]]:
        """What most people answered: by pack, culture and question."""
        modes: dict[str, dict[str, dict[str, int]]] = {}
        for pack in self._library.packs:
            cultures = modes.setdefault(pack.manifest.id, {})
            for cell in pack.distributions:
                cultures.setdefault(cell.culture, {})[cell.question] = cell.mode
        return modes

    def _compute_scores(self, culture: str) -> dict[str, float]:
        packs = [cultures for cultures in self._modes.values() if culture in cultures]
        modes = max(packs, key=lambda cultures: len(cultures[culture]))
        scores = compare_modes(modes[culture], modes, self._library.questions)
        return {code: 100.0 * scores[code] for code in sorted(scores) if code != culture}
