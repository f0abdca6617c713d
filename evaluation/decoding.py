"""How an answer is read, and how text is sampled for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReadBy(StrEnum):
    """How an answer is had: log-probabilities of the labels, or text in one of two parsers."""

    LOGPROBS = "logprobs"
    TEXT = "text"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class AnswerDecoding:
    """How an answer in text is sampled; of no account for log-probabilities.

    The papers sampled with temperature 0.6, top_p 0.9 and 256 new tokens.
    """

    read_by: ReadBy = ReadBy.LOGPROBS
    temperature: float = 0.6
    top_p: float = 0.9
    max_tokens: int = 256
