"""Read and write `shares.csv`: one row per question, culture and option."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from survey_data.delimited import read_delimited_rows, read_layout
from survey_data.errors import PackInvalid
from survey_data.model import Question, ResponseDistribution
from survey_data.numbers import read_number

# Shares are published rounded to four digits at best, so a cell of twenty options may miss 1.
SHARE_SUM_TOLERANCE = 0.005
_COLUMNS = ("question", "culture", "option", "share", "n_respondents", "non_response")
# Only if some cell knows it, so that files without it keep their bytes and their hash.
_EFFECTIVE = "n_effective"

_Rows = Sequence[tuple[int, Mapping[str, str]]]


def write_distributions(path: Path, distributions: Sequence[ResponseDistribution]) -> None:
    """Write `distributions` in their order; `n_effective` is a column only if a cell has one."""
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


def read_distributions(
    path: Path, *, pack: str, questions: Mapping[str, Question]
) -> Iterator[ResponseDistribution]:
    """Yield the distributions of `path`; `questions` are those of `pack` by their key.

    Raises:
        PackInvalid: a value breaks the format; file, row and column are named.
    """
    layout = read_layout(path)
    if layout.columns not in (_COLUMNS, (*_COLUMNS, _EFFECTIVE)):
        found, expected = list(layout.columns), f"{list(_COLUMNS)} and perhaps '{_EFFECTIVE}'"
        raise PackInvalid(f"found header {found}, expected {expected}", file=path, row=1)
    done: set[tuple[str, str]] = set()
    rows = read_delimited_rows(path, layout)
    for _, of_cell in groupby(rows, key=lambda row: (row[1]["question"], row[1]["culture"])):
        cell = _read_cell(list(of_cell), path=path, pack=pack, questions=questions, done=done)
        done.add((cell.question, cell.culture))
        yield cell
    if not done:
        raise PackInvalid("no share in the file", file=path)


def _read_cell(
    rows: _Rows,
    *,
    path: Path,
    pack: str,
    questions: Mapping[str, Question],
    done: set[tuple[str, str]],
) -> ResponseDistribution:
    """Return one (question, culture) cell from its consecutive rows, one per option."""
    first_row, values = rows[0]
    name, culture = values["question"], values["culture"]
    key = f"{pack}:{name}"
    fault = partial(PackInvalid, file=path, row=first_row)
    if key not in questions:
        raise fault(f"'{name}' is not in questions.jsonl", column="question")
    if not re.fullmatch("[A-Z]{3}", culture):
        raise fault(f"'{culture}' is no ISO 3166-1 alpha-3 code", column="culture")
    if (key, culture) in done:
        raise fault(f"the cell {name}, {culture} stands twice")

    def number(column: str, high: float) -> float | None:
        text = values.get(column)
        return (
            read_number(text, high=high, file=path, row=first_row, column=column) if text else None
        )

    shares = _read_shares(rows, n_options=len(questions[key].options), path=path)
    n_respondents = number("n_respondents", 1e9)
    return ResponseDistribution(
        question=key,
        culture=culture,
        shares=shares,
        n_respondents=None if n_respondents is None else int(n_respondents),
        non_response=number("non_response", 1.0),
        n_effective=number(_EFFECTIVE, 1e9),
    )


def _read_shares(rows: _Rows, *, n_options: int, path: Path) -> tuple[float, ...]:
    """Return the shares of a cell, one per option in order, together 1."""
    first_row, values = rows[0]
    indexes = [row["option"] for _, row in rows]
    if indexes != [str(index) for index in range(n_options)]:
        message = f"options {indexes}, expected 0 to {n_options - 1} in order"
        raise PackInvalid(message, file=path, row=first_row, column="option")
    shares = [
        read_number(row["share"], high=1.0, file=path, row=number, column="share")
        for number, row in rows
    ]
    total = sum(shares)
    if abs(total - 1.0) > SHARE_SUM_TOLERANCE:
        where = f"{values['question']}, {values['culture']}"
        message = f"the shares of {where} sum to {total:.4f}, expected 1"
        raise PackInvalid(message, file=path, row=first_row, column="share")
    return tuple(share / total for share in shares)
