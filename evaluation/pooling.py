"""What a method's answers come to when calibrated, and when pooled with the tables' estimates.

Both are made from a run's answers, when it is scored. What is asked is never fitted on: each
answer is put right by a calibration that was fitted on answers to other questions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from estimation.calibration import Fit, Sample, cross_fit, fit_model, fit_pool
from evaluation.asking import Absent, Condition, Response, digest_of
from evaluation.cells import CellRow, Cells
from evaluation.estimates import RELATED, TRANSFER
from evaluation.run_folder import AskKey, AskRecord, RunAnswers
from evaluation.runner import RunPlan

Cell = tuple[str, int]


class _Way(NamedTuple):
    """Something to make of a method's answers: its name for a method, and by which estimate."""

    name: str
    fit: Fit
    table: str


def name_derived(names: Collection[str], methods: Iterable[str]) -> tuple[str, ...]:
    """Return the names of what is made of `methods` in a run whose conditions have these names."""
    return tuple(way.name.format(method) for method in methods for way in _list_ways(names))


def derive(plan: RunPlan, cells: Mapping[str, Cells]) -> tuple[tuple[Condition, ...], RunAnswers]:
    """Return each method of a finished run, calibrated and pooled, as conditions and their answers.

    `cells` are those of the plan's conditions. A method is pooled with the estimate `transfer`, and
    with `related`, as if the question had been asked nowhere; without either nothing is derived. An
    answer that could not be read stays unreadable when calibrated, and is the estimate when pooled.
    """
    conditions: list[Condition] = []
    asks: dict[AskKey, AskRecord] = {}
    responses: dict[str, Response] = {}
    for method in (c for c in plan.conditions if c.kind in ("method", "control")):
        for way in _list_ways(cells):
            name = way.name.format(method.name)
            condition = Condition(name, "estimate", Absent(name), cultures=method.cultures)
            conditions.append(condition)
            answers = _answer(plan, method, cells[method.name], cells[way.table], way.fit)
            for (culture, j), response in answers.items():
                question = plan.questions[j]
                (order,) = plan.orders(condition, question)
                key = AskKey(name, culture, question.key, order, plan.seeds[0])
                digest = digest_of(*key)
                asks[key] = AskRecord(digest, shown=(), steered=True)
                responses[digest] = response
    return tuple(conditions), RunAnswers(asks, responses)


def _list_ways(names: Collection[str]) -> list[_Way]:
    tables = [name for name in (TRANSFER, RELATED) if name in names]
    if not tables:
        return []
    ways = [_Way("calibrated {}", fit_model, tables[0]), _Way("pooled {}", fit_pool, tables[0])]
    if len(tables) > 1:
        ways.append(_Way("pooled {}, asked nowhere", fit_pool, RELATED))
    return ways


def _answer(
    plan: RunPlan, method: Condition, cells: Cells, table: Cells, fit: Fit
) -> dict[Cell, Response]:
    """Return the answers that a fit makes, by culture and place of the question."""
    samples: dict[Cell, Sample] = {}
    found: dict[Cell, Response] = {}
    for culture in plan.cultures_of(method):
        shares = cells.shares[cells.rows.index(CellRow(culture, plan.seeds[0]))]
        estimates = table.shares[table.rows.index(CellRow(culture, plan.seeds[0]))]
        for j, question in enumerate(plan.questions):
            people = plan.library.distribution(question.key, culture)
            if people is None:
                continue
            n = len(question.options)
            if not np.isnan(shares[j, 0]):
                known = np.array(people.shares)
                samples[culture, j] = Sample(j, known, shares[j, :n], estimates[j, :n])
            else:
                found[culture, j] = (
                    Response() if fit is fit_model else Response.from_shares(estimates[j, :n])
                )
    fitted = cross_fit(list(samples.values()), fit)
    return found | {
        cell: Response.from_shares(own) for cell, own in zip(samples, fitted, strict=True)
    }
