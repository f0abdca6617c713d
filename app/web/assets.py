"""What pages are made of besides their text: style, scripts, the map. Served from memory."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request, Response

MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
# A changed file changes the address, so that nobody has to ask again for what is there.
FOREVER = "public, max-age=31536000, immutable"
N_DIGITS = 12

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    name: str
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type, by the ending of the name."""
        return MEDIA_TYPES[self.name.rpartition(".")[2]]

    @cached_property
    def compressed(self) -> bytes:
        """The file in gzip; the same bytes each time."""
        return gzip.compress(self.body, 9, mtime=0)


class Assets:
    """All files below `app/web/static` that browsers are given."""

    def __init__(self, root: Traversable) -> None:
        """Read all of `root`."""
        self.by_name = {name: Asset(name, file.read_bytes()) for name, file in _walk(root, "")}
        digest = hashlib.sha256()
        for name, asset in sorted(self.by_name.items()):
            digest.update(f"{name}\0{len(asset.body)}\0".encode())
            digest.update(asset.body)
        # Of all together, as modules import each other by relative addresses.
        self.digest = digest.hexdigest()[:N_DIGITS]

    def url(self, name: str) -> str:
        """Return the address of a file; KeyError where there is none of that name."""
        return f"/static/{self.digest}/{self.by_name[name].name}"


@cache
def read_assets() -> Assets:
    """Return the files that come with Milieu, read once."""
    return Assets(files("app.web").joinpath("static"))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif entry.name.rpartition(".")[2] in MEDIA_TYPES:
            found.append((name, entry))
    return found


@router.api_route("/static/{digest}/{name:path}", methods=["GET", "HEAD"])
async def send_asset(digest: str, name: str, request: Request) -> Response:
    """Send a file of the page."""
    assets = read_assets()
    asset = assets.by_name.get(name)
    if asset is None or digest != assets.digest:
        raise HTTPException(404, "no such file of the page; load the page again")
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, media_type=asset.media_type, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
