"""From raw answers to one table of scores per condition: a row per culture and seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation import metrics
from evaluation.asking import Condition, Response
from evaluation.decoding import ReadBy
from evaluation.errors import AnswersMissing
from evaluation.run_folder import AskKey, AskRecord
from evaluation.runner import RunPlan
from prompting.reading import (
    MIN_LABEL_MASS,
    Reading,
    read_labels,
    read_number_as_published,
    read_option,
)
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

    NaN stands where the culture was not asked the question, and where a score is not defined. An
    answer that could not be read counts as the worst in `similarity`, `wasserstein`, `exact` and
    `soft`; in `missed` and `position` it is NaN, as the alignment score is over read answers.

    Attributes:
        shares: float64[r, q, n], the model's share of each option, 0 beyond the last; NaN where
            there are none.
        missed, widest: (a - g)² and (n - 1)², the parts of the alignment score.
        position: index / (n - 1) of the chosen option.
        unreadable, refused, not_steered: 1.0 where so, else 0.0; of several option orders the
            part where it was so.
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

    `unreadable` and `refused` are the shares of orders in which it could not be read, or was
    refused; log-probabilities are averaged over the orders first, and then read or not.
    """

    reading: Reading
    by_order: tuple[Reading, ...]
    unreadable: float
    refused: float
    steered: bool


def read_cells(
    plan: RunPlan,
    condition: Condition,
    *,
    asked: Mapping[AskKey, AskRecord],
    answers: Mapping[str, Response],
    read_by: ReadBy = ReadBy.LOGPROBS,
    min_label_mass: float = MIN_LABEL_MASS,
) -> Cells:
    """Return the scores of `condition`, from the answers of a finished run.

    `read_by` decides which parser reads answers in text.
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
            given = [_given(answers, asked, key) for key in keys]
            answer = _answer(question, given, orders, read_by, min_label_mass)
            if not all(asked[key].steered for key in keys):
                answer = answer._replace(steered=False)
            for name, value in _scores(question, people, answer).items():
                arrays[name][i, j] = value
            if answer.reading.shares is not None:
                shares[i, j] = 0.0
                shares[i, j, : len(question.options)] = answer.reading.shares
    return Cells(rows=rows, shares=shares, **arrays)


def _given(
    answers: Mapping[str, Response], asked: Mapping[AskKey, AskRecord], key: AskKey
) -> Response:
    if key not in asked or asked[key].digest not in answers:
        found = f"no answer to {key.question} as {key.culture} under '{key.condition}'"
        raise AnswersMissing(found)
    return answers[asked[key].digest]


def people_shares(plan: RunPlan) -> Floats:
    """Return float64[c, q, n], what people answered, as `Cells.shares`, a row per culture."""
    n_options = max(len(question.options) for question in plan.questions)
    shares = np.full((len(plan.cultures), len(plan.questions), n_options), np.nan)
    for i, culture in enumerate(plan.cultures):
        for j, question in enumerate(plan.questions):
            cell = plan.library.distribution(question.key, culture)
            if cell is not None:
                shares[i, j] = 0.0
                shares[i, j, : len(question.options)] = cell.shares
    return shares


def people_positions(plan: RunPlan) -> Floats:
    """Return float64[c, q], index / (n - 1) of the modal option, NaN where not asked."""
    found = np.full((len(plan.cultures), len(plan.questions)), np.nan)
    for i, culture in enumerate(plan.cultures):
        for j, question in enumerate(plan.questions):
            cell = plan.library.distribution(question.key, culture)
            if cell is not None:
                found[i, j] = cell.mode / (len(question.options) - 1)
    return found


def _answer(
    question: Question,
    given: Sequence[Response],
    orders: Sequence[tuple[int, ...]],
    read_by: ReadBy,
    min_label_mass: float,
) -> _Answer:
    pairs = list(zip(given, orders, strict=True))
    by_order = tuple(_read(question, r, order, read_by, min_label_mass) for r, order in pairs)
    logprobs = [response.logprobs for response in given if response.logprobs is not None]
    steered = all(response.steered for response in given)
    if len(logprobs) == len(given):
        reading = read_labels(logprobs, orders, min_label_mass=min_label_mass)
        return _Answer(reading, by_order, float(reading.unreadable), 0.0, steered)
    refused = [
        one.unreadable and response.text is not None and is_refusal(response.text)
        for one, response in zip(by_order, given, strict=True)
    ]
    unreadable = sum(one.unreadable for one in by_order) / len(by_order)
    return _Answer(_together(by_order), by_order, unreadable, sum(refused) / len(refused), steered)


def _read(
    question: Question,
    response: Response,
    order: tuple[int, ...],
    read_by: ReadBy,
    min_label_mass: float,
) -> Reading:
    """Return what one response says, with options in the question's own order."""
    if response.logprobs is not None:
        return read_labels([response.logprobs], [order], min_label_mass=min_label_mass)
    if response.option is not None or response.shares is not None:
        return Reading(response.option, response.shares)
    if response.text is None:
        return Reading(None, reason="there is no answer")
    place = _place(question, response.text, order, read_by)
    if isinstance(place, Reading):
        return place
    return Reading(order[place], _one_hot(order[place], len(order)))


def _place(question: Question, text: str, order: tuple[int, ...], read_by: ReadBy) -> int | Reading:
    if read_by is ReadBy.PUBLISHED:
        number = read_number_as_published(text)
        if number is None or number not in question.numbers:
            return Reading(None, reason="the published parser finds no option")
        return number - question.first_number
    shown = [question.options[i] for i in order]
    reading = read_option(text, shown, first_number=question.first_number)
    return reading if reading.option is None else reading.option


def _together(by_order: Sequence[Reading]) -> Reading:
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


def _scores(question: Question, people: ResponseDistribution, answer: _Answer) -> dict[str, float]:
    n_options = len(question.options)
    reading, gold = answer.reading, people.mode
    ordered = question.scale is not Scale.NOMINAL
    found = {
        "unreadable": answer.unreadable,
        "refused": answer.refused,
        "not_steered": float(not answer.steered),
        "widest": float((n_options - 1) ** 2),
        "order_flips": metrics.order_flips([one.option for one in answer.by_order]),
        "order_shift": metrics.order_shift(
            [one.shares for one in answer.by_order if one.shares is not None]
        ),
    }
    if reading.option is None:
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
        "missed": float((chosen - gold) ** 2),
        "position": chosen / (n_options - 1),
    }
