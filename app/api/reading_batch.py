"""Reads a batch, as JSON or as CSV, into the requests that `/answer` would make of its parts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.answering.batches import BatchItem
from app.answering.requests import AnswerRequest
from app.api.answer import read_request
from app.api.schemas.answer import AnswerBody
from app.api.schemas.batch import BatchBody
from app.api.strict import parse_json
from app.request_errors import BatchTooLarge, ContentTypeUnsupported, CsvInvalid, RowInvalid
from app.settings import AnswerSettings, BatchSettings
from files.json_text import load_json
from reports.csv_rows import CSV
from survey_data.delimited import TableText, find_encoding, read_layout, read_records
from survey_data.errors import PackInvalid

JSON = "application/json"
FORMS = f"{JSON} or {CSV}"
# Of a body of `/answer`: a batch streams its results, not their texts.
FIRST = ("question", "culture", "options")
COLUMNS = (*FIRST, *sorted(AnswerBody.model_fields.keys() - {*FIRST, "stream"}))
BETWEEN_OPTIONS = "|"
Row = Mapping[str, Any] | Exception


@dataclass(frozen=True, slots=True)
class Ask:
    """One of the answers that a batch asks for, by its places and as a body of `/answer`.

    The body is an exception where its row cannot be read.
    """

    index: int
    row: int
    recipe: int
    culture: str | None
    body: Row


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch whose rows are read one by one; the fields are those of a `BatchBody`."""

    rows: Sequence[Row]
    cultures: tuple[str, ...]
    recipes: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        """Return how many answers it asks for."""
        return sum(len(self._cultures_of(row)) for row in self.rows) * len(self.recipes)

    def asks(self) -> Iterator[Ask]:
        """Yield them in the order of questions, then cultures, then recipes."""
        index = 0
        for place, row in enumerate(self.rows):
            for culture in self._cultures_of(row):
                for number, recipe in enumerate(self.recipes):
                    named = {} if culture is None else {"culture": culture}
                    body = row if isinstance(row, Exception) else {**row, **recipe, **named}
                    yield Ask(index, place, number, culture, body)
                    index += 1

    def items(self, defaults: AnswerSettings) -> Iterator[BatchItem]:
        """Yield what the pipeline is asked for them, in the same order."""
        for ask in self.asks():
            request = _read_body(ask.body, defaults)
            yield BatchItem(ask.index, ask.row, ask.recipe, ask.culture, request)

    def _cultures_of(self, row: Row) -> tuple[str | None, ...]:
        own = None if isinstance(row, Exception) else row.get("culture")
        if own is not None:
            return (own if isinstance(own, str) else None,)
        return self.cultures or (None,)


def read_batch(
    body: bytes,
    content_type: str,
    *,
    cultures: Sequence[str],
    methods: Sequence[str],
    limits: BatchSettings,
) -> Batch:
    """Return the batch in a body; `cultures` and `methods` are those of the query.

    Raises:
        ContentTypeUnsupported: it is neither JSON nor CSV.
        ValidationError: it is no JSON, or no batch.
        CsvInvalid: it is no table of questions.
        BatchTooLarge: it asks for more than `limits` allow.
    """
    match content_type.partition(";")[0].strip().lower():
        case "application/json":
            rows, given = _read_json(body)
        case "text/csv":
            rows, given = _read_csv(body, limits), BatchBody(questions=[])
        case found:
            raise ContentTypeUnsupported(found or "none", FORMS)
    _check_limit("rows", len(rows), limits.max_rows, "MAX_ROWS")
    recipes = [recipe.model_dump(exclude_unset=True) for recipe in given.recipes]
    recipes += [{"method": method} for method in methods]
    batch = Batch(rows, (*given.cultures, *cultures), tuple(recipes) or ({},))
    _check_limit("answers", len(batch), limits.max_answers, "MAX_ANSWERS")
    return batch


def _check_limit(things: str, found: int, limit: int, setting: str) -> None:
    if found > limit:
        name = f"MILIEU_BATCH__{setting}"
        raise BatchTooLarge(things, found=found, limit=limit, setting=name)


def _read_json(body: bytes) -> tuple[list[Row], BatchBody]:
    # What is no JSON is refused below.
    with suppress(ValueError, RecursionError):
        parse_json(body)
    given = BatchBody.model_validate_json(body)
    # Nothing has looked at them yet.
    questions: Any = given.questions
    if not isinstance(questions, list) or not questions:
        kind = PydanticCustomError("questions", "Input should be a list of at least one question")
        fault: InitErrorDetails = {"type": kind, "loc": ("questions",), "input": questions}
        raise ValidationError.from_exception_data("batch", [fault])
    return [_take_row(each) for each in questions], given


def _take_row(found: object) -> Row:
    if isinstance(found, str):
        return {"question": found}
    # What is no object is told so when it is read.
    return found if isinstance(found, dict) else _refuse(found)


def _refuse(found: object) -> Exception:
    try:
        AnswerBody.model_validate(found)
    except ValidationError as exc:
        return exc
    raise AssertionError("an object alone can be a body")


def _read_csv(body: bytes, limits: BatchSettings) -> list[Row]:
    try:
        table = TableText(Path("body"), body.decode(find_encoding(body)))
    except UnicodeDecodeError as exc:
        expected = "UTF-8, or UTF-16 with a byte order mark"
        raise CsvInvalid(found=f"{exc.reason} at byte {exc.start}", expected=expected) from exc
    if not table.text.strip():
        _check_columns([])
    rows: list[Row] = []
    try:
        layout = read_layout(table)
        columns = _check_columns(list(layout.columns))
        for _, line, values in read_records(table, layout):
            rows.append(_read_values(values, columns, line=line))
            if len(rows) > limits.max_rows:
                # The rest is not worth reading.
                break
    except PackInvalid as exc:
        found = f"the column '{exc.column}' twice" if exc.column else exc.message
        raise CsvInvalid(found=f"{found} in line {exc.row or 1}", expected="CSV") from exc
    if not rows:
        raise CsvInvalid(found="no row", expected="a row per question below the header")
    return rows


def _check_columns(columns: list[str]) -> list[str]:
    for place, name in enumerate(columns):
        if name not in COLUMNS or name in columns[:place]:
            found = f"the column '{name[:80]}'" + (" twice" if name in COLUMNS else "")
            near = difflib.get_close_matches(name[:80], COLUMNS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near and name not in COLUMNS else ""
            raise CsvInvalid(found=found, expected=f"columns among {', '.join(COLUMNS)}{hint}")
    if "question" not in columns:
        expected = "one named 'question' in the first line"
        raise CsvInvalid(found=f"the columns {', '.join(columns) or 'none'}", expected=expected)
    return columns


def _read_values(values: list[str], columns: list[str], *, line: int) -> Row:
    """Return a row's fields; an empty cell says nothing."""
    if len(values) != len(columns):
        return RowInvalid(line, found=f"{len(values)} values", expected=f"{len(columns)}")
    row: dict[str, Any] = {
        name: value for name, value in zip(columns, values, strict=True) if value.strip()
    }
    if options := row.get("options"):
        try:
            is_list = options.lstrip().startswith("[")
            row["options"] = load_json(options) if is_list else options.split(BETWEEN_OPTIONS)
        except ValueError as exc:
            expected = "a JSON list, or texts with | between them"
            return RowInvalid(line, found=f"options that are no JSON ({exc})", expected=expected)
    # Without a question, it is told that one is required.
    return row


def _read_body(body: Row, defaults: AnswerSettings) -> AnswerRequest | Exception:
    """Return what a body asks for, or the error that it is refused with."""
    if isinstance(body, Exception):
        return body
    try:
        read = AnswerBody.model_validate(body)
    except ValidationError as exc:
        return exc
    return read_request(read, read.culture, defaults)
