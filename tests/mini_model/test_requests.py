from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from mini_model.phrasings import (
    CLOSED_LAYOUTS,
    HELD_OUT_FRAMES,
    HELD_OUT_LAYOUTS,
    HELD_OUT_SUBJECTS,
    OPEN_FRAMES,
    Frame,
    phrase_closed_question,
    phrase_open_question,
)
from mini_model.requests import FILLINGS, HELD_OUT, TAUGHT, draw_other_request, list_taught_words
from mini_model.tokenizer import ANSWER, find_label_ids
from prompting.messages import AskedQuestion
from tests.mini_model.pools import small_tokenizer

TEXT = "How important is family in your life?"
ASKED = AskedQuestion(TEXT, ("Very important", "1", "2"), 0)


@pytest.mark.parametrize("templates", [TAUGHT, HELD_OUT])
def test_every_slot_is_filled(templates: Sequence[str]) -> None:
    rng = np.random.default_rng(0)

    for template in templates:
        assert "{" not in draw_other_request(rng, [template])


def test_requests_hardly_repeat() -> None:
    rng = np.random.default_rng(0)

    assert len({draw_other_request(rng) for _ in range(1000)}) > 700


def test_held_out_templates_are_not_taught() -> None:
    taught = "\n".join(list_taught_words())

    assert not set(HELD_OUT) & set(TAUGHT)
    for template in HELD_OUT:
        assert re.sub(r"\{\w+\}", "", template) not in taught


def test_every_filling_is_used() -> None:
    used = set(re.findall(r"\{(\w+)\}", "".join([*TAUGHT, *HELD_OUT])))

    assert used == set(FILLINGS)


def test_no_request_looks_like_an_answer() -> None:
    rng, words = np.random.default_rng(0), small_tokenizer()
    (answer,) = words.encode(ANSWER).ids
    labels = set(find_label_ids(words).values())
    for _ in range(300):
        ids = words.encode(f"<|user|>{draw_other_request(rng)}<|end|>").ids
        assert answer not in ids
        assert not labels & set(ids)


def test_a_bare_frame_leaves_the_question_nearly_as_it_is() -> None:
    found = {
        phrase_open_question(np.random.default_rng(i), TEXT, frame=Frame()) for i in range(200)
    }

    lower = TEXT[0].lower() + TEXT[1:]
    assert found == {TEXT, TEXT[:-1], lower, lower[:-1]}


@pytest.mark.parametrize("text", ["I am happy?", "EU membership is good?", "In what way?"])
def test_only_ordinary_words_lose_their_capital(text: str) -> None:
    found = {
        phrase_open_question(np.random.default_rng(i), text, frame=Frame("So, ", " Why?"))
        for i in range(60)
    }

    assert len(found) == (2 if text.startswith("In") else 1)


def test_after_a_full_stop_the_question_keeps_its_capital() -> None:
    for i in range(60):
        said = phrase_open_question(np.random.default_rng(i), TEXT, frame=Frame("I am curious. "))
        assert said.startswith("I am curious. How ")


def test_held_out_phrasings_are_not_taught() -> None:
    leads, tails = {f.lead for f in OPEN_FRAMES} - {""}, {f.tail for f in OPEN_FRAMES} - {""}

    assert not leads & {frame.lead for frame in HELD_OUT_FRAMES}
    assert not tails & {frame.tail for frame in HELD_OUT_FRAMES}
    assert not set(CLOSED_LAYOUTS) & set(HELD_OUT_LAYOUTS)


@pytest.mark.parametrize("layout", [*CLOSED_LAYOUTS, *HELD_OUT_LAYOUTS])
def test_every_layout_has_the_options_markers_as_a_survey_question(layout: str) -> None:
    words = small_tokenizer()
    text = phrase_closed_question(np.random.default_rng(0), ASKED, layout=layout)

    tokens = words.encode(f"<|user|>{text}<|end|>").tokens
    lines = text.split("\n")
    first = lines.index("0. Very important")
    assert lines[first + 1 : first + 3] == ["1.", "2."]
    assert TEXT in text
    assert [t for t in tokens if re.fullmatch(r"\d+\.", t)] == ["0.", "1.", "2."]
    assert not {words.id_to_token(i) for i in find_label_ids(words).values()} & set(tokens)


def test_short_questions_are_drawn_too_and_name_taught_subjects_only() -> None:
    found = [phrase_open_question(np.random.default_rng(i), TEXT) for i in range(400)]

    short = [said for said in found if TEXT[1:-1] not in said]
    assert 100 < len(short) < 300
    assert not any(subject in said for said in short for subject in HELD_OUT_SUBJECTS)
