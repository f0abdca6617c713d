"""The names of the selectors."""

from __future__ import annotations

from enum import StrEnum


class SelectorName(StrEnum):
    """How exemplars are chosen."""

    DENSE = "dense"
    CHRF = "chrf"
    TOPIC = "topic"
    RANDOM = "random"
