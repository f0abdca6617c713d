"""From raw answers to one table of scores per condition: a row per culture and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from estimation.shares import central_option
from evaluation import metrics
from evaluation.asking import Condition, Response
from evaluation.decoding import DEFAULT_RULES, ReadBy, ReadingRules
from evaluation.run_folder import AskKey, RunAnswers
from evaluation.runner import RunPlan
from prompting.reading import Reading, read_labels, read_number_as_published, read_option
from prompting.refusal import is_refusal
from survey_data.arrays import Floats
from survey_data.distances import distribution_similarity, wasserstein
from survey_data.model import Question, ResponseDistribution, Scale


class CellRow(NamedTuple):
    """Whose answers a row holds: those given as `culture` with `seed`."""

    culture: str
    seed: int


@dataclass(frozen=True)
class Cells:
    """Scores of one condition, float64[r, q] each: a row per `rows`, a column per question.

    NaN means that the culture was not asked the question, or that a score is not defined. An answer
    that could not be read counts as the worst in `similarity`, `wasserstein`, `exact` and `soft`;
    in `missed` and `position` it is NaN, as the alignment score is over answers that were read.

    Attributes:
        shares: float64[r, q, n], the model's share of each option, 0 beyond the last; NaN where
            there are none.
        missed, widest: (a - g)² and (n - 1)², the parts of the alignment score.
        position: index / (n - 1) of the chosen option.
        unreadable, refused, not_steered: 1.0 if so, else 0.0; with several option orders the part
            of them in which it was so.
        order_shift, order_flips: how far the answer depends on the option order.
    """

    rows: tuple[CellRow, ...]
    shares: Floats
    similarity: Floats
    wasserstein: Floats
    exact: Floats
    soft: Floats
    missed: Floats
    widest: Floats
    position: Floats
    unreadable: Floats
    refused: Floats
    not_steered: Floats
    order_shift: Floats
    order_flips: Floats

    def part(self, rows: Sequence[int], columns: Sequence[int]) -> Cells:
        """Return the cells of some rows and columns."""
        arrays = {
            name: value[np.ix_(rows, columns)]
            for name, value in vars(self).items()
            if name != "rows"
        }
        return Cells(rows=tuple(self.rows[i] for i in rows), **arrays)


class _Answer(NamedTuple):
    """What one cell came to: the reading over all orders, and that of each order alone.

    `unreadable` and `refused` are the shares of orders whose answer could not be read, or was a
    refusal; log-probabilities are averaged over the orders first, and then read or not.
    """

    reading: Reading
    by_order: tuple[Reading, ...]
    unreadable: float
    refused: float


def read_cells(
    plan: RunPlan, condition: Condition, answers: RunAnswers, rules: ReadingRules = DEFAULT_RULES
) -> Cells:
    """Return the scores of `condition`, from the answers of a finished run.

    An estimate names to the alignment score, which counts places, the option that is off by the
    fewest; to every other metric, as all others do, the one that it gives the largest share.

    Raises:
        AnswersMissing: the run is not finished.
    """
    cultures, seeds = plan.cultures_of(condition), plan.seeds_of(condition)
    rows = tuple(CellRow(culture, seed) for culture in cultures for seed in seeds)
    n_options = max(len(question.options) for question in plan.questions)
    shape = (len(rows), len(plan.questions))
    names = [name for name in Cells.__annotations__ if name not in ("rows", "shares")]
    arrays = {name: np.full(shape, np.nan) for name in names}
    shares = np.full((*shape, n_options), np.nan)
    for j, question in enumerate(plan.questions):
        orders = plan.orders(condition, question)
        for i, row in enumerate(rows):
            people = plan.library.distribution(question.key, row.culture)
            if people is None:
                continue
            keys = [AskKey(condition.name, row.culture, question.key, o, row.seed) for o in orders]
            responses = [answers.find(key) for key in keys]
            answer = _combine(question, responses, orders, rules)
            steered = (answers.asks[k].steered and answers.find(k).steered for k in keys)
            arrays["not_steered"][i, j] = not all(steered)
            named = answer.reading.option
            if condition.kind == "estimate" and answer.reading.shares is not None:
                named = central_option(np.array(answer.reading.shares))
            for name, value in _score(question, people, answer, named).items():
                arrays[name][i, j] = value
            if answer.reading.shares is not None:
                shares[i, j] = 0.0
                shares[i, j, : len(question.options)] = answer.reading.shares
    return Cells(rows=rows, shares=shares, **arrays)


def _combine(
    question: Question,
    responses: Sequence[Response],
    orders: Sequence[tuple[int, ...]],
    rules: ReadingRules,
) -> _Answer:
    """Return what the responses to one question, a response per order, come to together."""
    pairs = list(zip(responses, orders, strict=True))
    by_order = tuple(_read(question, response, order, rules) for response, order in pairs)
    logprobs = [response.logprobs for response in responses if response.logprobs is not None]
    if len(logprobs) == len(responses):
        reading = read_labels(logprobs, orders, min_label_mass=rules.min_label_mass)
        return _Answer(reading, by_order, float(reading.unreadable), 0.0)
    refused = [
        one.unreadable and response.text is not None and is_refusal(response.text)
        for one, response in zip(by_order, responses, strict=True)
    ]
    unreadable = sum(one.unreadable for one in by_order) / len(by_order)
    return _Answer(_average(by_order), by_order, unreadable, sum(refused) / len(refused))


def _read(
    question: Question, response: Response, order: tuple[int, ...], rules: ReadingRules
) -> Reading:
    """Return what one response says, with options in the question's own order."""
    if response.logprobs is not None:
        return read_labels([response.logprobs], [order], min_label_mass=rules.min_label_mass)
    if response.option is not None or response.shares is not None:
        return Reading(response.option, response.shares)
    if response.text is None:
        return Reading(None, reason="there is no answer")
    if rules.read_by is ReadBy.PUBLISHED:
        number = read_number_as_published(response.text)
        if number is None or number not in question.numbers:
            return Reading(None, reason="the published parser finds no option")
        place = number - question.first_number
    else:
        shown = [question.options[i] for i in order]
        reading = read_option(response.text, shown, first_number=question.first_number)
        if reading.option is None:
            return reading
        place = reading.option
    return Reading(order[place], _one_hot(order[place], len(order)))


def _average(by_order: Sequence[Reading]) -> Reading:
    """Return one reading for several: their mean shares, and the option with the largest."""
    read = [one for one in by_order if one.option is not None]
    if not read:
        return by_order[0]
    shares = [one.shares for one in read if one.shares is not None]
    if len(read) == 1 or len(shares) < len(read):
        return read[0]
    mean = np.mean(shares, axis=0)
    return Reading(int(np.argmax(mean)), tuple(mean.tolist()))


def _one_hot(option: int, n_options: int) -> tuple[float, ...]:
    return tuple(float(i == option) for i in range(n_options))


def _score(
    question: Question, people: ResponseDistribution, answer: _Answer, named: int | None
) -> dict[str, float]:
    """Return the scores of an answer; `named` is the option of the alignment score."""
    n_options = len(question.options)
    reading, gold = answer.reading, people.mode
    ordered = question.scale is not Scale.NOMINAL
    found = {
        "unreadable": answer.unreadable,
        "refused": answer.refused,
        "widest": float((n_options - 1) ** 2),
        "order_flips": metrics.order_flips([one.option for one in answer.by_order]),
        "order_shift": metrics.order_shift(
            [one.shares for one in answer.by_order if one.shares is not None]
        ),
    }
    if reading.option is None or named is None:
        worst = {"similarity": 0.0, "exact": 0.0, "soft": 0.0}
        return found | worst | {"wasserstein": 1.0 if ordered else math.nan}
    chosen = reading.option
    shares = reading.shares or _one_hot(chosen, n_options)
    moved = wasserstein(shares, people.shares) if ordered else math.nan
    soft = metrics.soft_accuracy(chosen, gold, n_options=n_options, scale=question.scale)
    read = 1.0 - answer.unreadable
    return found | {
        "similarity": read * distribution_similarity(shares, people.shares),
        "wasserstein": read * moved + answer.unreadable,
        "exact": read * (chosen == gold),
        "soft": read * soft,
        "missed": float((named - gold) ** 2),
        "position": chosen / (n_options - 1),
    }
