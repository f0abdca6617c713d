"""Adapters as conditions of a run: what they are asked, and what they are compared with."""

from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.asking import Condition, CultureAdapter
from evaluation.comparisons import find_same_prompt, list_comparisons
from evaluation.figures import Figures
from evaluation.runner import RunPlan
from prompting.recipe import Method, Recipe
from tests.evaluation.surveys import (
    CULTURES,
    N_QUESTIONS,
    PaperModel,
    prompted,
    tiny_library,
    tiny_plan,
)
from tests.evaluation.test_scoring import figures_of, named

JOINT = tuple(CultureAdapter(culture, "joint@00000001") for culture in CULTURES)
SPECIFIC = (CultureAdapter("DEU", "deu@00000002"), CultureAdapter("KEN", "ken@00000003"))
METHODS = (Method.PLAIN, Method.PERSONA, Method.ICL, Method.PERSONA_ICL)
WITH_EXEMPLARS = Recipe(Method.PERSONA_ICL, k=2)


def tuned_plan(model: PaperModel) -> RunPlan:
    """A run of four methods and two sets of adapters; the second serves two cultures."""
    library = tiny_library()
    plan = tiny_plan(library, model, methods=METHODS)
    respondent = prompted(library, model)
    tuned = []
    for label, adapters in (("joint", JOINT), ("specific", SPECIFIC)):
        cultures = tuple(of.culture for of in adapters)
        for name, recipe in (("adapter", Recipe(Method.PERSONA)), ("adapter+icl", WITH_EXEMPLARS)):
            full = f"{name}, {label}"
            tuned.append(Condition(full, "method", respondent, recipe, cultures, adapters))
    return replace(plan, conditions=(*plan.conditions, *tuned))


@pytest.fixture
async def figures(tmp_path: Path) -> Figures:
    return await figures_of(tmp_path / "run", tuned_plan(PaperModel()))


def test_adapters_are_compared_with_what_they_compete_with() -> None:
    conditions = tuned_plan(PaperModel()).conditions
    found = {c.name: list_comparisons(c, conditions) for c in conditions if c.adapters}

    assert found == {
        "adapter, joint": ("persona",),
        "adapter+icl, joint": ("persona+icl", "icl", "adapter, joint"),
        "adapter, specific": ("persona", "adapter, joint"),
        "adapter+icl, specific": (
            "persona+icl", "icl", "adapter, specific", "adapter+icl, joint",
        ),
    }  # fmt: skip


def test_what_has_no_adapter_is_before_nothing() -> None:
    conditions = tuned_plan(PaperModel()).conditions

    assert all(not list_comparisons(c, conditions) for c in conditions if not c.adapters)
    assert all(find_same_prompt(c, conditions) is None for c in conditions if not c.adapters)


def test_each_culture_is_asked_of_its_own_adapter_one_after_the_other() -> None:
    plan = tuned_plan(PaperModel())
    condition = next(c for c in plan.conditions if c.name == "adapter, specific")

    asked = [(ask.culture, ask.adapter) for ask in plan.asks(condition)]

    assert asked == [
        *[("DEU", "deu@00000002")] * N_QUESTIONS, *[("KEN", "ken@00000003")] * N_QUESTIONS,
    ]  # fmt: skip


async def test_no_answer_is_shared_between_weights(figures: Figures, tmp_path: Path) -> None:
    model = PaperModel()

    await figures_of(tmp_path / "again", tuned_plan(model))

    n_cells = len(CULTURES) * N_QUESTIONS
    assert model.asked_adapters.count("joint@00000001") == 2 * n_cells
    assert model.asked_adapters.count("ken@00000003") == 2 * N_QUESTIONS
    # plain is everybody's; DEU and USA answered alike, so their exemplars are the same for icl.
    assert model.asked_adapters.count(None) == N_QUESTIONS + 3 * n_cells - N_QUESTIONS
    assert named(figures, "adapter, joint").n_requests == n_cells


def test_the_gain_is_over_the_cultures_that_both_answered_as(figures: Figures) -> None:
    tuned, before = named(figures, "adapter, specific"), named(figures, "persona")

    at_first = [before.by_culture[code].similarity.value for code in ("DEU", "KEN")]
    expected = tuned.similarity.value - sum(at_first) / 2
    assert tuned.over_method["persona"].value == pytest.approx(expected)
    assert tuned.before is not None
    assert tuned.before.condition == "persona"
    assert tuned.before.gain == tuned.over_method["persona"]


def test_people_and_before_are_of_the_same_cultures(figures: Figures) -> None:
    joint, specific = (named(figures, f"adapter, {of}") for of in ("joint", "specific"))
    section = figures.sections[0]

    assert joint.people_diversity == section.people_diversity
    assert joint.people_entropy == section.people_entropy
    # DEU's modal option is i mod 4, KEN's the next: over six
    # questions five steps of a third, and one from the end back to the start: (5 / 3 + 1) / 6.
    assert specific.people_diversity == pytest.approx(8 / 18)
    assert specific.before is not None
    assert joint.before is not None
    assert joint.before.diversity == named(figures, "persona").diversity
    assert specific.before.diversity != joint.before.diversity
    assert joint.before.entropy == named(figures, "persona").entropy


def test_peoples_entropy_is_that_of_their_shares(figures: Figures) -> None:
    # 0.7 log2 0.7 + 3 * 0.1 log2 0.1 is 1.3568 bits, of at most 2.
    assert figures.sections[0].people_entropy == pytest.approx(0.6784, abs=1e-4)
    assert named(figures, "uniform").entropy == pytest.approx(1.0)


async def test_answers_in_text_have_no_entropy(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(), PaperModel(text="2"), methods=[Method.PLAIN])

    figures = await figures_of(tmp_path / "run", plan)

    assert named(figures, "plain").entropy is None


def test_steering_is_over_the_cultures_that_are_served(figures: Figures) -> None:
    found = named(figures, "adapter, specific").steering

    assert found is not None
    assert found.cultures == ("DEU", "KEN")


async def test_without_room_for_exemplars_an_adapter_keeps_its_own_prompt(tmp_path: Path) -> None:
    model = PaperModel(room=0)

    figures = await figures_of(tmp_path / "run", tuned_plan(model))

    said = [
        messages[0].content
        for messages, adapter in zip(model.asked, model.asked_adapters, strict=True)
        if adapter
    ]
    assert said
    assert all("cultural background" in text for text in said)
    assert named(figures, "adapter+icl, joint").not_steered == 1.0
    # The same prompt to the same weights: nothing is asked twice.
    assert len(said) == (len(CULTURES) + len(SPECIFIC)) * N_QUESTIONS
