"""Conditions that choose some respondents of a survey: ``Q260 == 2``, ``Q262 >= 50``.

The grammar is `COLUMN OP VALUE` with `==`, `!=`, `<`, `<=`, `>`, `>=` and a number or a text, or
`COLUMN in [VALUE, …]`. Texts may be quoted, and have to be unless they are a single word. All
conditions of a subset must hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survey_data.errors import ConditionInvalid

_CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(==|!=|<=|>=|<|>|in\b)\s*(.*?)\s*", re.ASCII)
_VALUE = re.compile(r"""\s*(?:[-+]?\d+(?:\.\d+)?|'[^']*'|"[^"]*"|[A-Za-z][\w-]*)\s*""", re.ASCII)
_VALUES = re.compile(f"{_VALUE.pattern}(?:,{_VALUE.pattern})*", re.ASCII)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EXPECTED = 'expected COLUMN OP VALUE, such as "Q260 == 2" or "Q275 in [6, 7, 8]"'


@dataclass(frozen=True, slots=True)
class RowCondition:
    """One condition on a column; `values` are one value, or those of `in`."""

    column: str
    op: str
    values: tuple[float, ...] | tuple[str, ...]

    @property
    def numeric(self) -> bool:
        """Whether the column is compared with numbers."""
        return isinstance(self.values[0], float)

    def __str__(self) -> str:
        values = ", ".join(_show(value) for value in self.values)
        return f"{self.column} {self.op} " + (f"[{values}]" if self.op == "in" else values)

    def mask(self, numbers: NDArray[np.float64], texts: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Return for each person whether the condition holds.

        Args:
            numbers: float64[n], the column as numbers, NaN for what is not a number.
            texts: object[n], the column as text without surrounding blanks.

        A missing value, that is a negative number or a blank, never matches.
        """
        present: NDArray[np.bool_] = ~(numbers < 0)
        if self.numeric:
            cells: NDArray[Any] = numbers
            present &= np.isfinite(numbers)
        else:
            cells = texts
            present &= texts != ""
        if self.op == "in":
            matched = np.isin(cells, np.array(self.values, dtype=cells.dtype))
        else:
            matched = _COMPARE[self.op](cells, self.values[0])
        return present & matched


def read_condition(text: str) -> RowCondition:
    """Return the condition that `text` says.

    Raises:
        ConditionInvalid: it does not fit the grammar, asks for a missing (negative) value, or
            compares a text by size.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConditionInvalid(f"found the condition '{text}', {EXPECTED}")
    column, op, right = found.groups()
    if op == "in":
        if not (right.startswith("[") and right.endswith("]")):
            raise ConditionInvalid(f"'{text}': found '{right}' after in, expected [VALUE, …]")
        values = _read_values(right[1:-1], text)
    else:
        values = _read_values(right, text)
        if len(values) != 1:
            raise ConditionInvalid(f"'{text}': found {len(values)} values, {EXPECTED}")
    numbers = [value for value in values if isinstance(value, float)]
    if any(value < 0 for value in numbers):
        raise ConditionInvalid(
            f"'{text}': negative codes are missing values, which never match; compare with a "
            "number from 0"
        )
    if len(numbers) == len(values):
        return RowCondition(column, op, tuple(numbers))
    if numbers:
        raise ConditionInvalid(f"'{text}': found numbers and texts, expected one of the two")
    if op not in ("==", "!=", "in"):
        raise ConditionInvalid(f"'{text}': texts have no size; {op} needs a number")
    return RowCondition(column, op, tuple(str(value) for value in values))


def describe_population(conditions: Iterable[RowCondition]) -> str:
    """Return how a manifest describes the people for whom all `conditions` hold.

    Empty without conditions, which means everyone.
    """
    return " and ".join(str(condition) for condition in conditions)


def make_id_part(conditions: Iterable[RowCondition]) -> str:
    """Return `conditions` in the letters of a pack id: ``q260-eq-2-and-q262-ge-50``."""
    text = describe_population(conditions)
    for op, compare in _COMPARE.items():
        text = text.replace(f" {op} ", f" {compare.__name__} ")
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _read_values(right: str, text: str) -> list[float | str]:
    if not _VALUES.fullmatch(right):
        raise ConditionInvalid(f"'{text}': found '{right}' for a value, {EXPECTED}")
    values: list[float | str] = []
    for value in map(str.strip, _VALUE.findall(right)):
        is_quoted, is_word = value[0] in "'\"", value[0].isalpha()
        values.append(value[1:-1] if is_quoted else value if is_word else float(value))
    return values


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return f"'{value}'" if "'" not in value else f'"{value}"'
    return str(int(value)) if value.is_integer() else repr(value)
