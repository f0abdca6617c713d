"""A survey question in other words is recognised, and one that only sounds like it is not."""

from __future__ import annotations

import pytest

from retrieval.encoder import Encoder
from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.english import (
    find_missing,
    find_start,
    find_words,
    is_opposed,
    is_swapped,
    names_somebody_else,
    strip_scale,
)
from retrieval.index import QuestionIndex
from retrieval.recognition import QuestionRecogniser, find_cores
from retrieval.recognition_features import POSSIBLE
from survey_data.library import SurveyLibrary
from survey_data.model import Question, Scale


def made_recogniser(questions: tuple[Question, ...], encoder: Encoder) -> QuestionRecogniser:
    cores = find_cores(questions)
    return QuestionRecogniser(
        questions,
        encoder.encode([question.text for question in questions]),
        encoder=encoder,
        core_vectors=dict(zip(cores, encoder.encode(cores), strict=True)),
        vocabulary=default_vocabulary(),
    )


@pytest.fixture(scope="module")
def recogniser(
    shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder
) -> QuestionRecogniser:
    return made_recogniser(tuple(shipped.questions.values()), minilm)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("What importance does religion have in your life?", "wvs7:Q6"),
        ("what importance does  religion have in your life", "wvs7:Q6"),
        ("How important is religion in your life?", "wvs7:Q6"),
        ("How important is religon in your life?", "wvs7:Q6"),
        ("How much confidence do you have in the United Nations?", "wvs7:Q83"),
        ("Do you believe in hell?", "wvs7:Q167"),
        ("Is capital punishment ever OK?", "wvs7:Q195"),
        ("Do you trust people of other religions?", "wvs7:Q62"),
        ("Is euthanasia justifiable?", "wvs7:Q188"),
        ("Would you mind neighbours of another race?", "wvs7:Q19"),
        ("Is it ever OK for a husband to hit his wife?", "wvs7:Q189"),
        ("All things considered, how satisfied are you with your life as a whole?", "wvs7:Q49"),
    ],
)
def test_other_words_for_a_survey_question_are_recognised(
    recogniser: QuestionRecogniser, asked: str, key: str
) -> None:
    found = recogniser.recognise(asked)

    assert found.question is not None
    assert found.question.key == key
    assert [candidate.question.key for candidate in found.candidates] == [key]


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("how important is faimly in ur life", "wvs7:Q1"),
        ("how happpy are u", "wvs7:Q46"),
        ("how intrested are you in poltics", "wvs7:Q199"),
        ("how much confidence do u have in the govt", "wvs7:Q71"),
    ],
)
def test_what_is_typed_in_haste_is_recognised(
    recogniser: QuestionRecogniser, asked: str, key: str
) -> None:
    found = recogniser.recognise(asked)

    assert found.question is not None
    assert found.question.key == key


@pytest.mark.parametrize(
    "asked",
    [
        "How important is music in your life?",
        "Is curiosity an especially important quality for children to learn at home?",
        "How satisfied are you with your job these days?",
        "How strong is your confidence in supermarkets?",
        "Do men make better teachers than women do?",
        "Is the police department open on Sunday?",
        "How much do you trust people of your own nationality?",
        "On the whole, are women better political leaders than men?",
        "Is life imprisonment justifiable?",
        "Where are the headquarters of the International Monetary Fund?",
        "How satisfied were you with your life five years ago?",
        "How likely is your boss to use AI for work tasks?",
        "How much do the people in your neighbourhood trust you?",
        "Do you have neighbours of a different race?",
        "Would less respect for authority be a good thing?",
    ],
)
def test_what_only_sounds_like_a_survey_question_is_not(
    recogniser: QuestionRecogniser, asked: str
) -> None:
    assert recogniser.recognise(asked).question is None


def test_what_names_somebody_else_is_a_candidate_at_best(recogniser: QuestionRecogniser) -> None:
    compared = recogniser.compare("How likely is your boss to use AI for work tasks?")
    others = [each for each in compared if each.features.is_another]

    assert others
    assert all(each.odds <= POSSIBLE for each in others)


def test_where_it_is_not_certain_candidates_are_named(recogniser: QuestionRecogniser) -> None:
    found = recogniser.recognise("Would you mind living next door to homosexuals?")

    assert found.question is None
    assert 1 <= len(found.candidates) <= 3
    assert "wvs7:Q22" in {candidate.question.key for candidate in found.candidates}


def test_what_is_far_from_all_has_no_candidates(recogniser: QuestionRecogniser) -> None:
    assert recogniser.recognise("Does a semicolon end a line of Pascal?").candidates == ()


def test_of_two_surveys_with_one_question_the_one_that_the_culture_answered_is_taken(
    minilm: Encoder,
) -> None:
    text = "How often do you eat soup?"
    first, second = (Question(f"{p}:Q", "Food", text, ("A", "B"), Scale.BINARY) for p in "ab")
    recogniser = made_recogniser((first, second), minilm)

    for asked in (text, "How often do you eat soups?"):
        assert recogniser.recognise(asked).question == first
        assert recogniser.recognise(asked, answered={"b:Q"}).question == second


def test_a_library_of_one_question_recognises_it(minilm: Encoder) -> None:
    question = Question("a:Q", "Food", "How often do you eat soup?", ("A", "B"), Scale.BINARY)
    recogniser = made_recogniser((question,), minilm)

    assert recogniser.recognise("How often do you eat soup?").question == question
    assert recogniser.recognise("What is the capital of France?").question is None


@pytest.mark.parametrize(
    ("text", "core"),
    [
        (
            "What place does God have in your life, from 1, not important at all, to 10, very "
            "important?",
            "What place does God have in your life: important?",
        ),
        (
            "From 1, never justified, to 10, always justified, how do you judge divorce?",
            "Divorce: justified?",
        ),
        (
            "How satisfied are you, from 1, not satisfied, to 10, satisfied?",
            "How satisfied are you?",
        ),
        ("Do you agree or disagree that men lead better?", "Men lead better?"),
        ("Do you believe that hell exists?", "Do you believe that hell exists?"),
        ("Rate it from 1 to 10", "Rate it from 1 to 10"),
        ("from 0 to 10", "from 0 to 10"),
    ],
)
def test_scale_and_frame_are_left_out(text: str, core: str) -> None:
    assert strip_scale(text) == core


def test_words_are_stems_of_what_is_asked_about() -> None:
    assert set(find_words("How important is religion in your life?")) == {"religion", "life"}
    assert set(find_words("Is driving fun?")) == set(find_words("Are drives fun?"))


def test_words_that_mean_alike_are_not_missing() -> None:
    asked, known = find_words("Would gay people bother you?"), find_words("Are homosexuals odd?")

    assert find_missing(known, asked) == ["odd"]
    assert find_missing(find_words("Do kids pray?"), find_words("Do children pray?")) == []


@pytest.mark.parametrize(
    ("asked", "known", "somebody"),
    [
        ("Is your boss happy?", "Are you happy?", True),
        ("Are you happy?", "Is your boss happy?", True),
        ("Do kids pray?", "Do children pray?", False),
        ("Is a boss happy?", "Are bosses happy?", False),
    ],
)
def test_a_question_of_somebody_whom_the_other_does_not_name(
    asked: str, known: str, somebody: bool
) -> None:
    words, core = find_words(asked), find_words(known)

    assert names_somebody_else(words, core, core) is somebody


def test_who_is_named_in_the_options_is_named_by_the_question() -> None:
    asked, core = find_words("Do you trust your boss?"), find_words("Do you trust them?")

    assert names_somebody_else(asked, core, core)
    assert not names_somebody_else(asked, core, find_words("Do you trust them? My boss"))


def test_phrases_that_mean_one_word_are_that_word() -> None:
    assert set(find_words("Did you make use of a lift?")) == set(find_words("Did you use a lift?"))
    assert set(find_words("living next door to you")) == set(find_words("neighbours"))


@pytest.mark.parametrize(("text", "start"), [("How old?", "how"), ("Is it?", ""), ("", "")])
def test_a_question_starts_with_what_it_asks_with(text: str, start: str) -> None:
    assert find_start(text) == start


@pytest.mark.parametrize(
    ("asked", "known", "opposed"),
    [
        ("Do you trust people of your own religion?", "Do you trust those of another?", True),
        ("Do you trust people of another religion?", "Do you trust those who differ?", False),
        ("Are you proud of your own country?", "Are you proud of your country?", False),
        ("Where is the World Bank?", "Do you trust the World Bank?", True),
        ("Which aim comes second?", "Which aim comes first?", True),
        ("Is less respect good?", "Is more respect good?", True),
        ("Have you joined a club?", "Would you join a club?", True),
        ("Have you joined a club?", "Have you been in a club?", False),
        ("How much do neighbours trust you?", "How much do you trust neighbours?", True),
        ("How happy are you?", "How happy would you say you are?", False),
        ("How interested are you in politics?", "How much does politics interest you?", False),
        ("Do you have such neighbours?", "Would you object to such neighbours?", True),
        ("Would you mind having such neighbours?", "Would you object to them?", False),
        ("How do I teach manners?", "Do you teach manners?", True),
    ],
)
def test_what_cannot_be_one_question_is_opposed(asked: str, known: str, opposed: bool) -> None:
    assert is_opposed(asked, known) is opposed


@pytest.mark.parametrize(
    ("asked", "swapped"),
    [
        ("Are women better leaders than men?", True),
        ("Do men lead better than women?", False),
        ("Are women and men good leaders?", False),
    ],
)
def test_a_comparison_the_other_way_round_is_swapped(asked: str, swapped: bool) -> None:
    assert is_swapped(asked, "Are men better leaders than women?") is swapped
