from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import pytest

from mini_model.new_questions import NewQuestions
from mini_model.replies import CANNOT_HELP
from mini_model.reply_exam import Generate, ReplyExam
from mini_model.tokenizer import END
from retrieval.exemplar import Exemplar
from survey_data.cultures import read_catalogue
from survey_data.model import Question
from tests.mini_model.pools import small_tokenizer, wvs7

WORDS = small_tokenizer()


class AskedCell(NamedTuple):
    question: Question
    exemplars: tuple[Exemplar, ...]


def cells(n: int) -> list[AskedCell]:
    """Questions of `wvs7` as Germans are asked them, each with the two that come after it."""
    by_key = {cell.question: cell for cell in wvs7().distributions if cell.culture == "DEU"}
    asked = [q for q in wvs7().questions if q.key in by_key][:: 200 // n]
    known = [Exemplar(q, by_key[q.key]) for q in asked]
    return [AskedCell(asked[i], tuple(known[i + 1 : i + 3])) for i in range(n)]


EXAM = ReplyExam(WORDS, cells(24), read_catalogue())


def says(text: str) -> Generate:
    return lambda prompt, max_tokens: WORDS.encode(f"{text}{END}").ids


def reader(prompt: list[int], max_tokens: int) -> list[int]:
    """Reply as the prompt's text lets one, found in another way than the corpus writes it."""
    text = WORDS.decode(prompt, skip_special_tokens=False)
    answer = re.search(r"Answer: (\d+)(?: \((.*)\))?\n(?:Shares: (.*))?", text)
    if answer is None:
        return WORDS.encode(f"{CANNOT_HELP}{END}").ids
    people = "people like me"
    if "a German cultural background" in text:
        people = "people with a German background"
    option = f'"{answer[2]}"' if answer[2] else answer[1]
    if answer[3]:
        share = re.search(rf"(?:^| ){answer[1]}\. (\d+)%", answer[3])
        assert share is not None
        group = "Most" if int(share[1]) >= 50 else "The largest group of"
        said = f"{group} {people}, {share[1]}%, chose {option}"
    else:
        said = f"P{people[1:]} chose {option}"
    return WORDS.encode(f"{said} when asked a similar question.{END}").ids


def test_the_right_replies_get_full_marks() -> None:
    scores = EXAM.score_open(reader)

    assert {name: rate.share for name, rate in scores.items()} == dict.fromkeys(scores, 1.0)
    # Of eight turns in a row four name the culture, and of four two show shares.
    assert scores["open_exact"].n == scores["open_new_exact"].n == 24
    assert (scores["open_culture"].n, scores["open_share"].n) == (12, 12)


def test_each_part_of_a_reply_is_judged_by_itself() -> None:
    wrong = 'Most people like me, 51%, chose "Purple" when asked a similar question.'

    scores = EXAM.score_open(says(wrong))

    assert scores["open_formed"].share == 1.0
    assert scores["open_people"].share == 0.5
    assert scores["open_culture"].share == scores["open_option"].share == 0.0
    assert scores["open_exact"].share == 0.0


@pytest.mark.parametrize("generate", [says(CANNOT_HELP), lambda prompt, n: [5] * n])
def test_other_texts_and_endless_ones_are_no_replies(generate: Generate) -> None:
    scores = EXAM.score_open(generate)

    assert all(rate.share == 0.0 for rate in scores.values())


def test_refusals_are_counted() -> None:
    assert {r.share for r in EXAM.score_refusals(says(CANNOT_HELP)).values()} == {1.0}
    # What reads exemplars whatever is asked refuses only where there are none.
    read = EXAM.score_refusals(reader)
    assert (read["other_refused"].share, read["unasked_refused"].share) == (0.0, 1.0)
    assert read["other_refused"].n == 24


def test_a_label_alone_answers_a_layout() -> None:
    assert EXAM.score_layouts(says("1"))["layout_answered"].share == 1.0
    assert EXAM.score_layouts(says("1. Yes"))["layout_answered"].share == 0.0


def test_json_is_new_once() -> None:
    questions = NewQuestions(wvs7().questions, [])
    new = '{"question": "Is it so?", "options": ["Yes", "No"]}'

    scores = EXAM.score_json(says(new), questions, n=5)

    assert scores["json_valid"] == (1.0, 5)
    assert scores["json_new"] == (0.2, 5)


def test_json_that_is_known_broken_or_within_talk_does_not_count() -> None:
    questions = NewQuestions(wvs7().questions, [])
    known = questions.draw(np.random.default_rng(1)).reply.upper()
    known = known.replace('"QUESTION"', '"question"').replace('"OPTIONS"', '"options"')

    assert EXAM.score_json(says(known), questions, n=3)["json_new"] == (0.0, 3)
    for text in ('{"question": "Is it so?", "options": ["Yes"]}', 'Sure: {"question": "x?"}'):
        scores = EXAM.score_json(says(text), questions, n=3)
        assert scores["json_valid"] == (0.0, 3)
        assert math.isnan(scores["json_new"].share)
