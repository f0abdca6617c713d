"""Every prompt against its golden file, and the promises that prompts keep.

Write the golden files anew with ``python tests/prompting/test_messages.py``, and read the diff.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prompting.messages import (
    AskedQuestion,
    CultureComparison,
    Message,
    Steering,
    chat_system_message,
    draw,
    exemplar_block,
    survey_messages,
)
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Exemplar
from survey_data.cultures import read_catalogue
from survey_data.model import Question, ResponseDistribution, Scale

GOLDEN = Path(__file__).parent / "golden"
CULTURES = read_catalogue()
COMPARISON = CultureComparison(
    most_similar=(CULTURES["KEN"], CULTURES["ZWE"], CULTURES["NGA"]),
    least_similar=(CULTURES["NLD"], CULTURES["AUS"], CULTURES["GBR"]),
)
FAMILY = Exemplar(
    Question("p:Q1", "Life", "How much does family matter?", ("Much", "Little"), Scale.BINARY),
    ResponseDistribution("p:Q1", "ETH", (0.945, 0.055)),
    0.8,
)
CLUB = Exemplar(
    Question(
        "p:Q94",
        "Life",
        "Are you in a sports club?",
        ("No", "Yes, in name", "Yes, active"),
        Scale.ORDINAL,
        first_number=0,
    ),
    ResponseDistribution("p:Q94", "ETH", (1 / 3, 1 / 3 + 0.001, 1 / 3 - 0.001)),
    0.6,
)
POINTS = Exemplar(
    Question("p:Q50", "Life", "How content are you, 1 to 3?", ("1", "2", "3"), Scale.ORDINAL),
    ResponseDistribution("p:Q50", "ETH", (0.2, 0.3, 0.5)),
    0.5,
)
ASKED = AskedQuestion("How much do friends matter?", ("Much", "Some", "Not at all"))
CASES = [(method, style) for method in Method for style in ExemplarStyle]


def steering(method: Method, style: ExemplarStyle = ExemplarStyle.MODE, seed: int = 0) -> Steering:
    return Steering(
        method=method,
        culture=CULTURES["ETH"],
        comparison=COMPARISON,
        exemplars=(FAMILY, CLUB, POINTS),
        style=style,
        seed=seed,
    )


def transcript(messages: tuple[Message, ...], chat: str) -> str:
    parts = [f"=== {message.role}\n{message.content}\n" for message in messages]
    return "\n".join([*parts, f"=== chat system\n{chat}\n"])


def rendered(method: Method, style: ExemplarStyle) -> str:
    steered = steering(method, style)
    return transcript(survey_messages(ASKED, steered), chat_system_message(steered))


def golden_file(method: Method, style: ExemplarStyle) -> Path:
    return GOLDEN / f"{method.prompt.value}.{style.value}.txt"


@pytest.mark.parametrize(("method", "style"), CASES)
def test_the_prompt_is_the_golden_one(method: Method, style: ExemplarStyle) -> None:
    assert rendered(method, style) == golden_file(method, style).read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert set(GOLDEN.iterdir()) == {golden_file(*case) for case in CASES}


def whole(method: Method) -> str:
    return " ".join(message.content for message in survey_messages(ASKED, steering(method)))


@pytest.mark.parametrize("method", [Method.PLAIN, Method.ICL])
def test_methods_that_do_not_name_the_culture_do_not(method: Method) -> None:
    assert "Ethiopia" not in whole(method)


def test_a_chat_names_the_people_once() -> None:
    named = {method: chat_system_message(steering(method)).count("Ethiopia") for method in Method}
    shown = steering(Method.ICL)
    nameless = chat_system_message(replace(shown, culture=None))

    assert named[Method.PLAIN] == 0
    assert {n for method, n in named.items() if method is not Method.PLAIN} == {1}
    assert "people in Ethiopia gave" in chat_system_message(shown)
    assert "people like you gave" in nameless


def test_an_open_question_names_the_people_and_one_with_options_does_not() -> None:
    for options, people in (((), "people in Ethiopia"), (ASKED.options, "people like you")):
        asked = replace(ASKED, options=options)
        [_, user] = survey_messages(asked, steering(Method.ICL))
        assert f"answers that {people} gave" in user.content


@pytest.mark.parametrize("method", [m for m in Method if m.names_culture])
def test_the_culture_is_named_with_its_article(method: Method) -> None:
    assert "an Ethiopian cultural background" in whole(method)
    assert "an Ethiopian cultural background" in chat_system_message(steering(method))


@pytest.mark.parametrize("method", list(Method))
def test_exemplars_are_shown_by_the_icl_methods_only(method: Method) -> None:
    assert ("How much does family matter?" in whole(method)) is method.value.endswith("icl")


def test_the_compared_cultures_come_extreme_first() -> None:
    text = whole(Method.CROSS_CULTURE)
    assert "Kenya, Zimbabwe and Nigeria" in text
    assert text.index("Kenya") < text.index("Netherlands") < text.index("Australia")


def test_exemplars_come_in_the_given_order_before_the_question() -> None:
    user = survey_messages(ASKED, steering(Method.ICL))[1].content
    places = [user.index(text) for text in ("family", "sports club", "content", "friends")]
    assert places == sorted(places)


def test_options_are_numbered_from_the_first_number() -> None:
    block = exemplar_block(CLUB, style=ExemplarStyle.MODE)
    assert "0. No\n1. Yes, in name\n2. Yes, active\nAnswer: 1 (Yes, in name)" in block


def test_a_point_of_a_scale_is_not_said_twice() -> None:
    block = exemplar_block(POINTS, style=ExemplarStyle.MODE)
    assert "\n3.\nAnswer: 3" in block
    assert "3. 3" not in block
    assert "(3)" not in block


def test_shares_are_shown_in_whole_percent() -> None:
    assert exemplar_block(FAMILY, style=ExemplarStyle.SHARES).endswith("Shares: 1. 95%, 2. 5%")


def test_a_draw_is_the_same_for_the_same_key() -> None:
    assert draw((0.5, 0.5), key="a") == draw((0.5, 0.5), key="a")


def test_draws_follow_the_shares() -> None:
    drawn = [draw((0.2, 0.0, 0.8), key=f"key {i}") for i in range(2000)]
    # 400 expected of the first, standard deviation sqrt(2000 x 0.2 x 0.8) = 17.9.
    assert abs(drawn.count(0) - 400) < 90
    assert drawn.count(1) == 0


def test_a_draw_where_rounding_leaves_a_rest_takes_the_largest_share() -> None:
    assert draw((0.0, 0.0), key="a") == 0
    assert draw((0.0, 1e-12), key="a") == 1


def test_the_seed_decides_the_drawn_answers() -> None:
    def block(seed: int) -> str:
        return exemplar_block(CLUB, style=ExemplarStyle.DRAW, seed=seed)

    assert block(3) == block(3)
    assert len({block(seed) for seed in range(30)}) == 3


@pytest.mark.parametrize("method", list(Method))
def test_questions_of_one_culture_share_their_beginning(method: Method) -> None:
    steered = steering(method)
    one = survey_messages(ASKED, steered)
    other = survey_messages(AskedQuestion("Is work important?", ("Yes", "No")), steered)
    assert one[0] == other[0]
    before = one[1].content.partition("Question: How much do friends")[0]
    assert other[1].content == f"{before}Question: Is work important?\nOptions:\n1. Yes\n2. No"


def test_an_open_question_has_no_options() -> None:
    system, user = survey_messages(AskedQuestion("What matters?"), steering(Method.PLAIN))
    assert "number" not in system.content
    assert user.content == "Question: What matters?"


def test_without_exemplars_icl_is_plain() -> None:
    bare = Steering(method=Method.ICL)
    assert survey_messages(ASKED, bare) == survey_messages(ASKED, Steering(method=Method.PLAIN))


def test_the_callers_system_text_comes_last() -> None:
    text = chat_system_message(steering(Method.PERSONA_ICL), callers="Be brief.")
    assert text.endswith("\n\nBe brief.")


def test_a_plain_chat_has_only_the_callers_system_text() -> None:
    assert chat_system_message(Steering(method=Method.PLAIN)) == ""
    assert chat_system_message(Steering(method=Method.PLAIN), callers="Be brief.") == "Be brief."


@pytest.mark.parametrize(
    "steered",
    [
        Steering(method=Method.PERSONA),
        Steering(method=Method.CROSS_CULTURE, culture=CULTURES["ETH"]),
    ],
)
def test_what_a_method_needs_must_be_given(steered: Steering) -> None:
    with pytest.raises(ValueError, match="none w"):
        survey_messages(ASKED, steered)


if __name__ == "__main__":
    for case in CASES:
        golden_file(*case).write_text(rendered(*case), encoding="utf-8")
