"""Wordings compared as a reader does."""

from __future__ import annotations

import unicodedata


def fold_text(text: str) -> str:
    """Return `text` without what no reader minds: case, and how blanks are set."""
    return " ".join(text.casefold().split())


# Characters of no width that join or split nothing; joiners of Persian and Indic scripts stay.
_NO_WIDTH = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))


def drop_invisible(text: str) -> str:
    """Return `text` with composed letters (NFC), without characters that have no width."""
    return unicodedata.normalize("NFC", text).translate(_NO_WIDTH)


def tidy(text: str) -> str:
    """Return `text` on one line, as everybody else writes what looks so.

    Single spaces stand for blanks and line breaks of any kind, and none around it; what is
    invisible is dropped.
    """
    return " ".join(drop_invisible(text).split())
