"""Files to take along: tables as CSV, pictures as SVG."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Response

Row = Sequence[str | int | float | None]
# What a spreadsheet takes for the beginning of a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def send_csv(rows: Iterable[Row], name: str) -> Response:
    """Return a table as a file; texts that a spreadsheet would calculate are kept from it."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows(
        [_defuse(each) for each in row] for row in rows
    )
    body = file.getvalue().encode("utf-8", "replace")
    return Response(body, media_type="text/csv; charset=utf-8", headers=_name(f"{name}.csv"))


def send_svg(picture: str, name: str) -> Response:
    """Return a picture as a file. In a browser it loads nothing and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    headers = _name(f"{name}.svg") | {"Content-Security-Policy": policy}
    body = picture.encode("utf-8", "replace")
    return Response(body, media_type="image/svg+xml", headers=headers)


def _name(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}


def _defuse(value: str | int | float | None) -> str | int | float | None:
    is_formula = isinstance(value, str) and value.startswith(FORMULAS)
    return f"'{value}" if is_formula else value
