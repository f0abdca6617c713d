"""Answers that were given before, read from a file: a respondent that only looks them up.

Two forms, told apart by the file's ending:

- `.json`: a list of objects with `Q_id` and `answer`, as CultureSPA released results. Other fields
  are ignored.
- `.jsonl`: a line per answer, `{"question": …, "culture": …, "answer": …}`. The question is a key
  or a source item; without a culture (alpha-3 code) the answer stands for every culture. Empty
  lines are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

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


_ITEMS = TypeAdapter(list[_Item])


class RecordedAnswers:
    """A respondent that gives the recorded answer, whatever the recipe, option order and seed.

    A record of the question's key takes precedence over one of its source item, and either with
    the asked culture over the same without.

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
        for row, record in _read_records(file):
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


def _read_records(file: Path) -> Iterator[tuple[int, _Line | _Item]]:
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise RecordingInvalid(f"cannot be read: {exc}", file=file) from exc
    row = None
    try:
        if file.suffix != ".jsonl":
            yield from enumerate(_ITEMS.validate_json(content), start=1)
            return
        for row, line in enumerate(content.split(b"\n"), start=1):
            if line.strip():
                yield row, _Line.model_validate_json(line)
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = list(fault["loc"])
        if row is None and place:
            row = int(place.pop(0)) + 1
        where = ".".join(map(str, place)) or ("the file" if row is None else "the record")
        raise RecordingInvalid(f"{where}: {fault['msg']}", file=file, row=row) from exc
