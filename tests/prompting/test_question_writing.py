"""The words that ask for a new question, and replies: read, or named for what they lack."""

from __future__ import annotations

import json

import pytest

from prompting.messages import Message
from prompting.question_writing import (
    AttemptOutcome,
    Written,
    question_json,
    read_reply,
    writing_messages,
)

CAFE = Written('Is the café "yours"?', ("Yes", "No"))
CLUB = Written("Are you in a club?", ("No", "In name", "Active"))


def test_the_prompt_shows_the_examples_in_their_order() -> None:
    system, user = writing_messages("Life", [CLUB, CAFE])

    assert system == Message(
        "system",
        "You write closed questions for a survey of people's values. You reply in JSON.",
    )
    assert user == Message(
        "user",
        "These are survey questions on the topic 'Life':\n\n"
        '{"question": "Are you in a club?", "options": ["No", "In name", "Active"]}\n'
        '{"question": "Is the café \\"yours\\"?", "options": ["Yes", "No"]}\n\n'
        "Write one new question on this topic that asks something else, with its answer options. "
        "Reply with one JSON object of the same form and nothing more.",
    )


def test_an_example_as_it_is_shown_is_a_reply() -> None:
    assert read_reply(question_json(CAFE)) == (AttemptOutcome.WRITTEN, *CAFE)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("I can't do that.", AttemptOutcome.NO_JSON),
        ('{"question": "What', AttemptOutcome.NO_JSON),
        ("[1, 2]", AttemptOutcome.NO_JSON),
        ('{"question": "\\ud800?", "options": ["a", "b"]}', AttemptOutcome.NO_JSON),
        ('{"options": ["a", "b"]}', AttemptOutcome.NO_QUESTION),
        ('{"question": " ", "options": ["a", "b"]}', AttemptOutcome.NO_QUESTION),
        ('{"question": "What?"}', AttemptOutcome.NO_OPTIONS),
        ('{"question": "What?", "options": ["a"]}', AttemptOutcome.NO_OPTIONS),
        ('{"question": "What?", "options": ["a", "a"]}', AttemptOutcome.NO_OPTIONS),
        ('{"question": "What?", "options": ["a", null]}', AttemptOutcome.NO_OPTIONS),
        ('{"question": "What?", "options": "a, b"}', AttemptOutcome.NO_OPTIONS),
    ],
)
def test_what_is_no_question_is_named(reply: str, outcome: AttemptOutcome) -> None:
    assert read_reply(reply).outcome is outcome


def test_the_first_object_in_a_reply_is_read() -> None:
    body = json.dumps({"question": "What\n now?", "options": ["Agree", "Disagree", 4]})

    reply = read_reply(f"Sure {{here}}:\n```json\n{body}\n```")

    assert reply == (AttemptOutcome.WRITTEN, "What now?", ("Agree", "Disagree", "4"))
