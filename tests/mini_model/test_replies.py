from __future__ import annotations

import pytest

from mini_model.replies import CANNOT_HELP, Said, put_in_words, read, reply, what_to_say
from prompting.messages import CultureComparison, Steering, exemplar_block
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Exemplar
from survey_data.cultures import read_catalogue
from survey_data.model import Question, ResponseDistribution, Scale
from tests.mini_model.pools import small_tokenizer, wvs7_pool

WORDS = ("Very important", "Rather important", "Not important")
GERMANY = read_catalogue()["DEU"]


def exemplar(*shares: float, options: tuple[str, ...] = WORDS, first_number: int = 1) -> Exemplar:
    question = Question("q", "t", "How?", options, Scale.ORDINAL, first_number=first_number)
    return Exemplar(question, ResponseDistribution("q", "DEU", shares))


def steering(
    first: Exemplar, style: ExemplarStyle = ExemplarStyle.SHARES, method: Method = Method.ICL
) -> Steering:
    other = exemplar(0.0, 0.0, 1.0)
    comparison = CultureComparison((GERMANY,), (GERMANY,))
    return Steering(method, GERMANY, comparison, (first, other), style=style, seed=3)


def test_an_option_with_half_of_the_people_has_most_of_them() -> None:
    # 0.495 is shown as 50 %: 49 + 49 + 1 leave 1, which goes to the first of the two.
    half = steering(exemplar(0.495, 0.495, 0.01))

    assert reply(half) == (
        'Most people like me, 50%, chose "Very important" when asked a similar question.'
    )


def test_an_option_with_less_than_half_has_the_largest_group() -> None:
    assert reply(steering(exemplar(0.3, 0.42, 0.28))) == (
        "The largest group of people like me, 42%, "
        'chose "Rather important" when asked a similar question.'
    )


@pytest.mark.parametrize("method", [Method.PERSONA_ICL, Method.CROSS_CULTURE_ICL])
def test_people_are_named_where_the_prompt_names_them(method: Method) -> None:
    named = steering(exemplar(0.2, 0.8, 0.0), method=method)

    assert reply(named) == (
        "Most people with a German background, 80%, "
        'chose "Rather important" when asked a similar question.'
    )


def test_without_shares_only_the_shown_answer_is_said() -> None:
    assert reply(steering(exemplar(0.3, 0.42, 0.28), ExemplarStyle.MODE)) == (
        'People like me chose "Rather important" when asked a similar question.'
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_drawn_answer_is_the_one_that_the_prompt_shows(seed: int) -> None:
    first = exemplar(0.34, 0.33, 0.33)
    drawn = Steering(Method.ICL, exemplars=(first,), style=ExemplarStyle.DRAW, seed=seed)

    said = what_to_say(drawn)

    assert said is not None
    shown = exemplar_block(first, style=ExemplarStyle.DRAW, seed=seed)
    assert shown.endswith(f"({said.option})")


def test_a_point_of_a_scale_is_a_number_in_running_text() -> None:
    scale = exemplar(0.1, 0.2, 0.6, 0.1, options=("Bad", "1", "2", "Good"), first_number=0)

    assert (
        reply(steering(scale)) == "Most people like me, 60%, chose 2 when asked a similar question."
    )


def test_an_option_that_is_another_number_than_its_label_is_quoted() -> None:
    years = exemplar(0.1, 0.9, options=("5", "10"))

    assert 'chose "10" when' in reply(steering(years))


@pytest.mark.parametrize("method", [Method.PLAIN, Method.PERSONA, Method.ICL])
def test_without_exemplars_there_is_nothing_to_say(method: Method) -> None:
    assert reply(Steering(method, culture=GERMANY)) == CANNOT_HELP


@pytest.mark.parametrize(
    "said",
    [
        Said("people like me", "Very important", False, 61),
        Said("people like me", 'The "other" one', False, 12),
        Said("people with an Ethiopian background", "7", True, 50),
        Said("people with a German background", "7", False, None),
        Said("people like me", "0", True, None),
    ],
)
def test_what_is_said_can_be_read(said: Said) -> None:
    assert read(put_in_words(said)) == said


@pytest.mark.parametrize(
    "text",
    [
        CANNOT_HELP,
        "",
        'Most people like me, 49%, chose "Yes" when asked a similar question.',
        'The largest group of people like me, 50%, chose "Yes" when asked a similar question.',
        'people like me chose "Yes" when asked a similar question.',
        'Most people like me, 61%, chose "Yes" when asked a similar question. And so on.',
        "Most people like me, 61%, chose Yes when asked a similar question.",
    ],
)
def test_other_texts_are_not_read(text: str) -> None:
    assert read(text) is None


def test_an_option_has_the_same_tokens_in_prompt_and_reply() -> None:
    words, awkward = (
        small_tokenizer(),
        ["Yes.", "No (never)", "(Other)", '"So-so"', "50-60%", "1 to 5"],
    )
    for option in {*awkward, *(o for q in wvs7_pool().questions for o in q.options)}:
        shown = words.encode(f"Answer: 1 ({option})\nShares: 1. 100%").ids
        said = words.encode(put_in_words(Said("people like me", option, False, 61))).ids
        chose = words.encode('x chose "').ids[-1]
        copied = said[
            said.index(chose) + 1 : -len(words.encode('" when asked a similar question.').ids)
        ]
        assert words.decode(copied) == option
        # After the cue, the label and the bracket.
        assert shown[3 : 3 + len(copied)] == copied
