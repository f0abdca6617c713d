"""Questions, answers and peoples that conversations are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval.encoder import Encoder
from survey_data.cultures import Culture, CultureCatalogue
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution
from survey_data.packs import find_packs, read_pack
from survey_data.split import Split

PACKS = Path(__file__).parents[2] / "survey_data" / "packs"


@dataclass(frozen=True)
class Material:
    """What conversations are made of.

    Attributes:
        questions: that may be asked or shown.
        asked: indexes of those that may be asked.
        nearest: int[n, n - 1], for each question the indexes of all others, nearest first.
        cells: how a culture answered a question, by key and alpha-3 code.
        manifests: of the packs, by id.
        cultures: that conversations may name.
    """

    questions: tuple[Question, ...]
    asked: tuple[int, ...]
    nearest: npt.NDArray[np.intp]
    cells: Mapping[tuple[str, str], ResponseDistribution]
    manifests: Mapping[str, PackManifest]
    cultures: tuple[Culture, ...]

    @cached_property
    def surveyed(self) -> Mapping[str, tuple[Culture, ...]]:
        """The named cultures that were asked each question, by its key."""
        return {
            question.key: tuple(c for c in self.cultures if (question.key, c.code) in self.cells)
            for question in self.questions
        }

    def list_nearest(self, index: int, culture: str, n: int) -> list[ResponseDistribution]:
        """Return a culture's answers to the `n` questions nearest to another, or to fewer."""
        text, found = self.questions[index].text, []
        for other in self.nearest[index]:
            question = self.questions[other]
            cell = self.cells.get((question.key, culture))
            if cell is not None and question.text != text:
                found.append(cell)
            if len(found) == n:
                break
        return found

    @cached_property
    def by_key(self) -> Mapping[str, Question]:
        """The questions by their keys."""
        return {question.key: question for question in self.questions}


def read_packs(root: Path = PACKS) -> tuple[Pack, ...]:
    """Return the packs that come with Milieu."""
    return tuple(read_pack(folder) for folder in find_packs([root]))


def select_taught(
    packs: Sequence[Pack], catalogue: CultureCatalogue, held_out: Split, encoder: Encoder
) -> Material:
    """Return what may be trained on: no question and no people that is held out, nor its name."""
    cultures = tuple(c for c in catalogue if c.code not in held_out.cultures)
    questions = [q for p in packs for q in p.questions if q.key not in held_out.questions]
    return _assemble(packs, questions, range(len(questions)), cultures, encoder)


def select_examined(
    packs: Sequence[Pack], catalogue: CultureCatalogue, held_out: Split, encoder: Encoder
) -> Material:
    """Return what is examined: held-out questions are asked, of all peoples; any may be shown."""
    questions = [q for p in packs for q in p.questions]
    asked = [i for i, q in enumerate(questions) if q.key in held_out.questions]
    return _assemble(packs, questions, asked, tuple(catalogue), encoder)


def _assemble(
    packs: Sequence[Pack],
    questions: Sequence[Question],
    asked: Collection[int],
    cultures: tuple[Culture, ...],
    encoder: Encoder,
) -> Material:
    vectors = encoder.encode([question.text for question in questions])
    order = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")
    own = np.arange(len(questions))[:, None]
    nearest = order[order != own].reshape(len(questions), len(questions) - 1)
    keys, codes = {q.key for q in questions}, {c.code for c in cultures}
    cells = {
        (cell.question, cell.culture): cell
        for pack in packs
        for cell in pack.distributions
        if cell.question in keys and cell.culture in codes
    }
    manifests = {pack.manifest.id: pack.manifest for pack in packs}
    return Material(tuple(questions), tuple(asked), nearest, cells, manifests, cultures)
