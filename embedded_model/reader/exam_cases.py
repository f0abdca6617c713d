"""What the exam asks: held-out questions, peoples and phrasings, in the service's prompts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from embedded_model.reader.conversations import show_nearest
from embedded_model.reader.facts import Rng, draw, state_survey
from embedded_model.reader.grading import Expected
from embedded_model.reader.intents import Intent, can_ask, make_wish
from embedded_model.reader.labels import LabelRequest, list_elsewhere, request_label
from embedded_model.reader.material import Material
from embedded_model.reader.phrasings import FIRST, FOLLOW, HELD_OUT, phrase
from embedded_model.reader.replies import write_reply
from prompting.messages import Message, Steering, chat_messages
from prompting.percents import whole_percents
from prompting.recipe import ExemplarStyle, Method
from prompting.statement import Statement, Surveyed
from survey_data.cultures import Culture
from survey_data.model import Question
from survey_data.split import Split

N_SHOWN = 5
N_OTHERS = 4
_INTENTS = (Intent.ANSWER, Intent.SHARE, Intent.ANSWER, Intent.MOST, Intent.TEXT, Intent.COMPARE)
_FOLLOWING = (Intent.SHARE, Intent.SECOND, Intent.MOST, Intent.ELSEWHERE)
_WIDTH = 0.08


class Case(NamedTuple):
    """A prompt, what is to be replied to it, and which kind it is."""

    kind: str
    messages: tuple[Message, ...]
    expected: Expected


class LabelCase(NamedTuple):
    """A question that is answered by a label, and the mean shares of like ones as long."""

    request: LabelRequest
    nearest: tuple[float, ...]


def draw_cases(material: Material, held_out: Split, *, n: int, seed: int = 0) -> list[Case]:
    """Return `n` cases or fewer: every third of an estimate, every sixth of nothing known."""
    rng = np.random.default_rng(seed)
    cells = _draw_cells(rng, material, held_out)[:n]
    return [_make_case(rng, material, i, *cell) for i, cell in enumerate(cells)]


def draw_label_cases(
    material: Material, held_out: Split, *, n: int, seed: int = 0
) -> list[LabelCase]:
    """Return `n` questions to be answered by a label, five like ones shown."""
    rng = np.random.default_rng(seed)
    cases = []
    for index, culture in _draw_cells(rng, material, held_out)[:n]:
        question = material.questions[index]
        shown = show_nearest(material, index, culture, N_SHOWN)
        steering = Steering(Method.ICL, culture, exemplars=shown, style=ExemplarStyle.SHARES)
        wanted = material.cells[question.key, culture.code].shares
        alike = [e.distribution.shares for e in shown if len(e.distribution.shares) == len(wanted)]
        mean = np.mean(alike, axis=0) if alike else np.full(len(wanted), 1.0 / len(wanted))
        request = request_label(question, steering, wanted)
        cases.append(LabelCase(request, tuple(mean.tolist())))
    return cases


def _draw_cells(rng: Rng, material: Material, held_out: Split) -> list[tuple[int, Culture]]:
    """Return questions with a people that was asked each, held-out peoples half of them."""
    cells = []
    for index in material.asked:
        surveyed = material.surveyed[material.questions[index].key]
        apart = [c for c in surveyed if c.code in held_out.cultures]
        others = [c for c in surveyed if c.code not in held_out.cultures]
        chosen = rng.permutation(len(others))[:N_OTHERS].tolist()
        cells += list(product([index], [*apart, *(others[i] for i in chosen)]))
    return [cells[i] for i in rng.permutation(len(cells))]


def _make_case(rng: Rng, material: Material, turn: int, index: int, culture: Culture) -> Case:
    question = material.questions[index]
    shown = show_nearest(material, index, culture, N_SHOWN) if turn % 2 else ()
    if turn % 6 == 5:
        method = Method.ICL if turn % 12 == 11 else Method.PERSONA_ICL
        return _ask_untold(rng, material, method, index, culture)
    if turn % 3 == 1:
        statement, kind = _estimate(material, question, culture), "estimate"
    else:
        statement, kind = _state(material, question, culture), "survey"
    steering = Steering(
        Method.ICL, culture, exemplars=shown, style=ExemplarStyle.SHARES, statement=statement
    )
    return _ask(rng, material, kind, turn, steering, statement)


def _ask(
    rng: Rng, material: Material, kind: str, turn: int, steering: Steering, statement: Statement
) -> Case:
    culture = steering.culture
    assert culture is not None
    is_following = turn % 4 == 3
    allowed = [i for i in (_FOLLOWING if is_following else _INTENTS) if can_ask(i, statement)]
    intent = allowed[turn % len(allowed)]
    elsewhere = draw(rng, [c for c in material.cultures if c != culture]).name_in_sentence
    wish = make_wish(rng, intent, statement, elsewhere)
    turns: list[Message] = []
    if is_following:
        first = make_wish(rng, Intent.ANSWER, statement, "")
        user = phrase(rng, first, statement, culture.adjective, phrasings=FIRST)
        turns = [
            Message("user", user),
            Message("assistant", write_reply(rng, first, statement)),
        ]
    phrasings = FOLLOW if is_following else HELD_OUT
    user = phrase(rng, wish, statement, culture.adjective, phrasings=phrasings)
    messages = chat_messages([*turns, Message("user", user)], steering)
    about = wish.told[0]
    expected = Expected(
        _join(messages),
        statement.options[about.option],
        statement.options,
        about.share,
        (statement.place, culture.adjective),
        is_known=intent is not Intent.ELSEWHERE,
        is_estimated=kind == "estimate",
    )
    return Case(f"{kind}, following up" if is_following else kind, messages, expected)


def _ask_untold(rng: Rng, material: Material, method: Method, index: int, culture: Culture) -> Case:
    question = material.questions[index]
    steering = Steering(
        method,
        culture,
        exemplars=show_nearest(material, index, culture, N_SHOWN),
        style=ExemplarStyle.SHARES,
    )
    statement = _state(material, question, culture)
    wish = make_wish(rng, Intent.ANSWER, statement, "")
    user = phrase(rng, wish, statement, culture.adjective, phrasings=HELD_OUT)
    messages = chat_messages([Message("user", user)], steering)
    first = steering.exemplars[0]
    told = first.distribution
    expected = Expected(
        _join(messages),
        first.question.options[told.mode],
        first.question.options,
        f"{whole_percents(told.shares)[told.mode]}%",
        (culture.name_in_sentence, culture.adjective),
        # Without a persona it may say no more than that it is not known.
        others=() if method.names_culture else _name_others(material, culture),
        is_known=False,
    )
    return Case(f"not known, {method}", messages, expected)


def _name_others(material: Material, culture: Culture) -> tuple[str, ...]:
    return tuple(other.name_in_sentence for other in material.cultures if other != culture)


def _state(material: Material, question: Question, culture: Culture) -> Statement:
    manifest = material.manifests[question.pack]
    cell = material.cells[question.key, culture.code]
    surveyed = Surveyed(
        manifest.title_in_sentence,
        manifest.year(culture.code),
        cell.n_respondents,
        is_reworded=True,
    )
    return state_survey(question, culture, cell.shares, surveyed, population=manifest.population)


def _estimate(material: Material, question: Question, culture: Culture) -> Statement:
    """Return what the peoples most like another answered, pooled, as if it had not been asked."""
    donors = list_elsewhere(material, question, culture, N_OTHERS)
    weights = np.array([e.elsewhere.weight for e in donors if e.elsewhere is not None])
    shares = weights @ np.array([e.distribution.shares for e in donors]) / weights.sum()
    return Statement(
        culture.name_in_sentence,
        question.text,
        question.options,
        tuple(shares.tolist()),
        tuple((max(0.0, p - _WIDTH), min(1.0, p + _WIDTH)) for p in shares.tolist()),
        donors=tuple(e.elsewhere.culture.name_in_sentence for e in donors if e.elsewhere),
        population=material.manifests[question.pack].population,
    )


def _join(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)
