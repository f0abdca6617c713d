"""What is known of how the served model answers, by which its shares are put right and pooled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from estimation.calibration import TABLE_ALONE, Calibration
from estimation.estimator import Estimate
from prompting.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Reached:
    """How near shares came to what people said: mean of 1 minus the Jensen-Shannon distance.

    Higher is nearer, in [0, 1]. What was fitted is measured on questions that it was not fitted on.

    Attributes:
        raw: the model's own shares.
        calibrated: the model's, put right.
        related: estimates from like questions alone.
        pooled: both, in the best proportion.
    """

    raw: float
    calibrated: float
    related: float
    pooled: float


@dataclass(frozen=True, slots=True)
class CalibratedPool:
    """What pools a model's shares with an estimate from like questions that tell as much.

    Attributes:
        calibration: the pool; `TABLE_ALONE` where the model's shares make it no better.
        n_questions, n_answers: what it was fitted on.
    """

    calibration: Calibration
    reached: Reached
    n_questions: int
    n_answers: int


@dataclass(frozen=True, slots=True)
class CalibratedRecipe:
    """What was fitted for one way to ask the model.

    Attributes:
        recipe: as `strip_recipe` returns it.
        model: puts the model's shares right.
        near: the pool where like questions tell much; None where too few were such to fit it.
        far: the pool where they tell little, as of most questions that are new.
    """

    recipe: Recipe
    model: Calibration
    near: CalibratedPool | None
    far: CalibratedPool | None

    def find_pool(self, estimate: Estimate) -> Calibration:
        """Return what pools the model's shares with an estimate from like questions."""
        pool = self.near if is_near(estimate.evidence) else self.far
        return TABLE_ALONE if pool is None else pool.calibration


class ModelCalibration:
    """The calibration of one served model, for each recipe that it was asked by."""

    def __init__(self, digest: str, recipes: Iterable[CalibratedRecipe]) -> None:
        """Take what was fitted; `digest` is the sha256 of all of it, in hex."""
        self.id = digest[:8]
        self.recipes = tuple(recipes)
        self._by_recipe = {each.recipe: each for each in self.recipes}

    def find(self, recipe: Recipe) -> CalibratedRecipe | None:
        """Return what was fitted for a recipe, None where nothing was."""
        return self._by_recipe.get(strip_recipe(recipe))


def strip_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe without what does not matter to its method."""
    if recipe.method.shows_exemplars:
        return recipe
    return Recipe(
        recipe.method,
        n_orders=recipe.n_orders,
        adapter=recipe.adapter,
        prompt_language=recipe.prompt_language,
    )


def is_near(evidence: int | None) -> bool:
    """Return whether like questions tell much, by the class of what they tell."""
    return evidence == 0
