"""Survey questions found by a text in any language: by what it means, and by its words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from retrieval.evidence import EvidenceFinder
from retrieval.question_words import WordMatcher
from survey_data.library import SurveyLibrary
from survey_data.model import Question


@dataclass(frozen=True, slots=True)
class FoundQuestion:
    """A survey question that a search found.

    Attributes:
        similarity: cosine, in [-1, 1], between it and the searched text, the larger the nearer;
            None where it was found by its words alone. Those of English texts and of others are
            not on one scale.
        has_words: whether it has every word of the text, in some language.
    """

    question: Question
    similarity: float | None
    has_words: bool


class QuestionSearch:
    """Searches the questions of a library. Safe to share between threads."""

    def __init__(self, library: SurveyLibrary, finder: EvidenceFinder) -> None:
        """Take the questions, and what tells how near a text is to them."""
        self._library, self._finder = library, finder

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return tuple(self._library.questions.values())

    @cached_property
    def _matcher(self) -> WordMatcher:
        return WordMatcher(self._library)

    def prepare(self) -> None:
        """Make what is made when first used, in some 50 ms."""
        self._matcher  # noqa: B018  # a property that is kept

    def match_words(self, text: str) -> list[FoundQuestion]:
        """Return the questions that have every word of `text`, best first, in a millisecond."""
        rows = self._matcher.match(text)
        return [FoundQuestion(self._questions[row], None, True) for row in rows]

    def search(self, text: str) -> list[FoundQuestion]:
        """Return the questions that mean something like `text` or have its words. Blocks.

        First the one that `text` asks, where that is certain; then those that have every word of
        it; then those at or above the similarity from which answers are steered. Within each the
        most similar come first.

        Raises:
            RetrievalError: the encoder of other languages or its vectors cannot be had.
        """
        nearness = self._finder.measure(text)
        similarities = nearness.similarities.tolist()
        row_of = {question.key: row for row, question in enumerate(self._questions)}
        for candidate in nearness.candidates:
            row = row_of[candidate.question.key]
            similarities[row] = max(similarities[row], candidate.similarity)
        same = nearness.candidates[0].question.key if nearness.is_certain else None
        worded = set(self._matcher.match(text))
        ranked = sorted(
            (question.key != same, row not in worded, -similarities[row], row)
            for row, question in enumerate(self._questions)
            if row in worded or question.key == same or similarities[row] >= nearness.floor
        )
        return [
            FoundQuestion(self._questions[row], similarities[row], row in worded)
            for *_, row in ranked
        ]
