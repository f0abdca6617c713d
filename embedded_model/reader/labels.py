"""Survey questions that a label answers, as likely as it is chosen by a people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedded_model.reader.facts import Rng, Shares, draw
from embedded_model.reader.material import Material
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering, survey_messages
from prompting.reading import option_orders
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Elsewhere, Exemplar
from survey_data.arrays import Floats
from survey_data.cultures import Culture
from survey_data.model import Question, ResponseDistribution, Scale

N_SHOWN, N_ELSEWHERE = 5, (0, 0, 0, 2, 3, 4)
# How much text the like questions may have: short prompts train fast, a service's are long.
MAX_CHARS = (250, 400, 400, 600, 1600)
IS_TILTED, IS_PERSONA, IS_SHARES, IS_REORDERED = 0.5, 0.3, 0.85, 0.3
MAX_NUMBER = 9
# How fast a people's weight falls with the mean difference of its shares from another's.
SOFTNESS = 0.02


class LabelRequest(NamedTuple):
    """A prompt, the labels that answer it, and the share of each."""

    messages: tuple[Message, ...]
    labels: tuple[str, ...]
    shares: Shares


def draw_labels(rng: Rng, material: Material) -> LabelRequest:
    """Return a question to a people that was asked it, with its answers to like ones.

    Half of the peoples have a leaning of their own on top, in all their answers: it has to be read.
    """
    index = draw(rng, [i for i in material.asked if material.surveyed[material.questions[i].key]])
    question = material.questions[index]
    culture = draw(rng, material.surveyed[question.key])
    leaning = rng.normal(0.0, 0.7, 2) if rng.random() < IS_TILTED else np.zeros(2)
    n_elsewhere = draw(rng, N_ELSEWHERE)
    others = list_elsewhere(material, question, culture, n_elsewhere) if n_elsewhere else ()
    if others:  # who leans is not like them
        leaning = np.zeros(2)
    shown = material.list_nearest(index, culture.code, N_SHOWN)
    like = [Exemplar(material.by_key[c.question], _tilt(c, leaning)) for c in shown]
    own = _shorten(like, draw(rng, MAX_CHARS))
    steering = Steering(
        Method.PERSONA_ICL if rng.random() < IS_PERSONA else Method.ICL,
        culture,
        exemplars=(*others, *own),
        style=ExemplarStyle.SHARES if rng.random() < IS_SHARES else ExemplarStyle.MODE,
    )
    wanted = _tilt(material.cells[question.key, culture.code], leaning).shares
    return request_label(question, steering, wanted, order=_draw_order(rng, question))


def request_label(
    question: Question, steering: Steering, wanted: Shares, *, order: Sequence[int] = ()
) -> LabelRequest:
    """Return a question in the labels that the model has tokens for, its options in `order`."""
    asked = AskedQuestion(question.text, question.options, question.first_number)
    if question.numbers[-1] > MAX_NUMBER:  # every digit is a token of its own
        asked = asked.labelled(LabelScheme.LETTERS)
    if order:
        asked, wanted = asked.reordered(order), tuple(wanted[i] for i in order)
    return LabelRequest(survey_messages(asked, steering), asked.labels, wanted)


def list_elsewhere(
    material: Material, question: Question, culture: Culture, n: int
) -> tuple[Exemplar, ...]:
    """Return how the `n` peoples most like another answered the same question, heaviest first.

    A people's weight falls with how much its answers to the pack's other questions differ.
    """
    others = [c for c in material.surveyed[question.key] if c != culture]
    weights = np.array([_weigh(material, question, culture, other) for other in others])
    weights /= max(weights.sum(), 1e-12)
    heaviest = np.argsort(-weights, kind="stable")[:n]
    return tuple(
        Exemplar(
            question,
            material.cells[question.key, others[i].code],
            elsewhere=Elsewhere(others[i], float(weights[i])),
        )
        for i in heaviest
    )


def _shorten(exemplars: Sequence[Exemplar], max_chars: int) -> list[Exemplar]:
    """Return the first exemplars, as many as have `max_chars` of text, or the first alone."""
    texts = [(e.question.text, *e.question.options) for e in exemplars]
    lengths = np.cumsum([len("".join(text)) for text in texts])
    return list(exemplars[: max(1, int((lengths <= max_chars).sum()))])


def _weigh(material: Material, asked: Question, culture: Culture, other: Culture) -> float:
    differences = [
        float(np.abs(np.subtract(one.shares, two.shares)).mean())
        for question in material.questions
        if question.pack == asked.pack
        and question.key != asked.key
        and (one := material.cells.get((question.key, culture.code)))
        and (two := material.cells.get((question.key, other.code)))
    ]
    return float(np.exp(-np.mean(differences) / SOFTNESS)) if differences else 0.0


def _tilt(cell: ResponseDistribution, leaning: Floats) -> ResponseDistribution:
    """Return an answer leaning to one end of the options, and to the ends or the middle."""
    place = np.linspace(-1.0, 1.0, len(cell.shares))
    weights = np.maximum(cell.shares, 1e-3) * np.exp(
        leaning[0] * place + leaning[1] * (np.abs(place) - 0.5)
    )
    return ResponseDistribution(
        cell.question, cell.culture, tuple((weights / weights.sum()).tolist())
    )


def _draw_order(rng: Rng, question: Question) -> tuple[int, ...]:
    if rng.random() >= IS_REORDERED:
        return ()
    n = len(question.options)
    orders = option_orders(n, n, ordinal=question.scale is Scale.ORDINAL)
    return orders[int(rng.integers(len(orders)))]
