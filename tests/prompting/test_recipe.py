"""Recipes are told apart by everything that decides an answer."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from prompting.recipe import (
    ADAPTER_METHODS,
    PROMPT_METHODS,
    ExemplarStyle,
    Method,
    PromptLanguage,
    Recipe,
    RecipeOverrides,
)
from retrieval.selector_name import SelectorName

RECIPE = Recipe(Method.ICL, k=5, style=ExemplarStyle.SHARES, retriever=SelectorName.DENSE)


def test_equal_recipes_have_one_id() -> None:
    assert RECIPE.id == replace(RECIPE).id
    assert len(RECIPE.id) == 10
    assert int(RECIPE.id, 16) >= 0


def test_the_id_is_the_same_in_every_process() -> None:
    # sha256 of {"adapter": "none", "k": 5, "method": "icl", "n_orders": 1, "retriever": "dense",
    # "style": "shares"}; nothing of what is shown of other cultures, where nothing is, nor of the
    # language where it is English.
    assert RECIPE.id == "bdbf9f9ebc"


@pytest.mark.parametrize(
    "change",
    [
        {"method": Method.PERSONA},
        {"k": 4},
        {"style": ExemplarStyle.MODE},
        {"retriever": SelectorName.CHRF},
        {"n_orders": 2},
        {"adapter": "auto"},
        {"n_elsewhere": 3},
        {"prompt_language": PromptLanguage.DE},
    ],
)
def test_every_part_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(RECIPE, **change).id != RECIPE.id


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPE.k = 3  # type: ignore[misc]  # that is what is tested


def test_a_prompt_method_is_its_own_prompt() -> None:
    assert all(method.prompt is method for method in PROMPT_METHODS)
    assert set(PROMPT_METHODS) | set(ADAPTER_METHODS) == set(Method)


def test_an_adapter_is_asked_as_it_was_trained() -> None:
    assert Method.ADAPTER.prompt is Method.PERSONA
    assert Method.ADAPTER_ICL.prompt is Method.PERSONA_ICL
    assert [method.with_adapter for method in ADAPTER_METHODS] == list(ADAPTER_METHODS)
    assert Method.PERSONA.with_adapter is Method.ADAPTER
    assert Method.PERSONA_ICL.with_adapter is Method.ADAPTER_ICL
    assert Method.PLAIN.with_adapter is Method.PLAIN


@pytest.mark.parametrize("method", list(Method))
def test_a_method_says_what_its_prompt_shows(method: Method) -> None:
    prompt = method.prompt

    assert method.shows_exemplars == prompt.shows_exemplars
    assert method.names_culture == prompt.names_culture
    assert method.compares_cultures == prompt.compares_cultures


def test_what_a_request_says_is_laid_over_the_defaults() -> None:
    defaults = Recipe(Method.ICL, k=3, style=ExemplarStyle.MODE, retriever=SelectorName.CHRF)

    assert RecipeOverrides().over(defaults) == defaults
    assert RecipeOverrides(k=7, n_orders=2).over(defaults) == replace(defaults, k=7, n_orders=2)
    showing = replace(defaults, n_elsewhere=3)
    assert RecipeOverrides().over(showing) == showing
    assert RecipeOverrides(n_elsewhere=0).over(showing) == defaults
    assert RecipeOverrides(n_elsewhere=0).first_said == "n_elsewhere"
    assert RecipeOverrides().first_said == ""
    assert RecipeOverrides(adapter="none", k=1).first_said == "k"
    german = RecipeOverrides(prompt_language=PromptLanguage.DE)
    assert german.over(defaults) == replace(defaults, prompt_language=PromptLanguage.DE)
    assert german.first_said == "prompt_language"


def test_the_adapter_follows_from_the_method_where_nothing_is_said_of_it() -> None:
    tuned = Recipe(Method.ADAPTER, adapter="auto")

    assert RecipeOverrides(method=Method.ADAPTER_ICL).over(RECIPE).adapter == "auto"
    assert RecipeOverrides(method=Method.ICL).over(tuned).adapter == "none"
    assert RecipeOverrides(method=Method.ICL, adapter="x@1").over(tuned).adapter == "x@1"
