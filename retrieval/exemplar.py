"""An exemplar: a survey question with the answer of a culture, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from survey_data.cultures import Culture
from survey_data.model import Question, ResponseDistribution


class Elsewhere(NamedTuple):
    """Another culture than the one that is spoken for, and how much its answers tell of that one.

    The weights of all other cultures sum to about 1.
    """

    culture: Culture
    weight: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One question that a culture answered, and how near it is to the asked question.

    `similarity` is the selector's score of the question, higher is nearer: the cosine in [-1, 1]
    for `dense`, chrF++ in [0, 100] for `chrf`, and None for selectors that do not rank. With
    `elsewhere` it is the asked question itself, as another culture answered it.
    """

    question: Question
    distribution: ResponseDistribution
    similarity: float | None = None
    elsewhere: Elsewhere | None = None
