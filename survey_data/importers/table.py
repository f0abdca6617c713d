"""Any survey of your own: a file of questions and a long table of shares or counts.

Both files may be CSV, SPSS or Stata; in the latter a value counts by its label, if it has one.

QUESTIONS is a table or JSON lines with `id`, `topic`, `text`, `options` (a JSON list; in CSV also
texts separated by ``|``) and `scale`; `language`, `source_item` and `first_number` may follow.

SHARES is a table with `question`, `culture` (code, name or language tag), `option` and either
`share` or `count`; one row per option, in any order. An option is named by its text or, if no
option has that text, by the number that it is shown under. Shares of a cell sum to 1 or to 100, or
each is followed by a sign for percent. An option without a row has none. `n_respondents` and
`non_response` may follow, equal in all rows of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import ConfigDict

from files.json_text import load_json
from survey_data.cultures import CultureCatalogue
from survey_data.delimited import require_columns
from survey_data.errors import CultureUnknown, PackInvalid
from survey_data.importers.option_order import describe_near_misses
from survey_data.importers.populations import Populations
from survey_data.importers.report import ImportedPack, ImportReport, QuestionDropped
from survey_data.json_lines import read_json_lines
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution
from survey_data.numbers import (
    Cell,
    describe_sign,
    find_decimal_sign,
    read_number,
)
from survey_data.questions_file import QuestionLine, parse_questions
from survey_data.tables import open_table
from survey_data.wording import tidy

QUESTION_COLUMNS = ("id", "topic", "text", "options", "scale")
SHARE_COLUMNS = ("question", "culture", "option")
_ABOUT_CELL = ("n_respondents", "non_response")
# What may be in percent.
_SHARES = ("share", "non_response")
# Whole percents of a few options may miss 100 by this much together.
SUM_TOLERANCE = 0.02


class _StrippedLine(QuestionLine):
    """A question whose texts may have blanks around them."""

    model_config = ConfigDict(str_strip_whitespace=True)


@dataclass
class _Cell:
    """The rows of one question in one culture."""

    row: int
    amounts: dict[int, float] = field(default_factory=dict)
    n_respondents: str = ""
    non_response: str = ""


def import_survey(
    questions: Path,
    shares: Path,
    catalogue: CultureCatalogue,
    *,
    manifest: PackManifest,
    encoding: str | None = None,
) -> ImportedPack:
    """Return the pack of the two files under `manifest`, not written yet.

    `encoding` is that of both files, if it is not to be found by their first bytes.

    Raises:
        PackInvalid: a value does not fit; file, row and column are named.
    """
    rows = _read_question_rows(questions, encoding)
    checked = parse_questions(rows, file=questions, pack=manifest.id, form=_StrippedLine)
    asked = {question.id: question for question in checked}
    table = _Table(shares, asked, catalogue, encoding=encoding)
    cells = table.read_cells()
    place = {question: index for index, question in enumerate(asked)}
    distributions = [
        table.make_distribution(asked[question], culture, cells[question, culture])
        for question, culture in sorted(cells, key=lambda key: (place[key[0]], key[1]))
    ]
    report = _report(table, asked, distributions)
    without = {dropped.question for dropped in report.questions_dropped}
    kept = tuple(question for question in asked.values() if question.id not in without)
    return ImportedPack(Pack(manifest, kept, tuple(distributions)), report)


def _report(
    table: _Table, asked: dict[str, Question], distributions: list[ResponseDistribution]
) -> ImportReport:
    answered = {cell.question for cell in distributions}
    near_misses = describe_near_misses(o for q in asked.values() for o in q.options)
    return ImportReport(
        n_rows_read=table.n_rows,
        n_rows_used=table.n_rows - table.n_refused,
        n_rows_left_out=table.n_refused,
        n_cells_written=len(distributions),
        questions_dropped=tuple(
            QuestionDropped(q.id, f"no row in {table.path.name}")
            for q in asked.values()
            if q.key not in answered
        ),
        populations_refused=table.populations.refused("rows"),
        notes=(
            f"Read as {table.source}, {describe_sign(table.decimal)}",
            *filter(None, [near_misses]),
        ),
    )


class _Table:
    def __init__(
        self,
        path: Path,
        questions: dict[str, Question],
        catalogue: CultureCatalogue,
        *,
        encoding: str | None,
    ) -> None:
        self.path, self.questions = path, questions
        self.populations = Populations(catalogue)
        self.n_rows = self.n_refused = 0
        self.source = open_table(path, encoding=encoding)
        columns = self.source.columns
        require_columns(SHARE_COLUMNS, columns, file=path)
        given = [name for name in ("share", "count") if name in columns]
        if len(given) != 1:
            found = ", ".join(given) or "neither share nor count"
            message = f"found columns {found}, expected one of share and count"
            raise PackInvalid(message, file=path, row=1, column="share")
        self.amount = given[0]
        self.rows = list(self.source.rows())
        numeric = [name for name in (self.amount, *_ABOUT_CELL) if name in columns]
        self.decimal = find_decimal_sign(
            (
                Cell(row, name, _drop_percent(values[name]))
                for row, values in self.rows
                for name in numeric
            ),
            file=path,
            separator=self.source.separator,
        )

    def read_cells(self) -> dict[tuple[str, str], _Cell]:
        """Return the cells by question and culture."""
        cells: dict[tuple[str, str], _Cell] = {}
        for row, values in self.rows:
            self.n_rows += 1
            question = self.questions.get(values["question"].strip())
            if question is None:
                message = f"'{values['question']}' is none of the questions"
                raise self._fault(row, "question", message)
            culture = self._culture(row, values["culture"])
            if culture is None:
                continue
            cell = cells.setdefault((question.id, culture), _Cell(row))
            option = self._option(row, values["option"], question)
            if option in cell.amounts:
                message = f"'{values['option']}' of {question.id}, {culture} stands twice"
                raise self._fault(row, "option", message)
            cell.amounts[option] = self._number(values[self.amount], row=row, column=self.amount)
            for column in _ABOUT_CELL:
                said = values.get(column, "").strip()
                if cell.row != row and said != getattr(cell, column):
                    raise self._fault(row, column, "differs from the cell's first row")
                setattr(cell, column, said)
        if not self.n_rows:
            raise PackInvalid("found no row below the header", file=self.path, row=1)
        if not cells:
            names = ", ".join(refused.name for refused in self.populations.refused("rows"))
            message = f"none of {self.n_rows} rows is of a culture of the catalogue ({names})"
            raise PackInvalid(message, file=self.path, column="culture")
        return cells

    def _culture(self, row: int, name: str) -> str | None:
        """Return the code of the culture; None for a place that is none, which is counted."""
        try:
            culture = self.populations.require(name.strip())
        except CultureUnknown as exc:
            raise self._fault(row, "culture", str(exc)) from exc
        if culture is None:
            self.populations.refuse(name.strip())
            self.n_refused += 1
        return culture

    def make_distribution(
        self, question: Question, culture: str, cell: _Cell
    ) -> ResponseDistribution:
        """Return the shares of one cell, together 1."""
        amounts = [cell.amounts.get(index, 0.0) for index in range(len(question.options))]
        total = sum(amounts)
        where = f"{question.id}, {culture}"
        if self.amount == "count":
            if total <= 0.0:
                raise self._fault(cell.row, "count", f"the counts of {where} sum to 0")
        elif min(abs(total - 1.0), abs(total / 100.0 - 1.0)) > SUM_TOLERANCE:
            message = f"the shares of {where} sum to {total:g}, expected 1 or 100"
            raise self._fault(cell.row, "share", message)
        number = partial(self._number, row=cell.row)
        n = missing = None
        if cell.n_respondents:
            n = int(number(cell.n_respondents, column="n_respondents"))
        elif self.amount == "count" and not cell.non_response:
            n = round(total)
        if cell.non_response:
            missing = number(cell.non_response, column="non_response", high=1.0)
        return ResponseDistribution(
            question=question.key,
            culture=culture,
            shares=tuple(amount / total for amount in amounts),
            n_respondents=n,
            non_response=missing,
        )

    def _number(self, text: str, *, row: int, column: str, high: float = math.inf) -> float:
        plain = _drop_percent(text) if column in _SHARES else text
        is_percent = plain != text
        number = read_number(
            plain,
            file=self.path,
            row=row,
            column=column,
            high=high * 100.0 if is_percent else high,
            decimal=self.decimal,
        )
        return number / 100.0 if is_percent else number

    def _option(self, row: int, text: str, question: Question) -> int:
        text = tidy(text)
        if text in question.options:
            return question.options.index(text)
        same = [i for i, o in enumerate(question.options) if o.casefold() == text.casefold()]
        if len(same) == 1:
            return same[0]
        if text.isdecimal() and int(text) in question.numbers:
            return int(text) - question.first_number
        first, *_, last = question.numbers
        expected = f"{first} to {last} or one of {', '.join(question.options)}"
        message = f"'{text[:60]}' is no option of {question.id}; expected {expected}"
        raise self._fault(row, "option", message)

    def _fault(self, row: int, column: str, message: str) -> PackInvalid:
        return PackInvalid(message, file=self.path, row=row, column=column)


def _drop_percent(text: str) -> str:
    """Return a number without the sign for percent after it, and any other text as it is."""
    stripped = text.strip()
    return stripped[:-1].rstrip() if stripped.endswith("%") else text


def _read_question_rows(
    path: Path, encoding: str | None
) -> Iterator[tuple[int, dict[str, object]]]:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        yield from read_json_lines(path)
        return
    table = open_table(path, encoding=encoding)
    require_columns(QUESTION_COLUMNS, table.columns, file=path)
    for row, values in table.rows():
        given: dict[str, object] = {name: text for name, text in values.items() if text.strip()}
        text = values["options"].strip()
        given["options"] = text.split("|")
        if text.startswith("["):
            try:
                given["options"] = load_json(text)
            except ValueError as exc:
                message = f"starts as a JSON list but is none: {exc}"
                raise PackInvalid(message, file=path, row=row, column="options") from exc
        yield row, given
