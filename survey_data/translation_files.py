"""Read and write `questions.<language>.jsonl`: a pack's questions in another language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from files.json_line import write_json_line
from survey_data.errors import PackInvalid
from survey_data.json_lines import read_json_lines
from survey_data.model import Question, Wording
from survey_data.questions_file import Options, Text

LANGUAGE_FORM = "a language tag such as de, zh-Hant or pt-BR"
# Of BCP 47 the language, its script and its region, each in the usual case.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_PREFIX, _SUFFIX = "questions.", ".jsonl"


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    id: str
    text: Text
    options: Options


def is_language(tag: str) -> bool:
    """Return whether `tag` is a BCP 47 tag of a language, with or without script and region."""
    return _LANGUAGE.fullmatch(tag) is not None


def name_translation(language: str) -> str:
    """Return the name of a pack's file in `language`."""
    return f"{_PREFIX}{language}{_SUFFIX}"


def translation_language(name: str) -> str | None:
    """Return what stands for the language in a file's name, None if it is no translation's."""
    between = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return between if name == name_translation(between) else None


def read_wordings(
    path: Path, *, language: str, questions: Iterable[Question]
) -> dict[str, Wording]:
    """Return the wordings of `path` by the key of their question, in file order.

    Raises:
        PackInvalid: a line is not of the form, is about none of `questions` or repeats an id, its
            options don't match the question's, or there is no line; row and column are named.
    """
    by_id = {question.id: question for question in questions}
    wordings: dict[str, Wording] = {}
    # The questions of one battery share their options.
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row, values in read_json_lines(path):
        try:
            line = _Line.model_validate(values)
        except ValidationError as exc:
            raise PackInvalid.from_validation(exc, file=path, row=row) from exc
        question = by_id.get(line.id)
        if question is None:
            message = f"'{line.id}' is not in questions.jsonl"
            raise PackInvalid(message, file=path, row=row, column="id")
        if question.key in wordings:
            raise PackInvalid(f"'{line.id}' stands twice", file=path, row=row, column="id")
        if fault := _find_fault(line, question, language):
            column, message = fault
            raise PackInvalid(message, file=path, row=row, column=column)
        options = shared.setdefault(line.options, line.options)
        wordings[question.key] = Wording(language, line.text, options)
    if not wordings:
        raise PackInvalid("found no question", file=path)
    return wordings


def write_wordings(
    path: Path, wordings: Mapping[str, Wording], *, questions: Sequence[Question]
) -> None:
    """Write `wordings`, by key, in the order of `questions`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for question in questions:
            if wording := wordings.get(question.key):
                line = {"id": question.id, "text": wording.text, "options": wording.options}
                file.write(write_json_line(line) + "\n")


def _find_fault(line: _Line, question: Question, language: str) -> tuple[str, str] | None:
    """Return the column and what is wrong with it, None if the line fits its question."""
    if question.language == language:
        return "id", f"'{line.id}' is in '{language}' itself"
    found, expected = len(line.options), len(question.options)
    if found != expected:
        return "options", f"{found} options, but the question has {expected}, in the same order"
    for option, original in zip(line.options, question.options, strict=True):
        if original.isdecimal() and option != original:
            return "options", f"found '{option}' for '{original}'; bare numbers stay as they are"
    return None
