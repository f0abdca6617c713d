"""The frame of a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.report.markup import Markup, tag
from experiments.report.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def framed(title: str, top: Markup, parts: Iterable[tuple[str, Markup | None]]) -> str:
    """Return the page: `top`, and a section per part under its heading; None leaves one out."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    sections = (
        tag("section", tag("h2", heading, id=f"part-{at}"), body, aria_labelledby=f"part-{at}")
        for at, (heading, body) in enumerate(parts, 1)
        if body
    )
    body = tag("body", top, tag("main", *sections))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
