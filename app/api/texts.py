"""Texts of questions and options as a reader sees them, however they were typed or copied."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from survey_data.wording import drop_invisible

# They join or part letters in some scripts; two options that differ in them alone look the same.
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))


def clean_text(text: str) -> str:
    """Return `text` with each character in its one form and without invisible ones.

    Raises:
        ValueError: nothing is left.
    """
    cleaned = drop_invisible(text).strip()
    if not cleaned:
        raise ValueError("must not be blank")
    return cleaned


def clean_line(text: str) -> str:
    """Return `text` as `clean_text` does, on one line, with single ordinary spaces.

    Raises:
        ValueError: nothing is left.
    """
    return " ".join(clean_text(text).split())


def find_twin(options: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two options that a reader takes for the same, None if all differ."""
    seen: dict[str, str] = {}
    for option in options:
        folded = unicodedata.normalize("NFKC", option.translate(_JOINERS)).casefold()
        if folded in seen:
            return seen[folded], option
        seen[folded] = option
    return None
