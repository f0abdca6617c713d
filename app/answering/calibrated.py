"""What is known of how the served model answers, by which its shares are put right and pooled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from estimation.calibration import Calibration
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
class CalibratedRecipe:
    """What was fitted for one way to ask the model.

    Attributes:
        recipe: as `strip_recipe` returns it.
        model: puts the model's shares right.
        pool: pools them with an estimate from like questions.
        n_questions, n_answers: what it was fitted on.
    """

    recipe: Recipe
    model: Calibration
    pool: Calibration
    reached: Reached
    n_questions: int
    n_answers: int


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
    return Recipe(recipe.method, n_orders=recipe.n_orders, adapter=recipe.adapter)
