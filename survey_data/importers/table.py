"""Any survey of one's own: a file of questions and a long table of shares or counts.

QUESTIONS is CSV or JSON lines with `id`, `topic`, `text`, `options` (a JSON list; in CSV also
texts separated by ``|``) and `scale`; `language`, `source_item` and `first_number` may follow.

SHARES is CSV with `question`, `culture` (code, name or language tag), `option` and either `share`
or `count`; one row per option, in any order. An option is named by its text or, where it is no
option's text, by the number that it is shown under. Shares of a cell sum to 1 or to 100. An option
without a row has none. `n_respondents` and `non_response` may follow, equal in all rows of a cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureUnknown, PackInvalid
from survey_data.importers.delimited import missing_column, read_delimited_rows, read_layout
from survey_data.importers.json_lines import read_json_lines
from survey_data.importers.report import ImportedPack, ImportReport, QuestionDropped
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution, Scale
from survey_data.packs import MAX_OPTIONS, MIN_OPTIONS

QUESTION_COLUMNS = ("id", "topic", "text", "options", "scale")
SHARE_COLUMNS = ("question", "culture", "option")
# Whole percents of a few options may miss 100 by this much together.
SUM_TOLERANCE = 0.02


class _QuestionRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    topic: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=2000)
    options: tuple[str, ...] = Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)
    scale: Scale
    language: str = "en"
    source_item: str = ""
    first_number: int = Field(default=1, ge=0, le=1)


@dataclass
class _Cell:
    """The rows of one question in one culture."""

    row: int
    amounts: dict[int, float] = field(default_factory=dict)
    n_respondents: str = ""
    non_response: str = ""


def import_survey(
    questions: Path, shares: Path, catalogue: CultureCatalogue, *, manifest: PackManifest
) -> ImportedPack:
    """Return the pack of the two files under `manifest`, not written yet.

    Raises:
        PackInvalid: a value does not fit; file, row and column are named.
    """
    asked = {q.id: q for q in _questions(questions, pack_id=manifest.id)}
    table = _Table(shares, asked, catalogue)
    cells, n_rows = table.cells()
    place = {question: index for index, question in enumerate(asked)}
    distributions = [
        table.distribution(asked[question], culture, cells[question, culture])
        for question, culture in sorted(cells, key=lambda key: (place[key[0]], key[1]))
    ]
    answered = {cell.question for cell in distributions}
    report = ImportReport(
        n_rows_read=n_rows,
        n_rows_used=n_rows,
        n_cells_written=len(distributions),
        questions_dropped=tuple(
            QuestionDropped(q.id, f"no row in {shares.name}")
            for q in asked.values()
            if q.key not in answered
        ),
    )
    kept = tuple(question for question in asked.values() if question.key in answered)
    return ImportedPack(Pack(manifest, kept, tuple(distributions)), report)


class _Table:
    """The table of shares."""

    def __init__(
        self, path: Path, questions: dict[str, Question], catalogue: CultureCatalogue
    ) -> None:
        self.path, self.questions, self.catalogue = path, questions, catalogue
        self.layout = read_layout(path)
        for column in SHARE_COLUMNS:
            if column not in self.layout.columns:
                raise missing_column(column, self.layout.columns, file=path)
        given = [name for name in ("share", "count") if name in self.layout.columns]
        if len(given) != 1:
            raise PackInvalid(
                f"found columns {', '.join(given) or 'neither share nor count'}, expected one of "
                "share and count",
                file=path,
                row=1,
                column="share",
            )
        self.amount = given[0]

    def cells(self) -> tuple[dict[tuple[str, str], _Cell], int]:
        """Return the cells by question and culture, and the number of rows."""
        cells: dict[tuple[str, str], _Cell] = {}
        n_rows = 0
        for row, values in read_delimited_rows(self.path, self.layout):
            n_rows += 1
            question = self.questions.get(values["question"].strip())
            if question is None:
                found = values["question"]
                raise self._fault(row, "question", f"'{found}' is none of the questions")
            culture = self._culture(row, values["culture"])
            cell = cells.setdefault((question.id, culture), _Cell(row))
            option = self._option(row, values["option"], question)
            if option in cell.amounts:
                raise self._fault(
                    row, "option", f"'{values['option']}' of {question.id}, {culture} stands twice"
                )
            cell.amounts[option] = self._number(row, self.amount, values[self.amount])
            for column in ("n_respondents", "non_response"):
                said = values.get(column, "").strip()
                if cell.row != row and said != getattr(cell, column):
                    raise self._fault(row, column, "differs from the cell's first row")
                setattr(cell, column, said)
        if not n_rows:
            raise PackInvalid("found no row below the header", file=self.path, row=1)
        return cells, n_rows

    def distribution(self, question: Question, culture: str, cell: _Cell) -> ResponseDistribution:
        """Return the shares of one cell, together 1."""
        amounts = [cell.amounts.get(index, 0.0) for index in range(len(question.options))]
        total = sum(amounts)
        where = f"{question.id}, {culture}"
        if self.amount == "count":
            if total <= 0.0:
                raise self._fault(cell.row, "count", f"the counts of {where} sum to 0")
        elif min(abs(total - 1.0), abs(total / 100.0 - 1.0)) > SUM_TOLERANCE:
            raise self._fault(
                cell.row, "share", f"the shares of {where} sum to {total:g}, expected 1 or 100"
            )
        n = None
        if cell.n_respondents:
            n = int(self._number(cell.row, "n_respondents", cell.n_respondents))
        elif self.amount == "count" and not cell.non_response:
            n = round(total)
        missing = None
        if cell.non_response:
            missing = self._number(cell.row, "non_response", cell.non_response)
            if missing > 1.0:
                raise self._fault(cell.row, "non_response", f"{missing:g} is not in [0, 1]")
        return ResponseDistribution(
            question=question.key,
            culture=culture,
            shares=tuple(amount / total for amount in amounts),
            n_respondents=n,
            non_response=missing,
        )

    def _culture(self, row: int, text: str) -> str:
        try:
            return self.catalogue.resolve(text).code
        except CultureUnknown as exc:
            raise self._fault(row, "culture", str(exc)) from exc

    def _option(self, row: int, text: str, question: Question) -> int:
        text = text.strip()
        if text in question.options:
            return question.options.index(text)
        if text.isdecimal() and int(text) in question.numbers:
            return int(text) - question.first_number
        numbers = question.numbers
        raise self._fault(
            row,
            "option",
            f"'{text[:60]}' is no option of {question.id}; expected {numbers[0]} to {numbers[-1]} "
            f"or one of {', '.join(question.options)}",
        )

    def _number(self, row: int, column: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError as exc:
            raise self._fault(row, column, f"'{text}' is no number") from exc
        if not math.isfinite(value) or value < 0.0:
            raise self._fault(row, column, f"{text} is negative or not finite")
        return value

    def _fault(self, row: int, column: str, message: str) -> PackInvalid:
        return PackInvalid(message, file=self.path, row=row, column=column)


def _questions(path: Path, *, pack_id: str) -> Iterator[Question]:
    seen: set[str] = set()
    for row, values in _question_rows(path):
        try:
            question = _QuestionRow.model_validate(values)
        except ValidationError as exc:
            fault = exc.errors(include_url=False, include_context=False)[0]
            column = ".".join(str(part) for part in fault["loc"])
            raise PackInvalid(fault["msg"], file=path, row=row, column=column) from exc
        options = question.options
        if len(set(options)) != len(options) or not all(options):
            raise PackInvalid(
                "options must differ and none may be blank", file=path, row=row, column="options"
            )
        if question.scale is Scale.BINARY and len(options) != 2:
            message = f"binary with {len(options)} options"
            raise PackInvalid(message, file=path, row=row, column="scale")
        if question.id in seen:
            raise PackInvalid(f"'{question.id}' stands twice", file=path, row=row, column="id")
        seen.add(question.id)
        yield Question(key=f"{pack_id}:{question.id}", **question.model_dump(exclude={"id"}))
    if not seen:
        raise PackInvalid("found no question", file=path)


def _question_rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        yield from read_json_lines(path)
        return
    layout = read_layout(path)
    for column in QUESTION_COLUMNS:
        if column not in layout.columns:
            raise missing_column(column, layout.columns, file=path)
    for row, values in read_delimited_rows(path, layout):
        given: dict[str, object] = {name: text for name, text in values.items() if text.strip()}
        text = values["options"].strip()
        given["options"] = text.split("|")
        if text.startswith("["):
            try:
                given["options"] = json.loads(text)
            except ValueError as exc:
                message = f"starts as a JSON list but is none: {exc}"
                raise PackInvalid(message, file=path, row=row, column="options") from exc
        yield row, given
