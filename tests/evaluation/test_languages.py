"""Runs in other languages: who is asked in which, and that exemplars stay those of English."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.asked_language import AskedLanguage
from evaluation.asking import Absent, Condition
from evaluation.languages import find_language, put_question
from evaluation.run_spec import RecipeSpec, Variants, make_conditions
from evaluation.runner import RunPlan
from prompting.recipe import ExemplarStyle, Method, PromptLanguage, Recipe
from retrieval.selector_name import SelectorName
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary, open_library

PACKS = Path(__file__).parents[2] / "survey_data" / "packs"
FAMILY = "wvs7:Q1"
ENGLISH, GERMAN, OWN = AskedLanguage.EN, AskedLanguage.DE, AskedLanguage.OWN


@pytest.fixture(scope="module")
def library() -> SurveyLibrary:
    return open_library([PACKS], catalogue=read_catalogue())


@pytest.mark.parametrize(
    ("culture", "language"),
    [("DEU", "de"), ("MEX", "es"), ("BRA", "pt"), ("RUS", "ru"), ("CHN", "zh"), ("JPN", "en")],
)
def test_ones_own_language_is_the_most_spoken_one_with_a_translation(
    library: SurveyLibrary, culture: str, language: str
) -> None:
    assert find_language(OWN, culture, library) == language


def test_each_culture_is_asked_in_its_language(library: SurveyLibrary) -> None:
    recipe = Recipe(Method.PLAIN)
    condition = Condition("plain, own", "method", Absent("x"), recipe, language=OWN)
    plan = RunPlan((condition,), ("DEU", "KEN"), (library.questions[FAMILY],), library)

    german, kenyan = plan.asks(condition)
    wording = library.wording(FAMILY, "de")

    assert wording is not None
    assert german.question.key == FAMILY
    assert (german.question.text, german.question.options) == (wording.text, wording.options)
    assert german.recipe == Recipe(Method.PLAIN, prompt_language=PromptLanguage.DE)
    assert (kenyan.question, kenyan.recipe) == (library.questions[FAMILY], recipe)


def test_a_question_without_a_translation_is_asked_in_english_altogether(
    library: SurveyLibrary,
) -> None:
    question = next(q for q in library.questions.values() if library.wording(q.key, "de") is None)

    assert put_question(question, GERMAN, "DEU", library) == (question, PromptLanguage.EN)


def variants(*languages: AskedLanguage) -> Variants:
    return Variants([ExemplarStyle.SHARES], [5], [SelectorName.DENSE], languages)


def test_languages_are_conditions_and_english_goes_without_saying() -> None:
    several = make_conditions([Method.PLAIN, Method.ICL], variants(ENGLISH, GERMAN, OWN))
    one = make_conditions([Method.PLAIN], variants(OWN))

    assert [condition.name for condition in several] == [
        *("plain", "icl", "plain, de", "icl, de", "plain, own", "icl, own")
    ]
    assert [condition.name for condition in one] == ["plain"]


def test_a_run_in_english_is_the_run_that_it_was() -> None:
    assert "language" not in json.loads(RecipeSpec(method=Method.ICL).model_dump_json())
    german = RecipeSpec(method=Method.ICL, language=GERMAN)
    assert RecipeSpec.model_validate_json(german.model_dump_json()) == german
