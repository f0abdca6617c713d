"""`/key`: takes a key into a session, and ends it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.api.middleware import find_role
from app.api.sessions import COOKIE, is_own_request, read_token
from app.keys import hash_key
from app.web.pages import Pages, PagesDep

router = APIRouter(include_in_schema=False)
FOREIGN = "This form was not sent from the page itself. Enter the key here."
WRONG = (
    "This is none of the service's keys. Look for spaces at its ends, and for its first letters."
)
MISSING = "Enter a key."


@router.get("/key")
async def show_form(request: Request, pages: PagesDep, next_path: str = "/") -> Response:
    """Ask for a key."""
    return _show(request, pages, wanted=next_path)


@router.post("/key")
async def enter_key(request: Request, pages: PagesDep) -> Response:
    """Open a session for a key that is known, and go to where one was needed."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    key, wanted = fields.get("key", [""])[0].strip(), fields.get("next_path", ["/"])[0]
    if not is_own_request(request.method, request.headers):
        return _show(request, pages, wanted=wanted, fault=FOREIGN, status=403)
    ring = pages.keys
    role = find_role([key], keys=ring.keys, admin_keys=ring.admin_keys) if key else None
    if role is None:
        return _show(request, pages, wanted=wanted, fault=WRONG if key else MISSING, status=401)
    ring.sessions.close(read_token(request.headers))
    response = RedirectResponse(own_path(wanted), status_code=303)
    is_secure = request.url.scheme == "https"
    token = ring.sessions.open(role, hash_key(key))
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure, path="/")
    return response


@router.post("/key/forget")
async def forget_key(request: Request, pages: PagesDep) -> Response:
    """End the session."""
    if not is_own_request(request.method, request.headers):
        return _show(request, pages, fault=FOREIGN, status=403)
    pages.keys.sessions.close(read_token(request.headers))
    response = RedirectResponse("/key", status_code=303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def own_path(wanted: str) -> str:
    r"""Return `wanted` where it is a path of this service, else `/`.

    `//host` and `/\host` are addresses of others to a browser, and so is one with a line break.
    """
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_path and wanted.isprintable() else "/"


def _show(
    request: Request, pages: Pages, *, wanted: str = "/", fault: str = "", status: int = 200
) -> Response:
    needs = bool(pages.keys.keys)
    values: dict[str, Any] = {"next_path": own_path(wanted), "fault": fault, "needs_keys": needs}
    return pages.render(request, "key.html", status=status, **values)
