"""Conversations are the service's own prompts, and their replies stand by what those say."""

from __future__ import annotations

import numpy as np

from embedded_model.reader.conversations import draw_told, draw_untold, say_unknown
from embedded_model.reader.grading import has_only_figures_of, is_well_formed
from embedded_model.reader.material import Material
from prompting.messages import Steering
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Exemplar
from survey_data.cultures import read_catalogue
from survey_data.model import Question, ResponseDistribution, Scale
from survey_data.split import read_split

N = 60


def test_every_learned_reply_is_well_formed_and_has_the_prompts_figures(taught: Material) -> None:
    rng = np.random.default_rng(1)
    for draw in (draw_told, draw_untold):
        for _ in range(N):
            of = draw(rng, taught)
            prompt = "\n".join(m.content for i, m in enumerate(of.messages) if i not in of.learned)
            for i in of.learned:
                assert of.messages[i].role == "assistant"
                assert has_only_figures_of(of.messages[i].content, prompt)
                assert is_well_formed(of.messages[i].content), of.messages[i].content


def test_no_people_that_is_held_out_is_named(taught: Material) -> None:
    names = [read_catalogue()[code].name for code in read_split().cultures]
    rng = np.random.default_rng(2)

    for _ in range(N):
        text = "\n".join(m.content for m in draw_told(rng, taught).messages)
        # New Mexico or Thai food would be no people of theirs, but neither is in the packs.
        assert not any(f" {name}" in text for name in names)


def test_what_was_said_of_something_else_before_is_not_learned(taught: Material) -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_told(rng, taught) for _ in range(N)]
    n_replies = [sum(m.role == "assistant" for m in of.messages) for of in drawn]
    n_left = [n - len(of.learned) for n, of in zip(n_replies, drawn, strict=True)]

    assert set(n_left) == {0, 1}
    assert all(of.learned[-1] == len(of.messages) - 1 for of in drawn)


def test_some_prompts_have_a_statement_with_like_questions_and_some_alone(taught: Material) -> None:
    rng = np.random.default_rng(4)
    systems = [draw_told(rng, taught).messages[0] for _ in range(N)]

    assert {message.role for message in systems} == {"system"}
    n_shown = [message.content.count("\nQuestion: ") for message in systems]
    assert {0, 1, 5} <= set(n_shown)


def test_what_is_not_known_is_said_to_be_with_the_first_like_question() -> None:
    question = Question("made:1", "Tea", "Is tea good?", ("Yes", "No"), Scale.BINARY)
    exemplar = Exemplar(question, ResponseDistribution("made:1", "PER", (0.3, 0.7)))
    culture = read_catalogue()["PER"]
    named = Steering(Method.PERSONA_ICL, culture, exemplars=(exemplar,), style=ExemplarStyle.SHARES)
    unnamed = Steering(Method.ICL, exemplars=(exemplar,))

    assert say_unknown(named) == (
        'It is not known how people in Peru answer this. Asked "Is tea good?", most often they '
        'said "No", with 70%.'
    )
    assert say_unknown(unnamed) == (
        'That is not known. Asked "Is tea good?", most often they said "No".'
    )
    assert say_unknown(Steering(Method.ICL)) == "That is not known."
