"""From the model's answers to what puts them right, and how near that comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.answering.calibrated import CalibratedPool, CalibratedRecipe, Reached, is_near
from app.errors import CalibrationUnfit
from cli.calibrate.asking import AnswerJournal, Ask, Batteries
from cli.calibrate.options import MIN_QUESTIONS
from cli.calibrate.scope import Cell
from estimation.calibration import Sample, cross_fit, fit_model, fit_pool, measure_similarity
from estimation.estimator import Estimator
from prompting.recipe import Recipe
from survey_data.arrays import Floats
from survey_data.library import SurveyLibrary

# From fewer questions no pool is fitted: it would often be worse than what is pooled.
MIN_POOLED = 30


class CellEstimate(NamedTuple):
    """What like questions tell of a cell: shares, float64[options], and whether that is much."""

    shares: Floats
    is_near: bool


Estimates = Mapping[Cell, CellEstimate]


def estimate_cells(
    estimator: Estimator, cells: Sequence[Cell], batteries: Batteries
) -> dict[Cell, CellEstimate]:
    """Return the estimate of each cell, made without its question and what counts as the same.

    Of a novel one it is made without its battery, too. Takes seconds.
    """
    unknown = {
        (cell.question, cell.is_novel): batteries[cell.question.key] if cell.is_novel else ()
        for cell in cells
    }
    groups = [(question, frozenset(keys)) for (question, _), keys in unknown.items()]
    held_out = dict(zip(unknown, estimator.hold_out(groups), strict=True))
    found = {}
    for cell in cells:
        held = held_out[cell.question, cell.is_novel]
        found[cell] = CellEstimate(held.shares[cell.culture], is_near(held.evidence))
    return found


def fit_recipe(
    recipe: Recipe,
    cells: Sequence[Cell],
    journal: AnswerJournal,
    *,
    library: SurveyLibrary,
    estimates: Estimates,
) -> CalibratedRecipe:
    """Return what is fitted on the readable answers to `cells`.

    Raises:
        CalibrationUnfit: too few answers are readable.
    """
    near: list[Sample] = []
    far: list[Sample] = []
    numbers: dict[str, int] = {}
    for cell in cells:
        shares = journal.find(Ask(recipe, cell))
        people = library.distribution(cell.question.key, cell.culture)
        if shares is None or people is None:
            continue
        known = np.array(people.shares) / sum(people.shares)
        number = numbers.setdefault(cell.question.key, len(numbers))
        table, tells_much = estimates[cell]
        sample = Sample(number, known, np.array(shares), table)
        (near if tells_much else far).append(sample)
    if len(numbers) < MIN_QUESTIONS:
        raise CalibrationUnfit(recipe.method, len(numbers), least=MIN_QUESTIONS)
    return CalibratedRecipe(
        recipe, fit_model([*near, *far]), near=_fit_pool(near), far=_fit_pool(far)
    )


def _fit_pool(samples: Sequence[Sample]) -> CalibratedPool | None:
    n_questions = len({sample.question for sample in samples})
    if n_questions < MIN_POOLED:
        return None
    reached = Reached(
        raw=measure_similarity(samples, [sample.model for sample in samples]),
        calibrated=measure_similarity(samples, cross_fit(samples, fit_model)),
        related=measure_similarity(samples, [sample.table for sample in samples]),
        pooled=measure_similarity(samples, cross_fit(samples, fit_pool)),
    )
    return CalibratedPool(
        fit_pool(samples), reached, n_questions=n_questions, n_answers=len(samples)
    )
