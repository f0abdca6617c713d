"""What is replied, and asked, of one statement, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embedded_model.reader.intents import Intent, Wish, can_ask, make_wish
from embedded_model.reader.phrasings import FIRST, FOLLOW, HELD_OUT, phrase
from embedded_model.reader.replies import write_reply
from prompting.statement import Statement, Surveyed, list_told

KNOWN = Statement(
    "Peru",
    "Is tea good?",
    ("Yes", "No", "It depends"),
    (0.304, 0.5, 0.196),
    intervals=((0.27, 0.336), (0.461, 0.539), (0.16, 0.229)),
    surveyed=Surveyed("Tea Panel", "2019", 2123),
)
ESTIMATE = replace(KNOWN, surveyed=None, donors=("Chile", "Cuba"))


def list_replies(intent: Intent, statement: Statement) -> set[str]:
    found = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found.add(write_reply(rng, make_wish(rng, intent, statement, "Laos"), statement))
    return found


@pytest.mark.parametrize(
    ("intent", "reply"),
    [
        (Intent.ANSWER, 'In the survey "Tea Panel", 50% of people in Peru said "No".'),
        (Intent.MOST, 'In Peru, "No" is the most common answer, with 50%.'),
        (Intent.SHARE, '20% of people in Peru said "It depends".'),
        (Intent.SECOND, 'The second most common answer in Peru is "Yes", with 30%.'),
        (Intent.COMPARE, 'More people in Peru said "Yes" (30%) than "It depends" (20%).'),
        (Intent.EVERY, 'Of people in Peru, 50% said "No", 30% "Yes" and 20% "It depends".'),
        (Intent.LEAST, 'The least common answer in Peru is "It depends", with 20%.'),
        (
            Intent.SOURCE,
            'The figures are from the survey "Tea Panel", in which 2,123 people in Peru were asked '
            "in 2019.",
        ),
        (Intent.SURE, 'The 90% interval of "No", which 50% in Peru said, is 46 to 54%.'),
        (
            Intent.ELSEWHERE,
            'It is not known here how people in Laos answer. In Peru, 50% said "No".',
        ),
    ],
)
def test_what_a_survey_found_is_told(intent: Intent, reply: str) -> None:
    assert reply in list_replies(intent, KNOWN)


@pytest.mark.parametrize(
    ("intent", "reply"),
    [
        (
            Intent.ANSWER,
            "It is not known how people in Peru answer this, but it is estimated that about 50% "
            'would say "No".',
        ),
        (
            Intent.SHARE,
            "It is not known, but it is estimated that about 30% of people in Peru would say "
            '"Yes".',
        ),
        (
            Intent.SOURCE,
            "They are estimates from what people elsewhere answered, mostly in Chile and Cuba, not "
            "survey results.",
        ),
    ],
)
def test_an_estimate_is_called_one(intent: Intent, reply: str) -> None:
    assert reply in list_replies(intent, ESTIMATE)


def test_every_wording_of_an_estimate_says_so() -> None:
    for intent in Intent:
        assert all("estimate" in reply for reply in list_replies(intent, ESTIMATE))


def test_a_share_of_next_to_nothing_is_not_about_it() -> None:
    few = replace(ESTIMATE, shares=(0.002, 0.9, 0.098))

    assert not any("about less" in reply for reply in list_replies(Intent.SHARE, few))


def test_nothing_is_asked_that_the_statement_leaves_out() -> None:
    many = replace(
        KNOWN, options=tuple("abcdef"), shares=(0.1, 0.35, 0.1, 0.25, 0.15, 0.05), intervals=None
    )

    assert not can_ask(Intent.LEAST, many)
    assert not can_ask(Intent.EVERY, many)
    assert not can_ask(Intent.SURE, many)
    assert can_ask(Intent.SECOND, many)


def test_equal_shares_are_not_compared() -> None:
    even = replace(KNOWN, options=("Yes", "No"), shares=(0.5, 0.5))

    assert not any(can_ask(each, even) for each in (Intent.COMPARE, Intent.LEAST, Intent.SECOND))


def test_the_exams_phrasings_are_not_taught() -> None:
    plain = {"{question}"}
    for intent, phrasings in HELD_OUT.items():
        taught = {*FIRST.get(intent, ()), *FOLLOW.get(intent, ())}
        assert taught.isdisjoint(set(phrasings) - plain)


def test_a_user_names_option_and_place() -> None:
    rng = np.random.default_rng(0)
    wish = Wish(Intent.SHARE, list_told(KNOWN)[1:2])

    said = {phrase(rng, wish, KNOWN, "Peruvian", phrasings=FIRST) for _ in range(60)}

    assert 'Is tea good? How many percent in Peru say "Yes"?' in said
    assert "is tea good? What part of Peruvian people says Yes?" in said
    assert all("s tea good" in each for each in said)
