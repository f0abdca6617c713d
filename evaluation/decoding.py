"""How an answer is sampled and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prompting.reading import MIN_LABEL_MASS


class ReadBy(StrEnum):
    """What is read: log-probabilities of the labels, or text by one of two parsers."""

    LOGPROBS = "logprobs"
    TEXT = "text"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class AnswerDecoding:
    """How an answer in text is sampled; irrelevant to log-probabilities.

    The papers sampled with temperature 0.6, top_p 0.9 and 256 new tokens.
    """

    read_by: ReadBy = ReadBy.LOGPROBS
    temperature: float = 0.6
    top_p: float = 0.9
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How answers are read.

    Attributes:
        read_by: the parser of answers in text.
        min_label_mass: with less on all labels, a reading of log-probabilities is void.
    """

    read_by: ReadBy = ReadBy.LOGPROBS
    min_label_mass: float = MIN_LABEL_MASS


DEFAULT_RULES = ReadingRules()
