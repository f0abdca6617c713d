from collections import Counter

import pytest

from evaluation.general_facts import CATEGORIES, OPPOSITES, SENTENCES
from evaluation.general_questions import (
    N_PER_KIND,
    general_questions,
    number_word,
    questions_sha256,
)

QUESTIONS = general_questions(0)
BY_KEY = {of.question.key: of for of in QUESTIONS}


def test_every_kind_has_as_many_questions() -> None:
    kinds = Counter(of.question.topic for of in QUESTIONS)

    assert len(kinds) == 12
    assert set(kinds.values()) == {N_PER_KIND}
    assert len(BY_KEY) == len(QUESTIONS) == 288


def test_the_right_place_tells_nothing_within_any_kind() -> None:
    places = Counter((of.question.topic, of.right) for of in QUESTIONS)

    assert set(places.values()) == {N_PER_KIND // 4}


def test_options_are_four_different_ones_and_no_question_is_there_twice() -> None:
    assert all(len(set(of.question.options)) == 4 for of in QUESTIONS)
    assert len({(of.question.text, of.question.options) for of in QUESTIONS}) == len(QUESTIONS)


def test_no_option_looks_like_the_number_of_an_option() -> None:
    assert not any(option.isdigit() for of in QUESTIONS for option in of.question.options)


def test_sums_and_differences_are_right_by_calculation() -> None:
    words = {number_word(n): n for n in range(100)}
    signs = {"plus": 1, "minus": -1}

    calculated = [of for of in QUESTIONS if of.question.topic in ("sums", "differences")]
    for of in calculated:
        one, sign, other = of.question.text.removeprefix("How much is ").rstrip("?").split()
        found = words[of.question.options[of.right]]
        assert found == words[one] + signs[sign] * words[other]
    assert len(calculated) == 2 * N_PER_KIND


def test_the_largest_number_is_the_largest() -> None:
    words = {number_word(n): n for n in range(100)}

    for of in QUESTIONS:
        if of.question.topic == "largest number":
            numbers = [words[option] for option in of.question.options]
            assert numbers[of.right] == max(numbers)


def test_one_option_stands_in_the_sentence() -> None:
    for of in QUESTIONS:
        if of.question.topic == "words in a sentence":
            words = of.question.text.partition("“")[2].rstrip(".”").split()
            found = [option in words for option in of.question.options]
            assert found == [place == of.right for place in range(4)]


def test_no_word_has_two_meanings_that_the_questions_need() -> None:
    members = [word for words in CATEGORIES.values() for word in words]
    adjectives = [word for pair in OPPOSITES for word in pair]

    assert len(set(members)) == len(members)
    assert len(set(adjectives)) == len(adjectives)
    assert len(set(SENTENCES)) == len(SENTENCES)


def test_a_seed_gives_its_questions_for_ever() -> None:
    assert general_questions(0) == QUESTIONS
    assert general_questions(1) != QUESTIONS
    # Another hash is other questions, which finished runs did not ask.
    assert questions_sha256(QUESTIONS).startswith("dd2b4ce6c272")


@pytest.mark.parametrize(
    ("number", "word"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (42, "forty-two")]
)
def test_numbers_are_written_as_words(number: int, word: str) -> None:
    assert number_word(number) == word


@pytest.mark.parametrize("number", [-1, 100])
def test_other_numbers_have_no_word(number: int) -> None:
    with pytest.raises(ValueError, match="0 to 99"):
        number_word(number)
