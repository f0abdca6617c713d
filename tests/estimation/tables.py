"""Libraries that are made up for a test of `estimation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from survey_data.arrays import Floats
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest

CODES = ("DEU", "KEN", "MEX", "THA", "USA", "BRA")
Answers = Mapping[str, Mapping[str, Sequence[float]]]


def made_library(packs: Mapping[str, Answers]) -> SurveyLibrary:
    """Return a library: pack id → question id → culture → shares of its options."""
    made = []
    for pack_id, answers in packs.items():
        questions, cells = [], []
        for name, by_culture in answers.items():
            key = f"{pack_id}:{name}"
            n_options = len(next(iter(by_culture.values())))
            options = tuple(f"option {i} of {n_options}" for i in range(n_options))
            questions.append(Question(key, "Topic", f"What of {name}?", options, Scale.ORDINAL))
            cells += [
                ResponseDistribution(key, culture, tuple(shares), n_respondents=1000)
                for culture, shares in by_culture.items()
            ]
        made.append(Pack(made_manifest(pack_id), tuple(questions), tuple(cells)))
    return SurveyLibrary(made, read_catalogue())


def random_library(
    n_questions: int = 12, *, n_cultures: int = 4, n_options: int = 3, seed: int = 0
) -> SurveyLibrary:
    """Return a library of one pack in which all cultures answered all questions at random."""
    random = np.random.default_rng(seed)
    answers = {
        f"Q{i}": {
            code: tuple(random.dirichlet(np.ones(n_options)).tolist())
            for code in CODES[:n_cultures]
        }
        for i in range(n_questions)
    }
    return made_library({"made": answers})


def unit_rows(n: int, *, dim: int = 6, seed: int = 1) -> Floats:
    """Return random unit vectors, float64[n, dim]."""
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
