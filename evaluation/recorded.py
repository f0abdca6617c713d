"""Answers that were given before, read from a file: a respondent that only looks them up.

Two forms, told apart by the file's ending:

- `.json`: a list of objects with `Q_id` and `answer`, as CultureSPA released results. Other fields
  are of no account.
- `.jsonl`: a line per answer, `{"question": …, "culture": …, "answer": …}`. The question is a key
  or a source item; without a culture (alpha-3 code) the answer stands for every culture. Empty
  lines are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from evaluation.asking import Ask, Request, Response, digest_of
from evaluation.errors import AnswerNotRecorded, RecordingInvalid

_Name = Annotated[str, StringConstraints(min_length=1)]
_Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class _Line(BaseModel):
    """An answer as a line of `.jsonl`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: _Name
    culture: _Code | None = None
    answer: str


class _Item(BaseModel):
    """An answer as an object of a released result file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: _Name = Field(alias="Q_id")
    culture: None = None
    answer: str


class RecordedAnswers:
    """A respondent that gives the recorded answer, whatever the recipe, option order and seed.

    A record by the question's key comes before one by its source item, and of each the one with
    the asked culture before the one without.

    Attributes:
        name: the file's name without its ending.
    """

    def __init__(self, file: Path) -> None:
        """Read `file` whole.

        Raises:
            RecordingInvalid: the file is missing, is not of its form, has no answer, or has two
                for one question and culture.
        """
        self.name = file.stem
        self._file = file
        self._answers: dict[tuple[str, str | None], str] = {}
        for row, record in _records(file):
            place = (record.question, record.culture)
            if place in self._answers:
                whose = f" for {record.culture}" if record.culture else ""
                message = f"a second answer to {record.question}{whose}; remove one of the two"
                raise RecordingInvalid(message, file=file, row=row)
            self._answers[place] = record.answer
        if not self._answers:
            raise RecordingInvalid("found no answer, expected at least one", file=file)

    async def request(self, ask: Ask) -> Request:
        """Return the record that answers `ask`.

        Raises:
            AnswerNotRecorded: there is none.
        """
        question = ask.question
        for name in filter(None, (question.key, question.source_item)):
            for culture in (ask.culture, None):
                answer = self._answers.get((name, culture))
                if answer is not None:
                    return Request(digest_of("recorded", self.name, name, culture, answer), answer)
        asked = question.key
        if question.source_item:
            asked += f" (source item {question.source_item})"
        raise AnswerNotRecorded(asked, ask.culture, file=self._file)

    async def respond(self, request: Request) -> Response:
        """Return the recorded text."""
        return Response(text=request.content)


def _records(file: Path) -> Iterator[tuple[int, _Line | _Item]]:
    """Yield each record with its row."""
    form: type[_Line | _Item] = _Line if file.suffix == ".jsonl" else _Item
    for row, found in _objects(file):
        try:
            yield row, form.model_validate(found)
        except ValidationError as exc:
            fault = exc.errors()[0]
            where = ".".join(str(part) for part in fault["loc"]) or "the record"
            raise RecordingInvalid(f"{where}: {fault['msg']}", file=file, row=row) from exc


def _objects(file: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise RecordingInvalid(f"cannot be read: {exc}", file=file) from exc
    if file.suffix == ".jsonl":
        # Not splitlines(), which also cuts at line ends that JSON allows inside a string.
        for row, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield row, _parse(line, file, row=row)
        return
    found = _parse(text, file)
    if not isinstance(found, list):
        raise RecordingInvalid(f"found {type(found).__name__}, expected a list", file=file)
    yield from enumerate(found, start=1)


def _parse(text: str, file: Path, *, row: int | None = None) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise RecordingInvalid(f"is no JSON: {exc}", file=file, row=row) from exc
