from __future__ import annotations

import json

import numpy as np
import pytest

from mini_model.new_questions import MAX_OPTION, MAX_OPTIONS, MAX_TEXT, SURVEY_TOPICS, NewQuestions
from mini_model.tokenizer import JSON_PIECES
from prompting.question_writing import AttemptOutcome, Written, question_json, read_reply
from survey_data.model import Question, Scale
from tests.mini_model.pools import small_tokenizer, wvs7


def question(key: str, topic: str, text: str = "", n_options: int = 3) -> Question:
    options = tuple(f"Option {key} {i}" for i in range(n_options))
    return Question(key, topic, text or f"Question {key}?", options, Scale.ORDINAL)


GENERATED = [question(f"g{i}", "Religious Values") for i in range(8)]
SURVEYED = [question(f"s{i}", "Religious values") for i in range(4)]


def shown_in(content: str) -> list[Written]:
    lines = [json.loads(line) for line in content.split("\n") if line.startswith("{")]
    return [Written(line["question"], tuple(line["options"])) for line in lines]


@pytest.mark.parametrize("seed", range(30))
def test_the_reply_is_another_question_of_the_same_topic(seed: int) -> None:
    other = [question(f"o{i}", "Security") for i in range(3)]
    questions = NewQuestions([*GENERATED, *other], SURVEYED)

    writing = questions.draw(np.random.default_rng(seed))

    reply = read_reply(writing.reply)
    assert reply.outcome is AttemptOutcome.WRITTEN
    topic = {q.text: q.topic.casefold() for q in [*GENERATED, *other, *SURVEYED]}
    assert {topic[text] for text in writing.shown} == {topic[reply.text]}
    assert reply.text not in writing.shown
    assert len(set(writing.shown)) == len(writing.shown)
    assert [q.text for q in shown_in(writing.messages[1].content)] == list(writing.shown)


def test_survey_questions_come_with_the_topic_that_the_service_names() -> None:
    questions, rng = NewQuestions(GENERATED, SURVEYED), np.random.default_rng(0)

    for _ in range(30):
        writing = questions.draw(rng)
        is_survey = any(text.startswith("Question s") for text in writing.shown)
        topic = "Religious values" if is_survey else "Religious Values"
        assert f"'{topic}'" in writing.messages[1].content


def test_the_topics_are_those_of_the_survey() -> None:
    topics = {q.topic for q in wvs7().questions}

    assert topics >= set(SURVEY_TOPICS.values())


def test_only_short_questions_are_replies() -> None:
    long = [
        question("a", "Security", "x" * (MAX_TEXT + 1)),
        question("b", "Security", n_options=MAX_OPTIONS + 1),
        question("c" * MAX_OPTION, "Security"),
    ]
    questions = NewQuestions([*long, question("d", "Security")], [])

    for seed in range(20):
        writing = questions.draw(np.random.default_rng(seed))
        assert read_reply(writing.reply).text == "Question d?"


def test_a_lone_question_cannot_be_a_reply() -> None:
    with pytest.raises(ValueError, match="no topic"):
        NewQuestions([question("a", "Security")], SURVEYED)


def test_fewer_questions_are_shown_where_fewer_are_wanted() -> None:
    writing = NewQuestions(GENERATED, SURVEYED).draw(np.random.default_rng(0), n_shown=2)

    assert len(writing.shown) == 2


def test_what_holds_the_json_together_is_one_token_each() -> None:
    words = small_tokenizer()
    pieces = [words.encode(piece).ids for piece in JSON_PIECES]
    start, options, between, end = (ids[0] for ids in pieces)

    written = Written("Is it (so)?", ("Yes.", "No (never)", "3%", '"Maybe"'))
    ids = words.encode(question_json(written)).ids

    assert [len(ids) for ids in pieces] == [1, 1, 1, 1]
    assert [i for i in ids if i in (start, options, between, end)] == [
        start, options, between, between, between, end,
    ]  # fmt: skip
