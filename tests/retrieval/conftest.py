"""Fixtures of the `retrieval` tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder import Encoder, Vectors
from retrieval.encoders.multilingual_encoder import MultilingualModel
from retrieval.encoders.opening import open_encoder
from retrieval.index import QuestionIndex
from retrieval.index_files import library_index
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.library import SurveyLibrary, open_library
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest


class HashEncoder:
    """Encodes a text as a random unit vector that its hash decides, or as it was told to."""

    def __init__(
        self,
        *,
        model_id: str = "hash",
        dim: int = 8,
        told: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.model_id = model_id
        self.dim = dim
        self.told = dict(told or {})
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.encoded += texts
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            row[:] = self.told.get(text, np.random.default_rng(seed).normal(size=self.dim))
            row /= np.linalg.norm(row)
        return rows


@pytest.fixture(scope="session")
def hash_encoder() -> Callable[..., HashEncoder]:
    """Return a function that makes encoders which need no model."""
    return HashEncoder


@pytest.fixture(scope="session")
def multilingual(multilingual_file: Path) -> MultilingualModel:
    return MultilingualModel(multilingual_file)


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return open_encoder()


@pytest.fixture(scope="session")
def catalogue() -> CultureCatalogue:
    return read_catalogue()


@pytest.fixture(scope="session")
def shipped(catalogue: CultureCatalogue) -> SurveyLibrary:
    """The library of the packs that Milieu ships."""
    root = Path(__file__).parents[2] / "survey_data" / "packs"
    return open_library([root], catalogue=catalogue)


@pytest.fixture(scope="session")
def shipped_index(shipped: SurveyLibrary, minilm: Encoder) -> QuestionIndex:
    return library_index(shipped, minilm)


@pytest.fixture(scope="session")
def make_library(catalogue: CultureCatalogue) -> Callable[..., SurveyLibrary]:
    """Return a function that makes a library of one pack from texts and who answered them."""

    def made(
        texts: Sequence[str],
        *,
        not_asked: Mapping[str, Sequence[int]] | None = None,
        topics: Sequence[str] | None = None,
        questions_sha256: str = "",
    ) -> SurveyLibrary:
        skipped = {"DEU": (), "KEN": (), **(not_asked or {})}
        questions = tuple(
            Question(
                key=f"p:Q{i}",
                topic=topics[i] if topics else "Life",
                text=text,
                options=("yes", "no"),
                scale=Scale.BINARY,
            )
            for i, text in enumerate(texts)
        )
        manifest = made_manifest("p", questions_sha256=questions_sha256)
        cells = tuple(
            ResponseDistribution(question=question.key, culture=culture, shares=(0.75, 0.25))
            for culture, skips in skipped.items()
            for i, question in enumerate(questions)
            if i not in skips
        )
        return SurveyLibrary([Pack(manifest, questions, cells)], catalogue)

    return made
