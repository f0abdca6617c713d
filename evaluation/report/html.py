"""A report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from evaluation.report.document import Document
from evaluation.report.drawing import inline

_INTERVAL = re.compile(r"(\S+) (\[.+\])")
_WITH_VALUE = re.compile(r"([(\u2212\d.]+ \[[^\[\]<>]{1,40}\])")


def to_html(document: Document) -> str:
    """Return the page. All text is escaped; plots stand in it as SVG."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["prose"] = _prose
    environment.filters["picture"] = _picture
    template = files("evaluation.report").joinpath("template.html.jinja").read_text("utf-8")
    return environment.from_string(template).render(document=document)


def _cell(text: str) -> Markup:
    """Return a table cell's content; an interval may move below its value, but does not break."""
    found = _INTERVAL.fullmatch(text)
    if found is None:
        return escape(text)
    return Markup('{} <span class="interval">{}</span>').format(*found.groups())


def _prose(text: str) -> Markup:
    """Return a text whose intervals do not break over lines."""
    parts = _WITH_VALUE.split(text)
    kept = Markup('<span class="whole">{}</span>')
    return Markup("").join(kept.format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def _picture(svg: str) -> Markup:
    # Made by matplotlib, which escapes what it writes; the page's own text never goes through.
    return Markup(inline(svg))  # noqa: S704
