"""Which questions a calibration asks, and as whom."""

from __future__ import annotations

from collections import Counter

import pytest

from app.errors import OptionInvalid
from app.settings import AnswerSettings, Settings
from app.state.retrieval import read_library
from cli.calibrate.options import CalibrateOptions
from cli.calibrate.scope import N_CULTURES, select_cells, select_recipes
from prompting.recipe import ExemplarStyle, Method, Recipe
from survey_data.cultures import read_catalogue
from survey_data.errors import CultureUnknown
from survey_data.library import SurveyLibrary
from survey_data.split import read_split


@pytest.fixture(scope="module")
def library() -> SurveyLibrary:
    return read_library(Settings(), read_catalogue())


def test_questions_are_spread_over_packs_and_topics(library: SurveyLibrary) -> None:
    cells = select_cells(library, CalibrateOptions(n_questions=100), read_split())

    questions = {cell.question.key: cell.question for cell in cells}
    assert len(questions) == 100
    assert {question.pack for question in questions.values()} == set(library.packs_of("BRA"))
    topics = Counter((question.pack, question.topic) for question in questions.values())
    whole = Counter((question.pack, question.topic) for question in library.questions.values())
    # Each topic gives as many as any other, or all that it has but the held-out ones.
    most = max(topics.values())
    for topic, n_questions in whole.items():
        held_out = sum(
            (q.pack, q.topic) == topic and q.key in read_split().questions
            for q in library.questions.values()
        )
        assert topics[topic] >= min(most - 1, n_questions - held_out)


def test_each_question_is_asked_as_a_few_who_answered_it(library: SurveyLibrary) -> None:
    cells = select_cells(library, CalibrateOptions(n_questions=100), read_split())

    assert all(library.distribution(cell.question.key, cell.culture) for cell in cells)
    assert set(Counter(cell.question.key for cell in cells).values()) == {N_CULTURES}
    assert len(set(cells)) == len(cells)
    assert len({cell.culture for cell in cells}) > 40


@pytest.mark.parametrize("cultures", [(), ("Kenya",)])
def test_half_of_what_is_asked_is_novel(library: SurveyLibrary, cultures: tuple[str, ...]) -> None:
    options = CalibrateOptions(cultures=cultures, n_questions=50)
    cells = select_cells(library, options, read_split())

    assert sum(cell.is_novel for cell in cells) == len(cells) // 2


def test_nothing_held_out_is_asked(library: SurveyLibrary) -> None:
    held_out = read_split()
    everything = select_cells(library, CalibrateOptions(n_questions=1000), held_out)
    named = select_cells(library, CalibrateOptions(cultures=("Kenya",)), held_out)

    assert held_out.questions.isdisjoint(cell.question.key for cell in [*everything, *named])
    assert held_out.cultures.isdisjoint(cell.culture for cell in everything)
    assert {cell.culture for cell in named} == {"KEN"}


def test_the_same_options_select_the_same(library: SurveyLibrary) -> None:
    options, held_out = CalibrateOptions(n_questions=60), read_split()

    assert select_cells(library, options, held_out) == select_cells(library, options, held_out)


def test_too_few_questions_are_refused(library: SurveyLibrary) -> None:
    # Only the climate survey asked Albania, 16 questions.
    with pytest.raises(OptionInvalid, match=r"found 16 questions that AL was asked, expected 50"):
        select_cells(library, CalibrateOptions(cultures=("AL",)), read_split())


def test_a_culture_that_is_none_is_refused(library: SurveyLibrary) -> None:
    with pytest.raises(CultureUnknown, match="Atlantis"):
        select_cells(library, CalibrateOptions(cultures=("Atlantis",)), read_split())


def test_recipes_are_the_settings_own_but_for_what_is_said() -> None:
    settings = AnswerSettings(method=Method.PERSONA_ICL, k=3)
    styles = (ExemplarStyle.MODE, ExemplarStyle.SHARES)
    both = CalibrateOptions(methods=(Method.ICL, Method.PERSONA), styles=styles)

    assert select_recipes(settings, CalibrateOptions()) == (Recipe(Method.PERSONA_ICL, k=3),)
    assert select_recipes(settings, both) == (
        Recipe(Method.ICL, k=3, style=ExemplarStyle.MODE),
        Recipe(Method.ICL, k=3, style=ExemplarStyle.SHARES),
        # It shows no exemplars, so their style is nothing to it.
        Recipe(Method.PERSONA),
    )
