"""Rows of CSV (RFC 4180) that a spreadsheet shows as they are and never computes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

CSV = "text/csv"
# Excel and its like take a text that begins so for a formula. Source: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv_row(cells: Iterable[object]) -> str:
    """Return `cells` as one row, with its line break.

    None is an empty cell, a truth `true` or `false`, a number as it is. A text that a spreadsheet
    would take for a formula is put behind an apostrophe.
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_write(cell) for cell in cells])
    return line.getvalue()


def _write(cell: object) -> object:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
    return cell
