"""Prompts in each language against golden files, and the promises that every language keeps.

Write the golden files anew with ``python -m tests.prompting.test_languages``, and read the diff.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from string import Formatter

import pytest

from prompting.exemplar_wording import translate_exemplars
from prompting.messages import (
    AskedQuestion,
    CultureComparison,
    Steering,
    chat_system_message,
    survey_messages,
)
from prompting.phrases.fields import Phrases, find_phrases
from prompting.recipe import PROMPT_LANGUAGES, ExemplarStyle, Method, PromptLanguage
from prompting.statement import Statement, Surveyed, write_statement
from retrieval.exemplar import Elsewhere, Exemplar
from survey_data.cultures import read_catalogue
from survey_data.library import open_library

GOLDEN = Path(__file__).parent / "golden_languages"
CATALOGUE = read_catalogue()
PACKS = Path(__file__).parents[2] / "survey_data" / "packs"
OTHERS = [each for each in PROMPT_LANGUAGES if each is not PromptLanguage.EN]
FRIENDS, FAMILY, RELIGION = "wvs7:Q2", "wvs7:Q1", "wvs7:Q6"
COMPARISON = CultureComparison(
    most_similar=(CATALOGUE["KEN"], CATALOGUE["IRL"]),
    least_similar=(CATALOGUE["NLD"], CATALOGUE["ITA"]),
)
# In English alone a phrase agrees with the name of a culture.
NAMED_BY = {"article": "culture", "adjective": "culture"}

library = open_library([PACKS], catalogue=CATALOGUE)


def steer(language: PromptLanguage) -> Steering:
    phrases = find_phrases(language)
    own, other, estimate = (
        library.distribution(key, code)
        for key, code in ((FAMILY, "DEU"), (RELIGION, "NLD"), (RELIGION, "DEU"))
    )
    assert own is not None
    assert other is not None
    assert estimate is not None
    exemplars = (
        Exemplar(library.questions[RELIGION], other, elsewhere=Elsewhere(CATALOGUE["NLD"], 0.625)),
        Exemplar(library.questions[FAMILY], own, 0.8),
    )
    wording = library.wording(RELIGION, language)
    assert wording is not None
    return Steering(
        Method.CROSS_CULTURE_ICL,
        culture=CATALOGUE["DEU"],
        comparison=COMPARISON,
        exemplars=translate_exemplars(exemplars, library, language),
        style=ExemplarStyle.SHARES,
        statement=Statement(
            phrases.name_in_sentence(CATALOGUE["DEU"]),
            wording.text,
            wording.options,
            (0.54, 0.266, 0.19, 0.004),
            intervals=((0.5, 0.58), (0.23, 0.3), (0.16, 0.22), (0.0, 0.01)),
            surveyed=Surveyed("World Values Survey", "2018", 1528, is_reworded=True),
            language=language,
        ),
        language=language,
    )


def render(language: PromptLanguage) -> str:
    steering = steer(language)
    wording = library.wording(FRIENDS, language)
    assert wording is not None
    assert steering.statement is not None
    asked = AskedQuestion(wording.text, wording.options)
    estimate = replace(
        steering.statement,
        options=tuple(f"{number}" for number in range(1, 8)),
        shares=(0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02),
        intervals=None,
        surveyed=None,
        donors=tuple(map(find_phrases(language).name_in_sentence, COMPARISON.most_similar)),
    )
    parts = [f"=== {m.role}\n{m.content}\n" for m in survey_messages(asked, steering)]
    parts.append(f"=== chat system\n{chat_system_message(steering)}\n")
    parts.append(f"=== estimate\n{write_statement(estimate)}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("language", PROMPT_LANGUAGES)
def test_the_prompts_of_a_language_are_the_golden_ones(language: PromptLanguage) -> None:
    assert render(language) == (GOLDEN / f"{language}.txt").read_text(encoding="utf-8")


def placeholders(phrase: str) -> set[str]:
    names = {name for _, name, _, _ in Formatter().parse(phrase) if name}
    return {NAMED_BY.get(name, name) for name in names}


@pytest.mark.parametrize("field", [f.name for f in fields(Phrases) if f.name != "language"])
def test_a_phrase_says_the_same_things_in_every_language(field: str) -> None:
    said = {each: placeholders(getattr(find_phrases(each), field)) for each in PROMPT_LANGUAGES}

    assert set(map(frozenset, said.values())) == {frozenset(said[PromptLanguage.EN])}


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_english_is_left_in_a_prompt_with_translated_questions(
    language: PromptLanguage,
) -> None:
    english = {getattr(find_phrases(PromptLanguage.EN), f.name) for f in fields(Phrases)}
    own = {
        getattr(find_phrases(language), f.name)
        for f in fields(Phrases)
        if any(character.isalpha() for character in getattr(find_phrases(language), f.name))
        and f.name not in ("answer_with_text", "population", "told_first")
    }
    shared = {each for each in own & english if " " in each.strip("{}")}

    assert not shared


@pytest.mark.parametrize("language", PROMPT_LANGUAGES)
def test_every_culture_has_a_name(language: PromptLanguage) -> None:
    phrases = find_phrases(language)
    names = [phrases.name(culture) for culture in CATALOGUE]

    assert all(names)
    assert len(set(names)) == len(CATALOGUE)


def test_a_language_that_depends_on_the_question_has_no_phrases() -> None:
    with pytest.raises(ValueError, match="'auto' has no phrases"):
        find_phrases(PromptLanguage.AUTO)


def test_labels_and_answers_are_the_same_in_a_translation() -> None:
    german, english = (
        survey_messages(AskedQuestion("?"), steer(language))[1].content
        for language in (PromptLanguage.DE, PromptLanguage.EN)
    )

    assert "Antwort: 1 (Sehr wichtig)" in german
    assert "Answer: 1 (Highly important)" in english


def test_an_exemplar_without_a_translation_stays_as_it_is() -> None:
    key = next(key for key in library.questions if library.wording(key, "de") is None)
    culture = library.cultures_of(key)[0]
    cell = library.distribution(key, culture)
    assert cell is not None
    exemplar = Exemplar(library.questions[key], cell)

    assert translate_exemplars([exemplar], library, PromptLanguage.DE) == (exemplar,)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in PROMPT_LANGUAGES:
        (GOLDEN / f"{each}.txt").write_text(render(each), encoding="utf-8")
