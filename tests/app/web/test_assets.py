"""What browsers are given besides pages: complete, small, unchanged, and kept by them."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest

from app.web.assets import read_assets
from app.web.vendored import FOLDER, STATIC, Vendored, hash_file, read_vendored

MAX_COMPRESSED_BYTES = 250_000
# Counted apart: only who opens `/docs` loads them.
DOCS = "docs/"


def test_all_that_the_page_is_made_of_is_small() -> None:
    assets = read_assets().by_name
    total = sum(len(a.compressed) for name, a in assets.items() if not name.startswith(DOCS))

    assert total <= MAX_COMPRESSED_BYTES


@pytest.mark.parametrize("each", read_vendored(), ids=lambda each: each.file)
def test_what_comes_from_elsewhere_is_as_recorded(each: Vendored) -> None:
    assert hash_file(STATIC / each.file) == each.sha256
    assert (FOLDER / each.licence_file).stat().st_size > 100


def test_every_file_from_elsewhere_is_recorded() -> None:
    found = {name for name in read_assets().by_name if name.startswith(("vendor/", DOCS))}

    assert found == {each.file for each in read_vendored()}


def test_a_browser_keeps_them_and_gets_them_compressed(client: httpx.Client) -> None:
    reply = client.get(read_assets().url("milieu.css"), headers={"Accept-Encoding": "gzip"})

    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["content-type"].startswith("text/css")
    assert reply.content == (STATIC / "milieu.css").read_bytes()


def test_without_gzip_they_are_sent_as_they_are(client: httpx.Client) -> None:
    reply = client.get(read_assets().url("page.js"), headers={"Accept-Encoding": "identity"})

    assert "content-encoding" not in reply.headers
    assert reply.content == (STATIC / "page.js").read_bytes()


def test_the_same_file_is_compressed_to_the_same_bytes() -> None:
    asset = read_assets().by_name["page.js"]

    assert gzip.compress(asset.body, 9, mtime=0) == asset.compressed


@pytest.mark.parametrize(
    "path",
    [
        "/static/000000000000/milieu.css",
        "/static/DIGEST/nothing.css",
        "/static/DIGEST/%2e%2e/pages.py",
        "/static/DIGEST/",
    ],
)
def test_what_is_no_file_of_the_page_is_not_found(client: httpx.Client, path: str) -> None:
    reply = client.get(path.replace("DIGEST", read_assets().digest))

    assert reply.status_code == 404


def test_a_script_names_no_other_host_and_a_style_loads_nothing() -> None:
    for name, asset in read_assets().by_name.items():
        if name.startswith(("vendor/", DOCS)):
            continue
        text = asset.body.decode()
        addresses = set(re.findall(r"https?://[^\s\"')]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
        assert "@import" not in text
