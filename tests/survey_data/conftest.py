"""Fixtures of the `survey_data` tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest

MakePack = Callable[..., Pack]


@pytest.fixture(scope="session")
def catalogue() -> CultureCatalogue:
    return read_catalogue()


@pytest.fixture(scope="session")
def make_pack() -> MakePack:
    """Return a function that makes a pack of four-option questions from modal answers."""

    def made(
        modes: Mapping[str, Sequence[int | None]],
        *,
        pack_id: str = "tiny",
        commercial_use: bool = True,
        topics: Sequence[str] = (),
    ) -> Pack:
        n_questions = len(next(iter(modes.values())))
        questions = tuple(
            Question(
                key=f"{pack_id}:Q{i}",
                topic=topics[i] if topics else "Life",
                text=f"{pack_id} question number {i}?",
                options=("always", "often", "seldom", "never"),
                scale=Scale.ORDINAL,
            )
            for i in range(n_questions)
        )
        return Pack(
            manifest=made_manifest(pack_id, commercial_use=commercial_use),
            questions=questions,
            distributions=tuple(
                ResponseDistribution(
                    question=question.key,
                    culture=culture,
                    shares=tuple(0.7 if i == mode else 0.1 for i in range(4)),
                    n_respondents=100,
                    non_response=0.05,
                )
                for culture, answers in modes.items()
                for question, mode in zip(questions, answers, strict=True)
                if mode is not None
            ),
        )

    return made
