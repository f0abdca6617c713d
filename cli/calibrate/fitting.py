"""From the model's answers to what puts them right, and how near that comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.answering.calibrated import CalibratedRecipe, Reached
from app.errors import CalibrationUnfit
from cli.calibrate.asking import AnswerJournal, Ask
from cli.calibrate.options import MIN_QUESTIONS
from cli.calibrate.scope import Cell
from estimation.calibration import Sample, cross_fit, fit_model, fit_pool
from prompting.recipe import Recipe
from survey_data.arrays import Floats
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary

Estimates = Mapping[tuple[str, str], Floats]


def fit_recipe(
    recipe: Recipe,
    cells: Sequence[Cell],
    journal: AnswerJournal,
    *,
    library: SurveyLibrary,
    estimates: Estimates,
) -> CalibratedRecipe:
    """Return what is fitted on the readable answers to `cells`.

    `estimates` has those of each cell, made without its question and its like.

    Raises:
        CalibrationUnfit: too few answers are readable.
    """
    samples = _collect(recipe, cells, journal, library=library, estimates=estimates)
    n_questions = len({sample.question for sample in samples})
    if n_questions < MIN_QUESTIONS:
        raise CalibrationUnfit(recipe.method, n_questions, least=MIN_QUESTIONS)
    reached = Reached(
        raw=_measure(samples, [sample.model for sample in samples]),
        calibrated=_measure(samples, cross_fit(samples, fit_model)),
        related=_measure(samples, [sample.table for sample in samples]),
        pooled=_measure(samples, cross_fit(samples, fit_pool)),
    )
    return CalibratedRecipe(
        recipe,
        fit_model(samples),
        fit_pool(samples),
        reached,
        n_questions=n_questions,
        n_answers=len(samples),
    )


def _collect(
    recipe: Recipe,
    cells: Sequence[Cell],
    journal: AnswerJournal,
    *,
    library: SurveyLibrary,
    estimates: Estimates,
) -> list[Sample]:
    samples = []
    numbers: dict[str, int] = {}
    for cell in cells:
        shares = journal.find(Ask(recipe, cell))
        people = library.distribution(cell.question.key, cell.culture)
        if shares is None or people is None:
            continue
        known = np.array(people.shares) / sum(people.shares)
        number = numbers.setdefault(cell.question.key, len(numbers))
        table = estimates[cell.question.key, cell.culture]
        samples.append(Sample(number, known, np.array(shares), table))
    return samples


def _measure(samples: Sequence[Sample], found: Sequence[Floats | None]) -> float:
    """Return the mean similarity of shares to what people said."""
    pairs = zip(samples, found, strict=True)
    similarities = [
        distribution_similarity(shares.tolist(), sample.people.tolist())
        for sample, shares in pairs
        if shares is not None
    ]
    return float(np.mean(similarities))
