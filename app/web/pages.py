"""From a template and what it shows to a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.api.schemas.sources import ShareInterval
from app.api.sessions import Role, Sessions, read_token
from app.logs import request_id
from app.web.assets import Assets
from app.web.policy import PAGE_POLICY

Values = Mapping[str, "str | int | Sequence[str] | None"]


class View(NamedTuple):
    """A view as the navigation lists it."""

    path: str
    name: str
    what: str


VIEWS = (
    View("/", "Ask", "One question, as the people of several countries answer it"),
    View("/compare", "Compare", "One question, all peoples side by side"),
    View("/map", "Map", "The share of one answer, country by country"),
    View("/peoples", "Peoples", "How near peoples are to each other"),
    View("/questions", "Questions", "All that was asked, to browse and search"),
    View("/chat", "Chat", "One message to the model, plain and as a people"),
)
BACK_ROOM = (
    View("/experiments", "Experiments", "What runs, and what came of it"),
    View("/adapters", "Adapters", "Which weights answer for whom"),
    View("/docs", "API", "Every route, to try"),
)


@dataclass(frozen=True)
class KeyRing:
    """The keys that open the service, and the sessions that they were entered in."""

    keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    sessions: Sessions = field(default_factory=Sessions)

    def find_role(self, request: Request) -> Role | None:
        """Return what the browser's session may do, None without one."""
        token = read_token(request.headers)
        return self.sessions.find(token) if token else None


class Pages:
    """Writes pages by the templates beside this module."""

    def __init__(self, assets: Assets, keys: KeyRing) -> None:
        """Take the files that pages refer to, and the keys that they may ask for."""
        self.keys = keys
        self._environment = Environment(
            loader=PackageLoader("app.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"asset": assets.url, "href": href, "VIEWS": VIEWS}
        self._environment.globals |= {"BACK_ROOM": BACK_ROOM}
        self._environment.filters |= {"percent": percent, "number": number, "sentence": sentence}
        self._environment.filters["between"] = between

    def write(self, template: str, **values: Any) -> str:
        """Return what a template makes of `values`."""
        return self._environment.get_template(template).render(values)

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        policy: str = PAGE_POLICY,
        **values: Any,
    ) -> HTMLResponse:
        """Return the page that a template makes of `values`, for the path of `request`."""
        role = self.keys.find_role(request)
        common = {"path": request.url.path, "here": path_with_query(request), "role": role}
        html = self.write(template, **common, **values)
        # Half a surrogate pair, which an address can hold, cannot be sent.
        body = html.encode("utf-8", "replace").decode()
        sent = {"Content-Security-Policy": policy, "Cache-Control": "private, no-cache"}
        return HTMLResponse(body, status_code=status, headers=sent | dict(headers or {}))

    def render_problem(
        self, request: Request, status: int, title: str, detail: str
    ) -> HTMLResponse:
        """Return the page of a problem that the page itself found."""
        problem = {"status": status, "title": title, "detail": detail}
        values: dict[str, Any] = {
            "problem": problem,
            "request_id": request_id.get(),
            "needs_key": False,
        }
        return self.render(request, "problem.html", status=status, **values)


async def _get_pages(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


PagesDep = Annotated[Pages, Depends(_get_pages)]


def href(path: str, **values: str | int | Sequence[str] | None) -> str:
    """Return an address below this service; what is empty is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        key = name.rstrip("_")
        if isinstance(value, str | int):
            pairs.append((key, str(value)))
        elif value is not None:
            pairs += [(key, each) for each in value]
    query = urlencode([(key, value) for key, value in pairs if value], errors="replace")
    return f"{path}?{query}" if query else path


def path_with_query(request: Request) -> str:
    """Return the address of a request without its host."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def percent(share: float) -> str:
    """Return a share as people read it: `36%`, and `<1%` for what is there but hardly."""
    if 0.0 < share < 0.005:
        return "<1%"
    return f"{share * 100:.0f}%"


def between(interval: ShareInterval) -> str:
    """Return an interval of shares as people read it: `33\u201338%`."""
    low, high = percent(interval.low), percent(interval.high)
    return low if low == high else f"{low.removesuffix('%')}\u2013{high}"


def number(value: float) -> str:
    """Return a count with separators."""
    return f"{value:,.0f}"


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends as a sentence does."""
    text = text.strip()
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
