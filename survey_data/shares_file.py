"""Read and write `shares.csv`: one row per question, culture and option."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from survey_data.errors import PackInvalid
from survey_data.model import Question, ResponseDistribution

# Shares are published rounded to four digits at best, so a cell of twenty options may miss 1.
SHARE_SUM_TOLERANCE = 0.005
_COLUMNS = ("question", "culture", "option", "share", "n_respondents", "non_response")
# Only where a cell knows it, so that files without it keep their bytes and their hash.
_EFFECTIVE = "n_effective"


def write_shares(path: Path, distributions: Sequence[ResponseDistribution]) -> None:
    """Write `distributions` in their order; `n_effective` is a column only where a cell has one."""
    has_effective = any(cell.n_effective is not None for cell in distributions)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_COLUMNS, _EFFECTIVE) if has_effective else _COLUMNS)
        for cell in distributions:
            question = cell.question.rpartition(":")[2]
            n = "" if cell.n_respondents is None else cell.n_respondents
            missing = "" if cell.non_response is None else f"{cell.non_response:.6f}"
            rest: tuple[object, ...] = (n, missing)
            if has_effective:
                rest += ("" if cell.n_effective is None else f"{cell.n_effective:.2f}",)
            for index, share in enumerate(cell.shares):
                writer.writerow((question, cell.culture, index, f"{share:.6f}", *rest))


def read_shares(
    path: Path, *, pack: str, questions: dict[str, Question]
) -> Iterator[ResponseDistribution]:
    """Yield the distributions of `path`; `questions` are those of `pack` by their key.

    Raises:
        PackInvalid: a value breaks the format; file, row and column are named.
    """
    cell: list[tuple[int, list[str]]] = []
    done: set[tuple[str, str]] = set()
    for row, values in _share_rows(path):
        if cell and cell[0][1][:2] != values[:2]:
            yield _cell(cell, path=path, pack=pack, questions=questions, done=done)
            cell = []
        cell.append((row, values))
    if not cell:
        raise PackInvalid("no share in the file", file=path)
    yield _cell(cell, path=path, pack=pack, questions=questions, done=done)


def _share_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row of `shares.csv` with its number; the header is row 1 and checked."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            n_columns = len(header or ())
            if tuple(header or ()) not in (_COLUMNS, (*_COLUMNS, _EFFECTIVE)):
                raise PackInvalid(
                    f"found header {header}, expected {list(_COLUMNS)} and perhaps '{_EFFECTIVE}'",
                    file=path,
                    row=1,
                )
            for row, values in enumerate(reader, start=2):
                if len(values) != n_columns:
                    raise PackInvalid(
                        f"{len(values)} values, expected {n_columns}", file=path, row=row
                    )
                yield row, values
    except (UnicodeDecodeError, csv.Error) as exc:
        raise PackInvalid(f"not UTF-8 or no CSV: {exc}", file=path) from exc


def _cell(
    rows: list[tuple[int, list[str]]],
    *,
    path: Path,
    pack: str,
    questions: dict[str, Question],
    done: set[tuple[str, str]],
) -> ResponseDistribution:
    """Return one (question, culture) cell from its consecutive rows, one per option."""
    first_row, (question_id, culture, _, _, n_text, missing_text, *effective) = rows[0]
    key = f"{pack}:{question_id}"
    fault = partial(PackInvalid, file=path, row=first_row)
    if key not in questions:
        raise fault(f"'{question_id}' is not in questions.jsonl", column="question")
    if not re.fullmatch("[A-Z]{3}", culture):
        raise fault(f"'{culture}' is no ISO 3166-1 alpha-3 code", column="culture")
    if (key, culture) in done:
        raise fault(f"the cell {question_id}, {culture} stands twice")
    done.add((key, culture))
    shares = _shares(rows, n_options=len(questions[key].options), path=path)
    number = partial(_optional, path=path, row=first_row)
    n_respondents = number(n_text, high=1e9, column="n_respondents")
    return ResponseDistribution(
        question=key,
        culture=culture,
        shares=shares,
        n_respondents=None if n_respondents is None else int(n_respondents),
        non_response=number(missing_text, high=1.0, column="non_response"),
        n_effective=number("".join(effective), high=1e9, column=_EFFECTIVE),
    )


def _shares(rows: list[tuple[int, list[str]]], *, n_options: int, path: Path) -> tuple[float, ...]:
    """Return the shares of a cell, one per option in order, together 1."""
    first_row, (question_id, culture, *_) = rows[0]
    indexes = [row[1][2] for row in rows]
    if indexes != [str(index) for index in range(n_options)]:
        message = f"options {indexes}, expected 0 to {n_options - 1} in order"
        raise PackInvalid(message, file=path, row=first_row, column="option")
    shares = [
        _number(values[3], high=1.0, path=path, row=row, column="share") for row, values in rows
    ]
    total = sum(shares)
    if abs(total - 1.0) > SHARE_SUM_TOLERANCE:
        message = f"the shares of {question_id}, {culture} sum to {total:.4f}, expected 1"
        raise PackInvalid(message, file=path, row=first_row, column="share")
    return tuple(share / total for share in shares)


def _optional(text: str, *, high: float, path: Path, row: int, column: str) -> float | None:
    return _number(text, high=high, path=path, row=row, column=column) if text else None


def _number(text: str, *, high: float, path: Path, row: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError as exc:
        raise PackInvalid(f"'{text}' is no number", file=path, row=row, column=column) from exc
    if not math.isfinite(value) or not 0.0 <= value <= high:
        raise PackInvalid(f"{text} is not in [0, {high:g}]", file=path, row=row, column=column)
    return value
