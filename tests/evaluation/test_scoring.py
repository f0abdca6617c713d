from pathlib import Path

import pytest

from evaluation.errors import BaselineInvalid, TooFewAnswers
from evaluation.figures import BootstrapInterval, ConditionFigures, Figures
from evaluation.gate import find_falls
from evaluation.run_folder import RunAnswers, RunFolder
from evaluation.runner import RunPlan, run_plan
from evaluation.scoring import RunFacts, score_run
from evaluation.sections import SectionSpec
from prompting.recipe import Method
from survey_data.library import SurveyLibrary
from tests.evaluation.surveys import (
    CULTURES,
    KEYS,
    N_QUESTIONS,
    PaperModel,
    tiny_library,
    tiny_plan,
)

EVERYTHING = SectionSpec(title="All", note="", cultures=CULTURES, questions=KEYS)
ABOUT = RunFacts("paper", "tiny", "hash", "Tiny", "2026-01-01", {"k": "2"})
N_CELLS = len(CULTURES) * N_QUESTIONS


async def figures_of(
    folder: Path, plan: RunPlan, *, sections: tuple[SectionSpec, ...] = (EVERYTHING,)
) -> Figures:
    with RunFolder(folder, settings={}, created="2026-01-01") as results:
        asked = await run_plan(plan, results, n_concurrent=2)
        answers = RunAnswers(asked, results.answers)
        return score_run(plan, answers, sections=sections, about=ABOUT)


def named(figures: Figures, name: str, *, section: int = 0) -> ConditionFigures:
    return next(of for of in figures.sections[section].conditions if of.name == name)


async def test_every_condition_has_figures_in_every_section(tmp_path: Path) -> None:
    part = SectionSpec(title="Part", note="note", cultures=("DEU", "KEN"), questions=KEYS[:3])
    plan = tiny_plan(tiny_library(), PaperModel(), controls=True)

    figures = await figures_of(tmp_path / "run", plan, sections=(EVERYTHING, part))

    names = [of.name for of in figures.sections[0].conditions]
    assert names == [
        "plain", "persona", "icl", "icl, answers reversed", "icl, another culture",
        "uniform", "prior by option count", "world mean", "most similar country",
        "nearest exemplars",
    ]  # fmt: skip
    assert [of.name for of in figures.sections[1].conditions] == names
    assert [section.n_cells for section in figures.sections] == [N_CELLS, 6]
    assert named(figures, "icl", section=1).n_cells == 6


async def test_the_cost_is_that_of_different_requests(tmp_path: Path) -> None:
    model = PaperModel()

    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), model))

    assert named(figures, "plain").n_requests == N_QUESTIONS
    assert named(figures, "persona").n_requests == N_CELLS
    assert named(figures, "persona").completion_tokens == N_CELLS
    assert named(figures, "uniform").prompt_tokens == 0


async def test_the_gain_over_plain_is_paired(tmp_path: Path) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))

    plain, persona = named(figures, "plain"), named(figures, "persona")
    assert plain.over_plain is None
    assert persona.over_plain is not None
    assert persona.over_plain.value == pytest.approx(
        persona.similarity.value - plain.similarity.value
    )
    assert set(persona.over_reference) == {
        "uniform", "prior by option count", "world mean", "most similar country",
        "nearest exemplars",
    }  # fmt: skip


async def test_gains_over_plain_are_in_alignment_and_soft_accuracy_too(tmp_path: Path) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))

    plain, icl = named(figures, "plain"), named(figures, "icl")
    assert plain.alignment is not None
    assert icl.alignment is not None
    assert icl.alignment_over_plain is not None
    assert icl.soft_over_plain is not None
    # Every answer could be read and the survey has no gap, so gains are differences.
    assert icl.alignment_over_plain.value == pytest.approx(
        icl.alignment.value - plain.alignment.value
    )
    assert icl.soft_over_plain.value == pytest.approx(icl.soft.value - plain.soft.value)
    for gain in (icl.alignment_over_plain, icl.soft_over_plain):
        assert gain.low < gain.value < gain.high
    assert (plain.alignment_over_plain, plain.soft_over_plain) == (None, None)


async def test_without_plain_nothing_is_over_it(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(), PaperModel(), methods=[Method.ICL])

    figures = await figures_of(tmp_path / "run", plan)

    icl = named(figures, "icl")
    assert (icl.over_plain, icl.alignment_over_plain, icl.soft_over_plain) == (None, None, None)


async def test_a_question_that_none_of_the_cultures_was_asked_takes_no_part(tmp_path: Path) -> None:
    library = tiny_library(not_asked={"DEU": (0,), "KEN": (0, 1)})
    part = SectionSpec(title="Part", note="", cultures=("DEU", "KEN"), questions=KEYS)
    less = part.model_copy(update={"questions": KEYS[1:]})

    figures = await figures_of(
        tmp_path / "run", tiny_plan(library, PaperModel()), sections=(part, less)
    )

    section, same = figures.sections
    assert (section.n_questions, section.n_cells) == (N_QUESTIONS - 1, 9)
    # Nor any draw, so that intervals are those of the others.
    assert section.conditions == same.conditions
    assert len(figures.samples) == N_QUESTIONS - 1


async def test_steering_and_diversity_are_of_conditions_that_speak_for_cultures(
    tmp_path: Path,
) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))

    assert named(figures, "plain").steering is None
    assert named(figures, "plain").diversity == 0.0
    steering = named(figures, "persona").steering
    assert steering is not None
    assert steering.cultures == CULTURES
    assert figures.sections[0].people_diversity is not None


async def test_the_same_answers_give_the_same_figures(tmp_path: Path) -> None:
    library = tiny_library()

    first = await figures_of(tmp_path / "a", tiny_plan(library, PaperModel()))
    second = await figures_of(tmp_path / "b", tiny_plan(library, PaperModel()))

    assert first == second
    assert Figures.model_validate_json(first.model_dump_json()) == first


async def test_seeds_that_change_nothing_change_no_figure(tmp_path: Path) -> None:
    library = tiny_library()

    one = await figures_of(tmp_path / "a", tiny_plan(library, PaperModel()))
    three = await figures_of(tmp_path / "b", tiny_plan(library, PaperModel(), seeds=(0, 1, 2)))

    assert named(three, "icl").similarity == pytest.approx(named(one, "icl").similarity)
    assert named(three, "icl").alignment == pytest.approx(named(one, "icl").alignment)
    assert named(three, "icl").over_plain == pytest.approx(named(one, "icl").over_plain)


async def test_option_orders_give_a_shift(tmp_path: Path) -> None:
    figures = await figures_of(
        tmp_path / "run", tiny_plan(tiny_library(), PaperModel(), n_orders=2)
    )

    shift = named(figures, "plain").order_shift
    assert shift is not None
    assert shift > 0.0
    assert named(figures, "uniform").order_shift is None


async def test_unreadable_answers_are_counted_and_refusals_told_apart(tmp_path: Path) -> None:
    model = PaperModel(text="As an AI I cannot answer that.")

    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), model))

    plain = named(figures, "plain")
    assert (plain.unreadable, plain.refused, plain.similarity.value) == (1.0, 1.0, 0.0)
    assert plain.alignment is None


async def test_prompts_without_room_for_exemplars_are_counted(tmp_path: Path) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel(room=0)))

    assert named(figures, "icl").not_steered == 1.0
    assert named(figures, "persona").not_steered == 0.0


async def test_samples_show_people_beside_every_condition(tmp_path: Path) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))

    assert len(figures.samples) == 6
    assert figures.samples[0].people == pytest.approx((0.7, 0.1, 0.1, 0.1))
    assert set(figures.samples[0].answers) == {of.name for of in figures.sections[0].conditions}


async def test_a_few_questions_place_nobody_on_the_map(tmp_path: Path) -> None:
    figures = await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))

    assert figures.cultural_map is None


async def test_one_question_is_too_few(tmp_path: Path) -> None:
    one = SectionSpec(title="One", note="", cultures=CULTURES, questions=KEYS[:1])

    with pytest.raises(TooFewAnswers, match="1 questions in 5 cultures"):
        await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()), sections=(one,))


@pytest.fixture
async def figures(tmp_path: Path) -> Figures:
    return await figures_of(tmp_path / "run", tiny_plan(tiny_library(), PaperModel()))


def moved(figures: Figures, name: str, culture: str, *, by: float) -> Figures:
    """The same figures with one culture's interval of similarity moved."""
    text = figures.model_dump()
    for of in text["sections"][0]["conditions"]:
        if of["name"] == name:
            values = of["by_culture"][culture]["similarity"]
            of["by_culture"][culture]["similarity"] = [value + by for value in values]
    return Figures.model_validate(text)


def test_a_run_passes_its_own_gate(figures: Figures) -> None:
    assert find_falls(figures, figures) == ()


def test_a_culture_that_falls_below_its_interval_is_named(figures: Figures) -> None:
    baseline = moved(figures, "icl", "KEN", by=0.5)

    (fall,) = find_falls(figures, baseline)

    assert (fall.condition, fall.culture, fall.metric) == ("icl", "KEN", "similarity")
    assert fall.found is not None
    assert fall.found < fall.baseline.low


def test_a_culture_that_rises_passes(figures: Figures) -> None:
    assert find_falls(figures, moved(figures, "icl", "KEN", by=-0.5)) == ()


def test_references_and_controls_cannot_fall(figures: Figures) -> None:
    assert find_falls(figures, moved(figures, "uniform", "KEN", by=0.5)) == ()


def test_what_is_measured_no_more_has_fallen(figures: Figures) -> None:
    section = figures.sections[0]
    kept = tuple(of for of in section.conditions if of.name != "icl")
    less = figures.model_copy(
        update={"sections": (section.model_copy(update={"conditions": kept}),)}
    )

    found = find_falls(less, figures)

    assert {fall.condition for fall in found} == {"icl"}
    assert all(fall.found is None for fall in found)


def test_a_baseline_of_another_pack_is_refused(figures: Figures) -> None:
    with pytest.raises(BaselineInvalid, match="'other'"):
        find_falls(figures, figures.model_copy(update={"pack": "other"}))


def test_a_baseline_that_asked_something_else_is_refused(figures: Figures) -> None:
    with pytest.raises(BaselineInvalid, match="other questions"):
        find_falls(figures, figures.model_copy(update={"compared": "other"}))


def test_a_baseline_of_another_form_is_refused(figures: Figures) -> None:
    with pytest.raises(BaselineInvalid, match="schema_version is 99"):
        find_falls(figures, figures.model_copy(update={"schema_version": 99}))


def test_a_baseline_without_sections_gates_nothing(figures: Figures) -> None:
    with pytest.raises(BaselineInvalid, match="no method"):
        find_falls(figures, figures.model_copy(update={"sections": ()}))


def test_a_value_that_is_no_number_has_fallen(figures: Figures) -> None:
    assert find_falls(moved(figures, "icl", "KEN", by=float("nan")), figures)


def test_a_baseline_without_methods_gates_nothing_and_is_refused(figures: Figures) -> None:
    section = figures.sections[0]
    none = figures.model_copy(update={"sections": (section.model_copy(update={"conditions": ()}),)})

    with pytest.raises(BaselineInvalid, match="no method"):
        find_falls(figures, none)


def test_an_interval_is_value_low_high(figures: Figures) -> None:
    interval = named(figures, "icl").similarity

    assert isinstance(interval, BootstrapInterval)
    assert interval.low <= interval.value <= interval.high


async def test_an_answer_from_a_respondent_that_gives_no_shares_still_counts(
    tmp_path: Path,
) -> None:
    library: SurveyLibrary = tiny_library()
    plan = tiny_plan(library, PaperModel(text="2"), methods=[Method.PLAIN])

    figures = await figures_of(tmp_path / "run", plan)

    # Everybody says the second: by the tiny survey's design a quarter of modes, give or take.
    gold = [(c + i) % 4 for c in range(len(CULTURES)) for i in range(N_QUESTIONS)]
    assert named(figures, "plain").exact.value == pytest.approx(gold.count(1) / N_CELLS)
