"""Wordings compared as a reader does."""

from __future__ import annotations


def fold_text(text: str) -> str:
    """Return `text` without what no reader minds: case, and how blanks are set."""
    return " ".join(text.casefold().split())
