"""What tests of the page share: asking as a browser does, and reading what comes."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx

from app.web.policy import PAGE_POLICY

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
# The page's own requests, as browsers mark them.
OWN = BROWSER | {"Sec-Fetch-Site": "same-origin"}
_INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", re.I)
_TAG = re.compile(r"<[^>]+>")


def open_page(client: httpx.Client, path: str, *, status: int = 200, **fields: Any) -> str:
    """Return a page, which has the headers and the form of every page."""
    reply = client.get(path, params=fields or None, headers=BROWSER)
    assert reply.status_code == status, reply.text[:2000]
    check_page(reply)
    return reply.text


def check_page(reply: httpx.Response) -> None:
    """Check what holds of every page."""
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == PAGE_POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert not _INLINE.search(reply.text), _INLINE.search(reply.text)
    assert len(re.findall(r"<h1[ >]", reply.text)) == 1
    assert '<main id="main"' in reply.text
    assert not re.search(r"(?:href|src|action)=\"(?:https?:)?//", reply.text)


def read_text(page: str) -> str:
    """Return the words of a page, without its tags."""
    return " ".join(unescape(_TAG.sub(" ", page)).split())
