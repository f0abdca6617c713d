"""Which conditions an adapter's answers are best compared with, pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evaluation.asking import Condition
from prompting.recipe import Method, Recipe


def find_same_prompt(condition: Condition, conditions: Iterable[Condition]) -> str | None:
    """Return the condition that asks the model as it is with the prompt of `condition`'s adapters.

    The difference from it is what tuning changed. None if it was not asked, and for a condition
    without adapters.
    """
    if not condition.adapters:
        return None
    return next(
        (c.name for c in _without_adapters(conditions) if c.recipe == condition.recipe), None
    )


def list_comparisons(condition: Condition, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Return what the answers of `condition`'s adapters are compared with, by name.

    In order: the same prompt without adapters; with exemplars, the exemplars alone, and the same
    adapters without exemplars; the adapters that were named first, asked in the same way.
    """
    recipe = condition.recipe
    if not condition.adapters or recipe is None:
        return ()
    found = [find_same_prompt(condition, conditions)]
    if recipe.method.shows_exemplars:
        alone = replace(recipe, method=Method.ICL)
        found += [c.name for c in _without_adapters(conditions) if c.recipe == alone]
        found += [
            c.name
            for c in conditions
            if c.adapters == condition.adapters and c.recipe == Recipe(Method.PERSONA)
        ]
    first = next(c for c in conditions if c.adapters and c.recipe == recipe)
    if first.adapters != condition.adapters:
        found.append(first.name)
    return tuple(name for name in found if name is not None)


def _without_adapters(conditions: Iterable[Condition]) -> list[Condition]:
    return [c for c in conditions if c.kind == "method" and not c.adapters]
