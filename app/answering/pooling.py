"""Puts a model's shares right, and pools them with an estimate, as its calibration says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.pool import ServedWeights
from app.answering.calibrated import CalibratedRecipe, ModelCalibration
from app.answering.plan import Answer, CalibratedShares, Choice
from estimation.calibration import TABLE_ALONE
from estimation.estimator import Estimate
from estimation.sampling import Interval
from estimation.source import AnswerFrom, Source
from prompting.recipe import Method, Recipe


class Pooler:
    """Knows which answers a calibration is for."""

    def __init__(self, calibration: ModelCalibration | None) -> None:
        """Take the calibration of the served model; without one nothing is pooled."""
        self._calibration = calibration

    def is_pooled(self, choice: Choice, weights: ServedWeights, estimate: Estimate | None) -> bool:
        """Return whether the model's shares count in the answer that an estimate gives.

        They do in one from like questions alone, where they were found to make it better.
        """
        if estimate is None or estimate.source is not Source.RELATED:
            return False
        if choice.answer_from is AnswerFrom.TABLES:
            return False
        found = self._find(choice.recipe, choice.recipe.method, weights, estimate)
        return found is not None and found.find_pool(estimate) != TABLE_ALONE

    def pool(self, answer: Answer) -> Answer:
        """Return an answer with the model's shares put right, and pooled where its plan says so.

        As it is where the model's answer has no shares, or was asked for in a way that no
        calibration is for.
        """
        plan, reading = answer.plan, answer.reading
        found = self._find(plan.recipe, plan.method, plan.weights, plan.estimate)
        if self._calibration is None or found is None or reading is None or reading.shares is None:
            return answer
        said = np.array(reading.shares)
        shares = tuple(found.model.apply(said).tolist())
        answer = replace(answer, calibrated=CalibratedShares(self._calibration.id, shares))
        if not plan.is_pooled or plan.estimate is None:
            return answer
        pool = found.find_pool(plan.estimate)
        pooled = pool.apply(said, np.array(plan.estimate.shares))
        estimate = _move(plan.estimate, tuple(pooled.tolist()))
        return replace(answer, plan=replace(plan, estimate=estimate))

    def _find(
        self, recipe: Recipe, method: Method, weights: ServedWeights, estimate: Estimate | None
    ) -> CalibratedRecipe | None:
        """Return what was fitted for a recipe that is carried out by `method` with `weights`."""
        if self._calibration is None or weights.adapter is not None or method is not recipe.method:
            return None
        if estimate is not None and estimate.source is Source.RELATED:
            # It was asked nowhere else, so nothing of elsewhere is shown.
            recipe = replace(recipe, n_elsewhere=0)
        return self._calibration.find(recipe)


def _move(estimate: Estimate, shares: tuple[float, ...]) -> Estimate:
    """Return an estimate with other shares. Its intervals stay, or are widened to hold them.

    They say where the people's share lies by what the tables know, which is as true of any other
    guess at it.
    """
    intervals = estimate.intervals
    if intervals is not None:
        pairs = zip(intervals, shares, strict=True)
        intervals = tuple(
            Interval(min(low, share), max(high, share)) for (low, high), share in pairs
        )
    return replace(estimate, shares=shares, intervals=intervals)
