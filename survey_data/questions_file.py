"""Read and write `questions.jsonl`, and check questions wherever they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from files.json_line import write_json_line
from survey_data.errors import PackInvalid
from survey_data.model import Question, Scale
from survey_data.wording import tidy

MIN_OPTIONS, MAX_OPTIONS = 2, 20
MAX_TEXT_CHARS = 2000


def _check_options(options: tuple[str, ...]) -> tuple[str, ...]:
    tidied = tuple(map(tidy, options))
    # A reader takes "yes" for "Yes", and so does what matches options.
    if len({option.casefold() for option in tidied}) != len(tidied) or not all(tidied):
        message = "options must differ, in more than case, and none may be blank"
        raise PydanticCustomError("options", message)
    return tidied


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
Options = Annotated[
    tuple[str, ...],
    Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS),
    AfterValidator(_check_options),
]


class QuestionLine(BaseModel):
    """A question as a line of the file; the pack's id is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    topic: str = Field(min_length=1)
    text: Text
    options: Options
    scale: Scale
    language: str = "en"
    source_item: str = ""
    first_number: int = Field(default=1, ge=0, le=1)

    @field_validator("scale")
    @classmethod
    def _check_scale(cls, scale: Scale, info: ValidationInfo) -> Scale:
        n_options = len(info.data.get("options", "no"))
        if scale is Scale.BINARY and n_options != 2:
            raise PydanticCustomError("scale", "binary with {n} options", {"n": n_options})
        return scale


def parse_questions(
    rows: Iterable[tuple[int, object]],
    *,
    file: Path,
    pack: str,
    form: type[QuestionLine] = QuestionLine,
) -> Iterator[Question]:
    """Yield the question of each row of `file`, its key made of `pack` and its id.

    Raises:
        PackInvalid: a row is not of the form or repeats an id, or there is none; row and column
            are named.
    """
    seen: set[str] = set()
    for row, values in rows:
        try:
            line = form.model_validate(values)
        except ValidationError as exc:
            raise PackInvalid.from_validation(exc, file=file, row=row) from exc
        if line.id in seen:
            raise PackInvalid(f"'{line.id}' stands twice", file=file, row=row, column="id")
        seen.add(line.id)
        yield Question(key=f"{pack}:{line.id}", **line.model_dump(exclude={"id"}))
    if not seen:
        raise PackInvalid("found no question", file=file)


def write_question_lines(path: Path, questions: Iterable[Question]) -> None:
    """Write `questions` in their order; `first_number` only if it is not 1."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for question in questions:
            line = {"id": question.id} | asdict(question)
            del line["key"]
            if question.first_number == 1:
                del line["first_number"]
            file.write(write_json_line(line) + "\n")
