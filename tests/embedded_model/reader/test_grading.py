"""Good and bad replies to one prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embedded_model.reader.grading import Expected, grade, is_well_formed

PROMPT = (
    'In the survey "Tea Panel", 2,123 people in Peru were asked in 2019: "Is tea good?" Of those '
    'who answered, 50% said "Not good" (90% interval 46 to 54%), 30% "Good" (27 to 34%).'
)
KNOWN = Expected(PROMPT, "Not good", ("Good", "Not good"), "50%", ("Peru", "Peruvian"))
ESTIMATE = replace(KNOWN, is_known=False, is_estimated=True)


@pytest.mark.parametrize(
    "reply",
    [
        'In Peru, 50% said "Not good".',
        'Most Peruvian people, 50 %, say it is not good. Another 30% said "Good".',
        'Of 2,123 people in Peru, 50% said "not good," in 2019.',
        '50% of people in Peru said "Not good" when asked "Is tea good?"',
    ],
)
def test_good_replies_are_right(reply: str) -> None:
    assert grade(reply, KNOWN).is_right


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        ('In Peru, 50% said "Good".', "option"),
        ('In Peru, 30% said "Good" and 50% "Not good".', "option share"),
        ('In Peru, 30% said "Not good".', "share"),
        ('In Peru, 46% said "Not good".', "share"),
        ('In Peru most people said "Not good".', "share"),
        ('In Chile, 50% said "Not good".', "people"),
        ('It is not known, but in Peru 50% said "Not good".', "candid"),
        ('In Peru, 50% of 2,124 people said "Not good".', "figures"),
        ('In Peru, 51% said "Not good".', "share figures"),
        ('In Peru, 50% said "Not good', "formed"),
        ('In Peru, 50% said "Not good". In Peru, 50% said "Not good".', "formed"),
        ('In Peru, 50% said "Not good".\nQuestion: Is tea good?', "formed"),
        ("", "option share people formed"),
    ],
)
def test_bad_replies_are_wrong_where_they_are_bad(reply: str, wrong: str) -> None:
    found = grade(reply, KNOWN)

    assert {name for name, right in found._asdict().items() if not right} == set(wrong.split())
    assert not found.is_right


def test_a_reply_that_was_cut_is_not_well_formed() -> None:
    assert not grade('In Peru, 50% said "Not good".', KNOWN, is_whole=False).formed


def test_an_estimate_has_to_be_called_one() -> None:
    assert grade('It is estimated that 50% in Peru would say "Not good".', ESTIMATE).is_right
    assert not grade('In Peru, 50% said "Not good".', ESTIMATE).candid


def test_what_is_not_known_has_to_be_said() -> None:
    unknown = replace(KNOWN, is_known=False)

    assert grade('That is not known of Peru; 50% said "Not good".', unknown).is_right
    assert not grade('In Peru, 50% said "Not good".', unknown).candid


def test_where_the_people_need_not_be_named_no_other_may_be() -> None:
    free = replace(KNOWN, people=("Niger", "Nigerien"), others=("Nigeria", "Peru"))

    assert grade('50% said "Not good".', free).is_right
    assert grade('In Niger, 50% said "Not good".', free).is_right
    assert not grade('In Nigeria, 50% said "Not good".', free).people


def test_where_no_share_is_told_none_is_given() -> None:
    bare = replace(KNOWN, share="")

    assert grade('In Peru most people said "Not good".', bare).share
    assert not grade('In Peru, 50% said "Not good".', bare).share


@pytest.mark.parametrize(
    "text", ["One. Two. Three. Four.", "no end", "1. Good\n2. Not good.", "x" * 700 + "."]
)
def test_long_or_unfinished_texts_and_lists_are_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)
