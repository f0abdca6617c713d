"""Numbers of a delimited file, all of them with one decimal sign."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from survey_data.errors import PackInvalid

DecimalSign = Literal[".", ","]
_SIGNED = re.compile(r"[-+]?\d*(?P<sign>[.,])\d*(?:[eE][-+]?\d+)?")
# Thousands with a mark, or a number with three decimals.
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")
_SEVERAL_SIGNS = re.compile(r"[-+]?\d+[.,'\s\u00a0\u202f]\d+(?:[.,'\s\u00a0\u202f]\d+)+")


class Cell(NamedTuple):
    """A value of a file and where it stands."""

    row: int
    column: str
    text: str


def find_decimal_sign(
    cells: Iterable[Cell], *, file: Path, separator: str, stop_early: bool = False
) -> DecimalSign:
    """Return the decimal sign of all numbers among `cells`; what is no number is passed over.

    ``1,234`` may be either of two numbers. With semicolons between the values a comma is a
    decimal sign; otherwise another number of the file has to decide.

    Args:
        cells: of one file.
        file: named in errors.
        separator: between the file's values.
        stop_early: whether the first number that decides is enough; others are not looked at then.

    Raises:
        PackInvalid: two numbers have different signs, one has marks between its thousands, or
            nothing decides.
    """
    clear: dict[str, Cell] = {}
    unclear: dict[str, Cell] = {}
    for cell in cells:
        text = cell.text.strip()
        if _SEVERAL_SIGNS.fullmatch(text):
            message = f"'{text}' has marks between its thousands; write the number without them"
            raise PackInvalid(message, file=file, row=cell.row, column=cell.column)
        if not (number := _SIGNED.fullmatch(text)):
            continue
        kind = unclear if _GROUPED.fullmatch(text) else clear
        kind.setdefault(number["sign"], cell)
        if stop_early and clear:
            break
    found = sorted({*clear.values(), *unclear.values()})
    signs = {_sign(cell) for cell in found}
    if len(signs) == 2:
        other = next(cell for cell in found if _sign(cell) != _sign(found[0]))
        raise _explain_two(found[0], other, file)
    if not clear and found and ("," in signs) != (separator == ";"):
        raise _explain_unclear(found[0], file)
    return "," if "," in signs else "."


def _sign(cell: Cell) -> str:
    return "," if "," in cell.text else "."


def _explain_two(first: Cell, other: Cell, file: Path) -> PackInvalid:
    message = (
        f"'{other.text.strip()}', but row {first.row} has '{first.text.strip()}'; "
        "expected one decimal sign, and no marks between thousands"
    )
    return PackInvalid(message, file=file, row=other.row, column=other.column)


def _explain_unclear(cell: Cell, file: Path) -> PackInvalid:
    text, sign = cell.text.strip(), _sign(cell)
    numbers = f"{text.replace(sign, '')} or {text.replace(sign, '.')}"
    message = (
        f"'{text}' may be {numbers}, and no other number tells which; write numbers without marks "
        "between thousands, and at least one as 1.0"
    )
    return PackInvalid(message, file=file, row=cell.row, column=cell.column)


def describe_sign(sign: DecimalSign) -> str:
    """Return how a report names `sign`."""
    return "decimal commas" if sign == "," else "decimal points"


def read_number(
    text: str,
    *,
    file: Path,
    row: int,
    column: str,
    high: float = math.inf,
    decimal: DecimalSign = ".",
) -> float:
    """Return the number from 0 to `high` that `text` says.

    Raises:
        PackInvalid: it says none.
    """
    # The other sign makes a text that is no number.
    plain = text.translate({ord("."): "?", ord(","): "."}) if decimal == "," else text
    try:
        value = float(plain)
    except ValueError as exc:
        raise PackInvalid(f"'{text}' is no number", file=file, row=row, column=column) from exc
    if not math.isfinite(value) or not 0.0 <= value <= high:
        limits = f"not in [0, {high:g}]" if high < math.inf else "negative or not finite"
        raise PackInvalid(f"{text} is {limits}", file=file, row=row, column=column)
    return value
