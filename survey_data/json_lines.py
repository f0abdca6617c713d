"""JSON lines: one object per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from files.json_text import load_json
from survey_data.errors import PackInvalid


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield each object of `path` with its line number, from 1; blank lines are skipped.

    Raises:
        PackInvalid: the file is missing, or a line is no JSON object; the line is named.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise PackInvalid(f"cannot be read: {exc.strerror}", file=path) from exc
    for row, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            values = load_json(line.decode())
        except UnicodeDecodeError as exc:
            raise PackInvalid(f"not UTF-8: {exc.reason}", file=path, row=row) from exc
        except ValueError as exc:
            raise PackInvalid(f"no JSON: {exc}", file=path, row=row) from exc
        if not isinstance(values, dict):
            raise PackInvalid("no JSON object", file=path, row=row)
        yield row, values
