"""What the steps of CultureSPA are given: surveys, cultures, and files of questions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from adapters.culturespa.errors import QuestionsInvalid
from adapters.culturespa.pipeline import QUESTIONS
from adapters.culturespa.questions import read_released
from app.errors import OptionInvalid
from app.settings import Settings
from app.state.retrieval import read_library
from files.journal import write_lines
from survey_data.cultures import Culture, read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Question

_GZIP = b"\x1f\x8b"


class Surveys(NamedTuple):
    """The surveys of the settings, and the questions of one of them."""

    library: SurveyLibrary
    pack: str
    questions: tuple[Question, ...]


def open_surveys(settings: Settings, pack: str) -> Surveys:
    """Return the loaded surveys with the questions of `pack`.

    Raises:
        PackMissing: no loaded pack has that id.
        SurveyDataError: a pack cannot be loaded.
    """
    library = read_library(settings, read_catalogue())
    return Surveys(library, pack, library.pack(pack).questions)


def resolve_cultures(library: SurveyLibrary, given: Sequence[str]) -> tuple[Culture, ...]:
    """Return the named cultures, each once, by code.

    Raises:
        OptionInvalid: none is named.
        CultureUnknown: there is no such culture.
        CultureNotCovered: no survey asked its people.
    """
    if not given:
        raise OptionInvalid("--culture", "none", "one at least, such as -c US")
    codes = sorted(library.catalogue.codes(given))
    for code in codes:
        library.cover(code)
    return tuple(library.catalogue[code] for code in codes)


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
    # Broken gzip, other text, or JSON of another form.
    except (OSError, EOFError, ValueError, KeyError, TypeError) as exc:
        raise QuestionsInvalid(file, f"no such release ({exc!r})") from exc
    with tempfile.TemporaryDirectory(prefix="milieu-") as folder:
        plain = Path(folder) / QUESTIONS
        write_lines(plain, released)
        yield plain
