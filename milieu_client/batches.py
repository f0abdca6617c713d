"""What came of the questions of a batch, and the lines that it comes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from milieu_client.answers import ANSWER_COLUMNS, Answer
from milieu_client.model import Model
from milieu_client.tables import Row, Tabular


class Problem(Model):
    """Why there is no answer, as problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: list[dict[str, Any]] | None = None


class Versions(Model):
    """What an answer was made with.

    `model` is None where none was asked; `packs` are those that it stands on, with the start of the
    sha256 of their figures.
    """

    milieu: str
    encoder: str
    model: str | None
    base_model: str | None = None
    adapter: str | None
    calibration: str | None
    packs: dict[str, str]


class SurveyCitation(Model):
    """A survey that an answer stands on, and the terms that come with its figures."""

    pack: str
    title: str
    source: str
    citation: str
    licence: str


class BatchResult(Model, Tabular):
    """What came of one question, asked of one culture in one way: an answer or a problem.

    `index` is its place among all answers of the batch, `row` that of its question, `recipe` that
    of the way, all from 0; `culture` is as the batch named it.
    """

    index: int
    row: int
    recipe: int
    culture: str | None
    answer: Answer | None = None
    problem: Problem | None = None
    surveys: list[SurveyCitation] = Field(default_factory=list)
    versions: Versions | None = None

    def rows(self) -> list[Row]:
        """Return a row per option of the answer; one with the problem where there is none."""
        place = {"index": self.index, "row": self.row, "recipe": self.recipe}
        problem = None if self.problem is None else f"{self.problem.title}: {self.problem.detail}"
        nothing = {**dict.fromkeys(ANSWER_COLUMNS), "culture": self.culture}
        found = [nothing] if self.answer is None else self.answer.rows()
        return [{**place, **row, "problem": problem} for row in found]


class LineSplitter:
    """Cuts a stream into lines, at line feeds alone: a text may hold what else ends a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines that are whole with the next `pieces`, without what ends them."""
        for piece in pieces:
            *whole, self._rest = (self._rest + piece).split(b"\n")
            yield from filter(None, whole)
