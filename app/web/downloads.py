"""Files to take along: tables as CSV, pictures as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import Response

from reports.csv_rows import write_csv_row

Row = Sequence[str | int | float | None]


def send_csv(rows: Iterable[Row], name: str) -> Response:
    """Return a table as a file."""
    body = "".join(map(write_csv_row, rows)).encode("utf-8", "replace")
    return Response(body, media_type="text/csv; charset=utf-8", headers=_name(f"{name}.csv"))


def send_svg(picture: str, name: str) -> Response:
    """Return a picture as a file. In a browser it loads nothing and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    headers = _name(f"{name}.svg") | {"Content-Security-Policy": policy}
    body = picture.encode("utf-8", "replace")
    return Response(body, media_type="image/svg+xml", headers=headers)


def _name(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}
