"""The two forms in which GlobalOpinionQA is published, read as one."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from survey_data.delimited import read_delimited_rows, read_layout, require_columns
from survey_data.errors import PackInvalid
from survey_data.json_lines import read_json_lines
from survey_data.wording import tidy

_NUMPY_FLOATS = ("np.float64", "np.float32", "numpy.float64", "numpy.float32")
COLUMNS = ("question", "selections", "options", "source")
_DEFAULTDICT = re.compile(r"defaultdict\(<class '\w+'>,\s*(\{.*\})\)", re.DOTALL)


class Released(NamedTuple):
    """One question as released; `row` is its line or row in the file."""

    row: int
    id: str
    survey: str
    text: str
    options: list[str]
    nonresponse: frozenset[int]
    shares: dict[str, list[float]]


class Unusable(Exception):
    """One value of a question cannot be used: which, why, and the `row` it stands in."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.row = 0
        self.column = column


def read_release(file: Path, *, encoding: str | None = None) -> Iterator[Released | Unusable]:
    """Yield each question of `file`, or why it cannot be used.

    A file whose first character is ``{`` is read as JSON lines, any other as the published CSV,
    whose `encoding` may be named.

    Raises:
        PackInvalid: the file is missing, empty, not UTF-8 or lacks a column.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(1024)
    except OSError as exc:
        raise PackInvalid(f"cannot be read: {exc.strerror}", file=file) from exc
    is_json = start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    rows = read_json_lines(file) if is_json else _csv_rows(file, encoding)
    for row, values in rows:
        try:
            yield _from_json(row, values) if is_json else _from_csv(row, values)
        except Unusable as fault:
            fault.row = row
            yield fault


def _csv_rows(file: Path, encoding: str | None) -> Iterator[tuple[int, dict[str, object]]]:
    layout = read_layout(file, encoding=encoding)
    require_columns(COLUMNS[:3], layout.columns, file=file)
    for row, values in read_delimited_rows(file, layout):
        yield row, dict(values)


def _from_json(row: int, values: dict[str, object]) -> Released:
    nonresponse = values.get("nonresponse", [])
    options = _options(values.get("options"))
    indexes = range(len(options))
    if not isinstance(nonresponse, list) or not all(i in indexes for i in nonresponse):
        raise Unusable("nonresponse", f"{nonresponse!r} are no indexes of the options"[:200])
    name = values.get("id")
    return Released(
        row=row,
        id=name if isinstance(name, str) and name else f"G{row - 1:04d}",
        survey=str(values.get("survey", "")).strip(),
        text=_text(values.get("question")),
        options=options,
        nonresponse=frozenset(nonresponse),
        shares=_shares(values.get("shares"), column="shares"),
    )


def _from_csv(row: int, values: dict[str, object]) -> Released:
    selections = str(values["selections"]).strip()
    wrapped = _DEFAULTDICT.fullmatch(selections)
    shares = _literal(wrapped[1] if wrapped else selections, column="selections")
    return Released(
        row=row,
        id=f"G{row - 2:04d}",
        survey=str(values.get("source", "")).strip(),
        text=_text(values["question"]),
        options=_options(_literal(str(values["options"]), column="options")),
        nonresponse=frozenset(),
        shares=_shares(shares, column="selections"),
    )


class _Plain(ast.NodeTransformer):
    """Makes literals of what numpy and pandas print for numbers: ``nan``, ``np.float64(0.5)``."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Return a missing number for its name."""
        return ast.Constant(math.nan) if node.id == "nan" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Return the number of a numpy scalar."""
        plain = self.generic_visit(node)
        is_numpy = ast.unparse(node.func) in _NUMPY_FLOATS and len(node.args) == 1
        return node.args[0] if is_numpy and not node.keywords else plain


def _literal(text: str, *, column: str) -> object:
    try:
        return ast.literal_eval(_Plain().visit(ast.parse(text.strip(), mode="eval")))
    except (ValueError, SyntaxError, MemoryError, RecursionError) as exc:
        raise Unusable(column, f"no Python literal: {text[:60]!r}") from exc


def _text(value: object) -> str:
    return tidy(str(value or ""))


def _options(value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        raise Unusable("options", f"expected a list, found {str(value)[:60]!r}")
    if any(option is None or option != option for option in value):
        raise Unusable("options", "an option is missing")
    # Numbers passed through a table of floats on the way into the release.
    return [re.sub(r"^(\d+)\.0$", r"\1", _text(str(option))) for option in value]


def _shares(value: object, *, column: str) -> dict[str, list[float]]:
    if not isinstance(value, dict):
        raise Unusable(column, f"expected countries with shares, found {str(value)[:60]!r}")
    shares = {}
    for name, numbers in value.items():
        if not isinstance(numbers, list | tuple) or not all(
            isinstance(n, int | float) for n in numbers
        ):
            raise Unusable(column, f"{str(name)[:60]}: expected a list of numbers")
        shares[str(name)] = [float(n) for n in numbers]
    return shares
