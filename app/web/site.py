"""Puts the page into the service."""

from __future__ import annotations

from fastapi import FastAPI

from app.web import ask, assets, key, reference
from app.web.assets import read_assets
from app.web.pages import KeyRing, Pages


def install(app: FastAPI, keys: KeyRing) -> Pages:
    """Let `app` serve the page; returns what writes it."""
    pages = Pages(read_assets(), keys)
    app.state.pages = pages
    for module in (ask, key, reference, assets):
        app.include_router(module.router)
    return pages
