"""An exemplar: a survey question with the answer of a culture, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass

from survey_data.model import Question, ResponseDistribution


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One question that a culture answered, and how near it is to the asked question.

    `similarity` is the selector's score of the question, higher is nearer: the cosine in [-1, 1]
    for `dense`, chrF++ in [0, 100] for `chrf`, and None for selectors that do not rank.
    """

    question: Question
    distribution: ResponseDistribution
    similarity: float | None = None
