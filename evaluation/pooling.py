"""What a method's answers come to when calibrated, and when pooled with the tables' estimates.

Both are made from a run's answers, when it is scored. What is asked is never fitted on: each
answer is put right by a calibration that was fitted on answers to other questions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from estimation.calibration import Sample, cross_fit, fit_model, fit_pool
from evaluation.asking import Absent, Condition, Response, digest_of
from evaluation.cells import CellRow, Cells
from evaluation.estimates import RELATED, TRANSFER
from evaluation.run_folder import AskKey, AskRecord, RunAnswers
from evaluation.runner import RunPlan
from survey_data.arrays import Floats

Cell = tuple[str, int]
FITS = {"calibrated": fit_model, "pooled": fit_pool}


def name_derived(names: Collection[str], methods: Iterable[str]) -> tuple[str, ...]:
    """Return the names of what is made of `methods` in a run whose conditions have these names."""
    if TRANSFER not in names and RELATED not in names:
        return ()
    return tuple(f"{fit} {method}" for method in methods for fit in FITS)


def derive(plan: RunPlan, cells: Mapping[str, Cells]) -> tuple[tuple[Condition, ...], RunAnswers]:
    """Return each method of a finished run, calibrated and pooled, as conditions and their answers.

    `cells` are those of the plan's conditions. A method is pooled with the `transfer` estimate, or
    with the `related` one in a run without the former; without either nothing is derived. An answer
    that could not be read stays unreadable when calibrated, and is the estimate when pooled.
    """
    table = next((cells[name] for name in (TRANSFER, RELATED) if name in cells), None)
    conditions: list[Condition] = []
    asks: dict[AskKey, AskRecord] = {}
    responses: dict[str, Response] = {}
    if table is None:
        return (), RunAnswers({}, {})
    for method in (c for c in plan.conditions if c.kind in ("method", "control")):
        answers = _pool(plan, method, cells[method.name], table)
        for name, answered in answers.items():
            condition = Condition(
                f"{name} {method.name}", "estimate", Absent(name), cultures=method.cultures
            )
            conditions.append(condition)
            for (culture, j), response in answered.items():
                question = plan.questions[j]
                (order,) = plan.orders(condition, question)
                key = AskKey(condition.name, culture, question.key, order, plan.seeds[0])
                digest = digest_of(*key)
                asks[key] = AskRecord(digest, shown=(), steered=True)
                responses[digest] = response
    return tuple(conditions), RunAnswers(asks, responses)


def _pool(
    plan: RunPlan, method: Condition, cells: Cells, table: Cells
) -> dict[str, dict[Cell, Response]]:
    """Return the answers by how they were made, and by culture and place of the question."""
    samples: dict[Cell, Sample] = {}
    unread: dict[Cell, Floats] = {}
    for culture in plan.cultures_of(method):
        row = cells.rows.index(CellRow(culture, plan.seeds[0]))
        estimates = table.shares[table.rows.index(CellRow(culture, plan.seeds[0]))]
        for j, question in enumerate(plan.questions):
            people = plan.library.distribution(question.key, culture)
            if people is None:
                continue
            n = len(question.options)
            if np.isnan(cells.shares[row, j, 0]):
                unread[culture, j] = estimates[j, :n]
            else:
                known = np.array(people.shares)
                samples[culture, j] = Sample(j, known, cells.shares[row, j, :n], estimates[j, :n])
    return {
        name: {
            cell: Response.from_shares(shares)
            for cell, shares in zip(samples, cross_fit(list(samples.values()), fit), strict=True)
        }
        | {
            cell: Response() if fit is fit_model else Response.from_shares(shares)
            for cell, shares in unread.items()
        }
        for name, fit in FITS.items()
    }
