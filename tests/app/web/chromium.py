"""A real browser that watches itself: what goes wrong on a page, and what leaves the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, Response, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SCREENS = Path(__file__).parents[3] / "build" / "screens"
WIDE, NARROW = (1200, 1400), (360, 1400)
# Beside a sandbox of their own containers often have none for browsers; and no name is looked up.
OPTIONS = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
SERIOUS = ("serious", "critical")
# The rest of a long list is like its first eight; looking at each takes seconds.
REPEATED = ["tbody tr:nth-child(n+9)", "#map path", ".peoples g:nth-of-type(n+9)",
            "section.route:nth-of-type(n+9)", ".questions li:nth-child(n+9)"]  # fmt: skip


class BrowserMissing(Exception):
    """No Chromium is installed."""

    def __init__(self) -> None:
        super().__init__(
            f"needs a Chromium: {', '.join(PROGRAMS)} is not on the path; Debian's package is "
            "`chromium`"
        )


class Watched(NamedTuple):
    """A page, the complaints of its console, and the addresses that it asked for."""

    page: Page
    complaints: list[str]
    addresses: list[str]

    def check(self, base_url: str, *, expected: tuple[str, ...] = ()) -> None:
        """Check that nothing went wrong but what is `expected`, and nothing was asked elsewhere."""
        unexpected = [each for each in self.complaints if not any(e in each for e in expected)]
        assert unexpected == []
        elsewhere = [each for each in self.addresses if not each.startswith((base_url, "blob:"))]
        assert elsewhere == []


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser.

    Raises:
        BrowserMissing: there is none.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise BrowserMissing
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watch(browser: Browser, base_url: str, **options: Any) -> Iterator[Watched]:
    """Open a page in a context of its own."""
    width, height = options.pop("size", WIDE)
    context = browser.new_context(
        base_url=base_url, viewport={"width": width, "height": height}, **options
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    watched = Watched(page, [], [])
    page.on("console", lambda said: _note(watched, said.type, said.text))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda request: watched.addresses.append(request.url))
    try:
        yield watched
    finally:
        context.close()


def show(page: Page, path: str, *, status: int = 200) -> Response:
    """Open a path, and wait until all that it names is there."""
    response = page.goto(path)
    assert response is not None
    assert response.status == status
    return response


def take(page: Page, name: str) -> None:
    """Keep a picture of the upper part of the page."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png")


def find_barriers(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe-core finds that keeps people out: each rule with the first place.

    Without `rules` it looks for all that it knows.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_read_axe())
    wanted = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    result = page.evaluate("([of, wanted]) => axe.run(of, wanted)", [{"exclude": REPEATED}, wanted])
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:150]} {each['nodes'][0]['failureSummary'][:200]}"
        for each in result["violations"]
        if each["impact"] in SERIOUS
    ]


@cache
def _read_axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _note(watched: Watched, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        watched.complaints.append(text)
