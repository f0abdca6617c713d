"""Fixtures of the `evaluation` tests: small packs, and the released items as a pack."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.importers.culturespa import ZERO_BASED
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest

Shares = Sequence[float] | None
MakeLibrary = Callable[..., SurveyLibrary]


@pytest.fixture(scope="session")
def catalogue() -> CultureCatalogue:
    return read_catalogue()


@pytest.fixture(scope="session")
def make_library(catalogue: CultureCatalogue) -> MakeLibrary:
    """Return a function that makes a library from each culture's shares; None: not asked.

    Question `tiny:Q<i>` has as many options as the shares of those who were asked.
    """

    def made(answers: Mapping[str, Sequence[Shares]], *, first_number: int = 1) -> SurveyLibrary:
        columns = list(zip(*answers.values(), strict=True))
        sizes = [next(len(shares) for shares in column if shares) for column in columns]
        questions = tuple(
            Question(
                key=f"tiny:Q{i}",
                topic="Life",
                text=f"Question number {i}?",
                options=tuple(f"option {option}" for option in range(size)),
                scale=Scale.ORDINAL,
                source_item=f"S{i}",
                first_number=first_number,
            )
            for i, size in enumerate(sizes)
        )
        cells = tuple(
            ResponseDistribution(question.key, culture, tuple(shares))
            for culture, row in answers.items()
            for question, shares in zip(questions, row, strict=True)
            if shares
        )
        return SurveyLibrary([Pack(made_manifest("tiny"), questions, cells)], catalogue)

    return made


@pytest.fixture(scope="session")
def released(shared: Path, catalogue: CultureCatalogue) -> SurveyLibrary:
    """The 259 evaluated items with their options as released, for the 18 countries of the paper."""
    folder = shared / "data" / "culturespa"
    items = json.loads((folder / "wvs_questions.json").read_bytes())
    countries = json.loads((folder / "proportions_group_by_country.json").read_bytes())
    evaluated = {f"Q{n}" for n in range(1, 260) if n != 223} | {"Q234A"}
    questions = tuple(
        Question(
            key=f"released:{item['Q_id']}",
            topic="all",
            text=item["question"],
            options=tuple(item["option_lst"]),
            scale=Scale.ORDINAL,
            source_item=item["Q_id"],
            first_number=0 if item["Q_id"] in ZERO_BASED else 1,
        )
        for item in items
        if item["Q_id"] in evaluated
    )
    cells = tuple(
        _released_cell(question, country, countries[country][question.source_item])
        for country in sorted(set(countries) - {"MEX"})
        for question in questions
        if countries[country][question.source_item]
    )
    return SurveyLibrary([Pack(made_manifest("released"), questions, cells)], catalogue)


def _released_cell(
    question: Question, country: str, cell: Mapping[str, float]
) -> ResponseDistribution:
    # Of equal shares the published mode is the first code of the file, not the lowest one.
    first = next(iter(cell))
    counted = [
        cell.get(str(number), 0.0) + (1e-9 if str(number) == first else 0.0)
        for number in question.numbers
    ]
    shares = tuple(share / sum(counted) for share in counted)
    return ResponseDistribution(question.key, country, shares)
