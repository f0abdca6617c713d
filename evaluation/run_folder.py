"""The folder of a run: what was asked, and every raw answer, each once.

    run.json         settings and versions; a folder holds one run
    answers.jsonl    a line per request, appended as it is answered
    asks.jsonl       a line per ask: which request answered it; written when all are answered
    figures.json, map.json, report.html, report.md, plots/

A line that a kill left unfinished is cut off when the folder is opened again, so that a run resumes
where it stopped. Every figure can be computed again without the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from evaluation.asking import Ask, Response
from evaluation.errors import AnswersMissing, RunFolderInvalid
from files.journal import Journal, JournalBusy, LinesInvalid, read_lines, write_lines
from files.whole import is_part, write_text

SCHEMA_VERSION = 1
RUN, ANSWERS, ASKS = "run.json", "answers.jsonl", "asks.jsonl"


class AskKey(NamedTuple):
    """Which ask of a run: as `Ask`, with names for values."""

    condition: str
    culture: str
    question: str
    order: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class AskRecord:
    """What an ask became: the digest of its request, the exemplars shown, and whether steered."""

    digest: str
    shown: tuple[str, ...]
    steered: bool


class RunAnswers(NamedTuple):
    """What a run asked, and every response by the digest of its request."""

    asks: dict[AskKey, AskRecord]
    responses: dict[str, Response]

    def find(self, key: AskKey) -> Response:
        """Return the response to one ask.

        Raises:
            AnswersMissing: there is none.
        """
        if key not in self.asks or self.asks[key].digest not in self.responses:
            who = f" as {key.culture}" if key.culture else ""
            raise AnswersMissing(f"no answer to {key.question}{who} under '{key.condition}'")
        return self.responses[self.asks[key].digest]


class _RunFile(BaseModel):
    schema_version: int
    settings: dict[str, Any]
    created: str


class _AnswerLine(BaseModel):
    # The log-probability of what a model never says is -inf.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    digest: str
    logprobs: tuple[float, ...] | None = None
    text: str | None = None
    option: int | None = None
    shares: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    steered: bool = True


class _AskLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    condition: str
    culture: str
    question: str
    order: tuple[int, ...]
    seed: int
    digest: str
    shown: tuple[str, ...]
    steered: bool


class RunFolder:
    """Opens, fills and reads the folder of one run. Use it in a `with` statement.

    Attributes:
        path: the folder.
        settings: what the run is, as given.
        created: when the run was first started.
        answers: every answer so far, by the digest of its request.
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, Any], created: str) -> None:
        """Open `folder` for the run that `settings` describe, or resume it there.

        `created` is written down for a new run; a resumed one keeps its own.

        Raises:
            RunFolderInvalid: the folder holds another run, or a file is not as it was written.
        """
        self.path = folder
        self.settings = dict(settings)
        try:
            self.created = self._claim(created)
            self._journal = Journal(folder / ANSWERS, _AnswerLine)
        except OSError as exc:
            found = f"that it cannot be opened ({exc.strerror})"
            raise RunFolderInvalid(folder, found, "a folder that can be written to") from exc
        except JournalBusy as exc:
            raise RunFolderInvalid(
                folder, "a run in progress", "one run at a time", remedy="Wait until it is done."
            ) from exc
        try:
            self.answers = {
                line.digest: Response(**line.model_dump(exclude={"digest"}))
                for line in self._journal.read()
            }
        except LinesInvalid as exc:
            self._journal.close()
            raise _invalid(exc) from exc

    @classmethod
    def open_finished(cls, folder: Path) -> Self:
        """Open the folder of a run that was started before.

        Raises:
            RunFolderInvalid: there is none, or a file is not as it was written.
        """
        found = _read_description(folder / RUN)
        if not (folder / ASKS).exists():
            raise AnswersMissing(f"no {ASKS} in {folder}")
        return cls(folder, settings=found.settings, created=found.created)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()

    @property
    def is_finished(self) -> bool:
        """Whether everything that the run asks was answered, once."""
        return (self.path / ASKS).exists()

    def add(self, digest: str, response: Response) -> None:
        """Keep the answer to a request, on disk at once."""
        self._journal.add(_AnswerLine(digest=digest, **asdict(response)))
        self.answers[digest] = response

    def write_asks(self, asked: Iterable[tuple[AskKey, AskRecord]]) -> None:
        """Write which request answered each ask."""
        lines = (_AskLine(**key._asdict(), **asdict(of)) for key, of in asked)
        write_lines(self.path / ASKS, lines)

    def read_answers(self) -> RunAnswers:
        """Return what `write_asks` wrote, with the answers.

        Raises:
            RunFolderInvalid: the file of asks is missing or not as it was written.
        """
        asks = {}
        try:
            for line in read_lines(self.path / ASKS, _AskLine):
                key = AskKey(line.condition, line.culture, line.question, line.order, line.seed)
                asks[key] = AskRecord(line.digest, line.shown, line.steered)
        except LinesInvalid as exc:
            raise _invalid(exc) from exc
        return RunAnswers(asks, self.answers)

    def _claim(self, created: str) -> str:
        file = self.path / RUN
        settings = json.loads(json.dumps(self.settings))
        own = _RunFile(schema_version=SCHEMA_VERSION, settings=settings, created=created)
        if not file.exists():
            if self.path.is_dir() and not all(map(is_part, self.path.iterdir())):
                raise RunFolderInvalid(
                    self.path, "files, but no run.json", "a new or empty folder, or that of a run"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(file, own.model_dump_json(indent=2) + "\n")
            return created
        there = _read_description(file)
        a, b = there.settings, own.settings
        other = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
        if other or there.schema_version != SCHEMA_VERSION:
            found = f"a run with other {', '.join(other) or 'schema'}"
            raise RunFolderInvalid(self.path, found, "the run that is started")
        return there.created


def ask_key(condition: str, ask: Ask) -> AskKey:
    """Return the key of `ask` under a condition."""
    return AskKey(condition, ask.culture, ask.question.key, ask.order, ask.seed)


def _read_description(file: Path) -> _RunFile:
    try:
        return _RunFile.model_validate_json(file.read_bytes())
    except FileNotFoundError as exc:
        raise RunFolderInvalid(file, "no file", "the folder of a run") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        found = f"no description of a run ({'.'.join(map(str, fault['loc']))} {fault['msg']})"
        raise RunFolderInvalid(file, found, "that of a run") from exc


def _invalid(error: LinesInvalid) -> RunFolderInvalid:
    if not error.row:
        return RunFolderInvalid(error.file, error.fault, "the file of a run that was finished")
    return RunFolderInvalid(error.file, f"row {error.row}: {error.fault}", "as it was written")
