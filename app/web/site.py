"""Puts the page into the service."""

from __future__ import annotations

from fastapi import FastAPI

from app.web import (
    ask,
    assets,
    back_room,
    chat,
    compare,
    key,
    peoples,
    questions,
    reference,
    world_map,
)
from app.web.assets import read_assets
from app.web.pages import KeyRing, Pages


def install(app: FastAPI, keys: KeyRing) -> Pages:
    """Let `app` serve the page; returns what writes it."""
    pages = Pages(read_assets(), keys)
    app.state.pages = pages
    views = (ask, compare, world_map, peoples, questions, chat, back_room)
    for module in (*views, key, reference, assets):
        app.routes.extend(module.router.routes)
    return pages
