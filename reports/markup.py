"""HTML and SVG as values that are safe by construction: text is escaped as it goes in."""

from __future__ import annotations

import unicodedata
from typing import TypeAlias

_VOID = ("meta", "line", "rect", "circle", "path", "polygon", "polyline")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})


class Markup(str):
    """Text that is already markup; made only by `tag` and `concat`."""

    __slots__ = ()


Piece: TypeAlias = "Markup | str | None"


def tag(name: str, /, *pieces: Piece, **attributes: str | float | None) -> Markup:
    """Return an element. Pieces that are not `Markup` are escaped; None pieces are left out.

    `class_` is the attribute `class`, `for_x` is `for-x`; an attribute of None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{concat(*pieces)}</{name}>")


def concat(*pieces: Piece) -> Markup:
    """Return the pieces one after another, escaped unless they are markup."""
    return Markup("".join(escape(piece) for piece in pieces if piece is not None))


def escape(text: str) -> Markup:
    """Return text as markup that shows it; markup as it is."""
    if isinstance(text, Markup):
        return text
    return Markup(strip_controls(text).translate(_ESCAPES))


def strip_controls(text: str) -> str:
    """Return text without control characters and halves of surrogate pairs."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
