"""The questions that the pipeline answers: generated ones, or those of a survey."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, StringConstraints

from adapters.culturespa.errors import QuestionsInvalid, StepFileInvalid
from adapters.culturespa.steps import STRICT, read_step_lines
from prompting.messages import AskedQuestion
from survey_data.model import Question

_Text = Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class GeneratedQuestion:
    """A closed question that a model wrote.

    Attributes:
        key: unique in its file (``"generated:Corruption/17"``).
        topic: topic of the survey questions that it was generated from.
        options: at least two.
        first_number: the number that the first option is shown under.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    key: _Text
    topic: str
    text: _Text
    options: Annotated[tuple[str, ...], Field(min_length=2)]
    first_number: int = 1

    @property
    def asked(self) -> AskedQuestion:
        """The question as it is put to a model, with its options."""
        return AskedQuestion(self.text, self.options, self.first_number)


def from_survey(questions: Iterable[Question]) -> tuple[GeneratedQuestion, ...]:
    """Return questions of a survey as input of the later steps, for a model that can write none."""
    return tuple(
        GeneratedQuestion(q.key, q.topic, q.text, q.options, q.first_number) for q in questions
    )


def read_questions(file: Path) -> tuple[GeneratedQuestion, ...]:
    """Return the questions in a file of JSON lines, in its order.

    Raises:
        QuestionsInvalid: the file is missing or empty, holds something else, or has a key twice.
    """
    try:
        questions = read_step_lines(file, GeneratedQuestion)
    except StepFileInvalid as exc:
        place = "" if exc.row is None else f" in row {exc.row}"
        fault = "no file" if not file.exists() else f"something else{place}"
        raise QuestionsInvalid(file, fault) from exc
    if not questions:
        raise QuestionsInvalid(file, "no question")
    key, n = Counter(question.key for question in questions).most_common(1)[0]
    if n > 1:
        raise QuestionsInvalid(file, f"the key '{key}' {n} times")
    return questions


def check_answered(
    keys: Iterable[str], file: Path, questions: Iterable[GeneratedQuestion], *, by: Path
) -> None:
    """Check that the `questions` of `file` are those that the file `by` answers, by their keys.

    Raises:
        QuestionsInvalid: one is missing.
    """
    if missing := sorted(set(keys) - {question.key for question in questions}):
        raise QuestionsInvalid(file, f"no question '{missing[0]}', which {by} answers")


def read_released(file: Path) -> tuple[GeneratedQuestion, ...]:
    """Return the questions released with CultureSPA (gzip, JSON lines), as they are, unfiltered.

    Source: `generated_questions.jsonl.gz` in DATA, fields `Q_id`, `question`, `option_lst`,
    `class`.
    """
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    return tuple(
        GeneratedQuestion(
            key=f"generated:{item['Q_id']}",
            topic=item["class"],
            text=item["question"],
            options=tuple(str(option) for option in item["option_lst"]),
        )
        for item in items
    )
