"""HTML and SVG as values that are safe by construction: all text is escaped when it goes in."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TypeAlias

_VOID = ("meta", "line", "rect", "circle", "path", "polygon", "polyline")


class Markup(str):
    """Text that is markup already; made by `tag` and `together` only."""

    __slots__ = ()


Part: TypeAlias = "Markup | str | None"


def tag(name: str, /, *parts: Part, **attributes: str | float | None) -> Markup:
    """Return an element. Parts that are no `Markup` are escaped; None parts are left out.

    `class_` is the attribute `class`, `for_x` is `for-x`; an attribute of None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{together(*parts)}</{name}>")


def together(*parts: Part) -> Markup:
    """Return the parts one after another, escaped where they are no markup."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else escape(legible(part))
            for part in parts
            if part is not None
        )
    )


def legible(text: str) -> str:
    """Return text without control characters and halves of surrogate pairs."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def _text(value: str | float) -> str:
    return legible(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
