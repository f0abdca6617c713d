"""What is known is told in plain sentences, with rounded figures and where they come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prompting.messages import Steering, chat_system_message, survey_messages
from prompting.phrases.fields import find_phrases
from prompting.recipe import Method, PromptLanguage
from prompting.statement import Statement, Surveyed, write_statement
from tests.prompting.test_messages import ASKED, FAMILY

KNOWN = Statement(
    "the Netherlands",
    "Is family important?",
    ("Yes", "No", "It depends"),
    (0.304, 0.5, 0.196),
    intervals=((0.27, 0.336), (0.461, 0.539), (0.16, 0.229)),
    surveyed=Surveyed("A survey, wave 2", "2019-2020", 2123),
)
ESTIMATE = replace(KNOWN, surveyed=None, donors=("Germany", "the United States", "Kenya", "Peru"))


def test_what_is_known_is_told_with_its_survey() -> None:
    assert write_statement(KNOWN) == (
        'In the survey "A survey, wave 2", 2,123 people in the Netherlands were asked in '
        '2019-2020: "Is family important?" Of those who answered, 50% said "No" (90% interval 46 '
        'to 54%), 30% "Yes" (27 to 34%) and 20% "It depends" (16 to 23%). If you give figures, '
        "give these, and name the survey."
    )


def test_what_the_survey_does_not_say_is_left_out() -> None:
    bare = replace(KNOWN, intervals=None, surveyed=Surveyed("A survey", is_reworded=True))

    assert write_statement(bare).startswith(
        'In the survey "A survey", people in the Netherlands were asked, in words to this effect: '
        '"Is family important?" Of those who answered, 50% said "No", 30% "Yes" and 20%'
    )


def test_it_is_said_which_people_they_are_where_it_is_not_everyone() -> None:
    some, estimate = (replace(each, population="Users of a site") for each in (KNOWN, ESTIMATE))
    people = "people in the Netherlands (population: Users of a site)"

    assert f"2,123 {people} were asked in 2019-2020" in write_statement(some)
    assert write_statement(estimate).startswith(f"It is not known how {people} answer this")


def test_an_estimate_is_called_one() -> None:
    assert write_statement(ESTIMATE) == (
        "It is not known how people in the Netherlands answer this question: "
        '"Is family important?" From what people elsewhere answered, mostly in Germany, the United '
        'States and Kenya, it is estimated that about 50% would say "No" (90% interval 46 to 54%), '
        '30% "Yes" (27 to 34%) and 20% "It depends" (16 to 23%). These are estimates, not results '
        "of a survey: if you give them, say so."
    )


def test_an_estimate_without_a_heavy_donor_names_none() -> None:
    told = write_statement(replace(ESTIMATE, donors=()))

    assert "From what people elsewhere answered, it is estimated that about 50%" in told


def test_of_many_options_the_largest_are_told() -> None:
    many = replace(
        KNOWN,
        options=tuple("abcdef"),
        shares=(0.1, 0.35, 0.1, 0.25, 0.15, 0.05),
        intervals=None,
    )

    # Of equal shares the first option comes first: 35 + 25 + 15 + 10, and 15 are left.
    assert (
        'answered, 35% said "b", 25% "d", 15% "e", 10% "a" and the other 15% chose one of the 2 '
        "other options." in write_statement(many)
    )


@pytest.mark.parametrize(
    ("shares", "interval", "told"),
    [
        ((0.997, 0.003), ((0.99, 1.0), (0.0, 0.012)), 'less than 1% "No" (0 to 1%)'),
        ((1.0, 0.0), ((0.998, 1.0), (0.0, 0.002)), '100% said "Yes" and 0% "No".'),
    ],
)
def test_a_share_of_nearly_nothing_is_not_called_nothing(
    shares: tuple[float, float], interval: tuple[tuple[float, float], ...], told: str
) -> None:
    few = replace(KNOWN, options=("Yes", "No"), shares=shares, intervals=interval)

    assert told in write_statement(few)


def test_a_question_without_a_mark_gets_a_full_stop() -> None:
    assert '"Rate your life". Of those' in write_statement(
        replace(KNOWN, question="Rate your life")
    )


def test_what_is_known_stands_before_like_questions_and_the_callers_words() -> None:
    steering = Steering(Method.ICL, exemplars=(FAMILY,), statement=KNOWN)
    text = chat_system_message(steering, callers="Be brief.")
    parts = ("In the survey", "gave to other questions", "How much does family matter?")
    places = [text.index(part) for part in (*parts, "Speak as people", "Be brief.")]

    assert places == sorted(places)
    assert places[0] == 0


def test_it_is_told_without_exemplars_but_not_to_plain() -> None:
    told = chat_system_message(Steering(Method.ICL, statement=KNOWN))

    assert told == f"{write_statement(KNOWN)}\n\nSpeak as people who answered so would speak."
    assert chat_system_message(Steering(Method.PLAIN, statement=KNOWN)) == ""


def test_a_survey_question_is_never_told_what_is_known() -> None:
    steering = Steering(Method.ICL, exemplars=(FAMILY,))

    assert survey_messages(ASKED, replace(steering, statement=KNOWN)) == survey_messages(
        ASKED, steering
    )


@pytest.mark.parametrize(
    ("names", "listed"),
    [((), ""), (("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")],
)
def test_names_are_listed_as_in_a_sentence(names: tuple[str, ...], listed: str) -> None:
    assert find_phrases(PromptLanguage.EN).list_names(names) == listed
