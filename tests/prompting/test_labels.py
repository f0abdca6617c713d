"""Options are labelled with numbers or letters, and exemplars as the question is."""

from __future__ import annotations

import pytest

from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Steering, answer_line, exemplar_text, survey_messages
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Exemplar
from survey_data.model import Question, ResponseDistribution, Scale

NUMBERS, LETTERS = LabelScheme.NUMBERS, LabelScheme.LETTERS
POINTS = AskedQuestion("How free are you?", tuple(str(point) for point in range(11)), 0)
CLUB = Exemplar(
    Question("p:Q94", "Life", "In a club?", ("No", "Yes"), Scale.BINARY, first_number=0),
    ResponseDistribution("p:Q94", "ETH", (0.2, 0.8)),
    0.6,
)
SHOWN = Steering(Method.ICL, exemplars=(CLUB,), style=ExemplarStyle.SHARES)


def test_numbers_begin_at_the_first_number_and_letters_at_a() -> None:
    assert NUMBERS.list_labels(3, first_number=0) == ("0", "1", "2")
    assert LETTERS.list_labels(3, first_number=0) == ("A", "B", "C")


def test_there_are_26_letters_and_numbers_without_end() -> None:
    assert LETTERS.list_labels(26)[-1] == "Z"
    assert NUMBERS.list_labels(27)[-1] == "27"
    with pytest.raises(ValueError, match="27 options"):
        LETTERS.list_labels(27)
    assert AskedQuestion("?", ("x",) * 26).schemes == (NUMBERS, LETTERS)
    assert AskedQuestion("?", ("x",) * 27).schemes == (NUMBERS,)


def test_a_question_under_letters_shows_them_alone() -> None:
    system, user = survey_messages(POINTS.labelled(LETTERS), SHOWN)

    assert system.content.endswith("with the letter of the option you choose.")
    assert user.content == (
        f"{exemplar_text(SHOWN, scheme=LETTERS)}\n\n"
        "Now answer this question.\n\n"
        "Question: How free are you?\nOptions:\nA. 0\nB. 1\nC. 2\nD. 3\nE. 4\nF. 5\nG. 6\nH. 7\n"
        "I. 8\nJ. 9\nK. 10"
    )


def test_exemplars_under_letters_are_answered_by_letter() -> None:
    assert exemplar_text(SHOWN, scheme=LETTERS).endswith(
        "Question: In a club?\nOptions:\nA. No\nB. Yes\nAnswer: B (Yes)\nShares: A. 20%, B. 80%"
    )


def test_a_point_of_a_scale_is_said_where_its_label_does_not_say_it() -> None:
    assert answer_line(POINTS, 10) == "Answer: 10"
    assert answer_line(POINTS.labelled(LETTERS), 10) == "Answer: K (10)"


def test_another_order_keeps_the_labels() -> None:
    turned = POINTS.labelled(LETTERS).reordered(range(10, -1, -1))

    assert turned.labels == tuple("ABCDEFGHIJK")
    assert turned.options[0] == "10"
