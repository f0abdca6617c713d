"""Files of questions: those that a step wrote, and the release of CultureSPA."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.culturespa.errors import QuestionsInvalid, StepFileInvalid
from adapters.culturespa.pipeline import QUESTIONS
from adapters.culturespa.questions import (
    GeneratedQuestion,
    read_questions,
    read_released,
    write_questions,
)

_GZIP = b"\x1f\x8b"


def check_questions(file: Path) -> tuple[GeneratedQuestion, ...]:
    """Return the questions in a file that a step wrote.

    Raises:
        QuestionsInvalid: it is missing or empty, holds something else, or has a key twice.
    """
    try:
        questions = read_questions(file)
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


@contextmanager
def open_questions(file: Path) -> Iterator[Path]:
    """Yield a file in the form of the steps: `file`, or what it holds if it is the release.

    Raises:
        QuestionsInvalid: there is no such file, or it is an invalid release.
    """
    if not file.exists():
        raise QuestionsInvalid(file, "no file")
    with file.open("rb") as data:
        is_release = data.read(len(_GZIP)) == _GZIP
    if not is_release:
        yield file
        return
    try:
        released = read_released(file)
    # Broken gzip, another text, or JSON of another form.
    except (OSError, EOFError, ValueError, KeyError, TypeError) as exc:
        raise QuestionsInvalid(file, f"no such release ({exc!r})") from exc
    with tempfile.TemporaryDirectory(prefix="milieu-") as folder:
        plain = Path(folder) / QUESTIONS
        write_questions(plain, released)
        yield plain
