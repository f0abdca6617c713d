"""What `run.json` says of conditions names the folders of runs, and must not change."""

from __future__ import annotations

from evaluation.asking import Control, digest_of
from evaluation.run_spec import ConditionSpec, Variants, make_conditions, name_adapter_condition
from prompting.recipe import PROMPT_METHODS, ExemplarStyle, Method, Recipe
from retrieval.selector_name import SelectorName


def specs() -> tuple[ConditionSpec, ...]:
    return make_conditions(
        PROMPT_METHODS,
        Variants([ExemplarStyle.SHARES, ExemplarStyle.MODE], [2], [SelectorName.CHRF]),
        controls=True,
    )


def test_a_condition_is_written_as_it_always_was() -> None:
    found = {of.name: of.model_dump(mode="json") for of in specs()}

    assert found["icl, mode, answers reversed"] == {
        "name": "icl, mode, answers reversed",
        "kind": "control",
        "recipe": {
            "method": "icl",
            "style": "mode",
            "k": 2,
            "retriever": "chrf",
            "control": "reversed",
        },
        "cultures": None,
    }
    assert found["persona"]["recipe"] == {
        "method": "persona",
        "style": "shares",
        "k": 5,
        "retriever": "dense",
        "control": "none",
    }


def test_the_digest_of_conditions_is_pinned() -> None:
    found = digest_of([of.model_dump(mode="json") for of in specs()])

    assert found[:16] == "6ee63cdcc023b66a"


def test_a_condition_gives_its_recipe() -> None:
    found = {of.name: of.recipe for of in specs()}
    changed = found["icl, mode, another culture"]

    assert changed is not None
    assert changed.control is Control.FOREIGN
    assert changed.recipe == Recipe(
        Method.ICL, k=2, style=ExemplarStyle.MODE, retriever=SelectorName.CHRF
    )


def test_others_answers_are_shown_with_exemplars_and_in_no_control() -> None:
    variants = Variants([ExemplarStyle.SHARES], [5], [SelectorName.DENSE], ns_elsewhere=[3])

    found = {
        of.name: of.recipe
        for of in make_conditions([Method.PLAIN, Method.ICL], variants, controls=True)
    }

    assert {name: of.recipe.n_elsewhere for name, of in found.items() if of is not None} == {
        "plain": 0,
        "icl, elsewhere=3": 3,
        "icl, answers reversed": 0,
        "icl, another culture": 0,
    }


def test_a_condition_of_adapters_is_named_after_the_prompt_that_they_get() -> None:
    assert name_adapter_condition("persona", Method.ADAPTER) == "adapter"
    named = name_adapter_condition("persona+icl, k=2", Method.ADAPTER_ICL, label="joint")
    assert named == "adapter+icl, joint, k=2"
